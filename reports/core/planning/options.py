"""Ways to decide one question, side by side: by the goal alone, by a step towards it, by both together. Closed forms.

They are a first guess: off by up to a factor of two, too bright for large gains and too dark for small ones. The certificate
(`reports/core/proxy/certificate.py`) simulates; it rules where the two differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import optimize, special

from experiments.core.power import equal_visitors, visitors_in_all
from reports.core.proxy.certificate import DAYS_A_WEEK, CertificateQuestion
from reports.core.proxy.classes import step_weights
from reports.core.sequential.design import Schedule

QUALITY_SPREAD = (
    0.06  # how far the share of buyers among those who did the micro conversion may move by itself, on the log scale
)
LARGEST_LIFT = 20.0


class Way(StrEnum):
    """MACRO_ONCE: the goal, one look at the end. MACRO_LOOKS: the goal, looks on the way. MICRO: one step as if it were the goal, which
    answers another question. TOGETHER: goal and step weighed by how far the step's quality may have moved."""

    MACRO_ONCE = "macro_once"
    MACRO_LOOKS = "macro_looks"
    MICRO = "micro"
    TOGETHER = "together"


@dataclass(frozen=True, slots=True)
class Option:
    """One way to decide. `step` (from 1) is the micro conversion of MICRO and TOGETHER.

    `visitors` of all variants together find the asked gain with the asked power; `weeks` until they have come and had their time;
    `expected` the visitors on average if the gain is real, where a way stops early. At the planned end: `power` for the asked
    gain, `detectable` the smallest lift found with the asked power (None: none is). `sign_error` and `exaggeration` are those of
    a significant result when the true gain is half of `detectable`.
    Source of the last two: Gelman & Carlin (2014), Perspectives on Psychological Science 9:641-651.
    """

    way: Way
    step: int | None
    visitors: float
    weeks: float
    expected: float
    power: float
    detectable: float | None
    sign_error: float | None
    exaggeration: float | None


def options(question: CertificateQuestion, *, alpha: float, power: float) -> tuple[Option, ...]:
    """Return every way to decide the question, the macro first.

    Units: `alpha` two-sided. Checked against: the table of PROXY section 5 (one-sided 5 %, power .8); each size put back into its
    own power.
    """
    steps = len(question.reach)
    depth = min(question.target_step or int(np.argmax(step_weights(steps))) + 1, max(steps - 1, 1))
    found = [_option(Way.MACRO_ONCE, None, question, alpha, power)]
    found.append(_option(Way.MACRO_LOOKS, None, question, alpha, power))
    if steps > 1:
        found.append(_option(Way.TOGETHER, depth, question, alpha, power))
        found += [_option(Way.MICRO, step, question, alpha, power) for step in range(1, steps)]
    return tuple(found)


def _variance(way: Way, step: int | None, question: CertificateQuestion, visitors: float) -> float:
    """Return the variance of the estimated macro log-lift with so many visitors of each variant."""
    macro = question.reach[-1]
    if way in (Way.MACRO_ONCE, Way.MACRO_LOOKS):
        return 2 * (1 - macro) / macro / visitors
    assert step is not None
    micro, through = question.reach[step - 1], question.pass_through
    of_micro = 2 * (1 - micro) / micro / visitors
    if way is Way.MICRO:
        return through**2 * of_micro  # a macro lift is `through` times the micro one
    quality = macro / micro
    of_quality = 2 * (1 - quality) / (quality * micro) / visitors
    trust = QUALITY_SPREAD**2 / (QUALITY_SPREAD**2 + of_quality)
    return (
        (through + trust * (1 - through)) ** 2 * of_micro + trust**2 * of_quality + ((1 - trust) * QUALITY_SPREAD) ** 2
    )


def _option(way: Way, step: int | None, question: CertificateQuestion, alpha: float, power: float) -> Option:
    reach = float(special.ndtri(1 - alpha / 2) + special.ndtri(power))
    critical = float(special.ndtri(1 - alpha / 2))
    gain = math.log1p(question.gain)
    shares = question.weights[0], min(question.weights[1:])
    wait = float(question.waits[-1 if way is not Way.MICRO or step is None else step - 1])
    days = question.weeks * DAYS_A_WEEK
    inflation, expected = 1.0, 1.0
    if way is Way.MACRO_LOOKS:
        design = Schedule(days, question.look_every_days).design(alpha=alpha, power=power)
        inflation, expected = design.inflation, design.expected_if_real

    def error(visitors: float) -> float:
        return math.sqrt(_variance(way, step, question, visitors))

    each = _root(lambda n: reach * error(math.exp(n)) - gain, 0.0, 60.0)
    needed = visitors_in_all(math.exp(each), *shares)
    total = needed * inflation
    at_end = equal_visitors(max(days - wait, 0.0) / DAYS_A_WEEK * question.per_week, *shares) / inflation
    if at_end < 1:
        return Option(way, step, total, _weeks(total, wait, question), needed * expected, 0.0, None, None, None)
    deviation = error(at_end)
    log_lift = reach * deviation
    half = log_lift / 2 / deviation
    return Option(
        way=way,
        step=step,
        visitors=total,
        weeks=_weeks(total, wait, question),
        expected=needed * expected,
        power=float(special.ndtr(gain / deviation - critical)),
        detectable=math.expm1(log_lift) if log_lift < math.log1p(LARGEST_LIFT) else None,
        sign_error=sign_error(half, critical),
        exaggeration=exaggeration(half, critical),
    )


def _weeks(visitors: float, wait: float, question: CertificateQuestion) -> float:
    return visitors / question.per_week + wait / DAYS_A_WEEK


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    return float(optimize.brentq(falling, low, high, xtol=1e-10))


def sign_error(effect: float, critical: float) -> float:
    """Return the chance that a significant result points the wrong way. Units: the true `effect` in standard errors, above 0."""
    wrong, right = special.ndtr(-critical - effect), special.ndtr(effect - critical)
    return float(wrong / (wrong + right))


def exaggeration(effect: float, critical: float) -> float:
    """Return how many times too large a significant estimate is on average. Units: as for `sign_error`.

    Checked against: simulation.
    """
    above, below = critical - effect, critical + effect
    density = np.exp(-0.5 * np.square([above, below])) / math.sqrt(2 * math.pi)
    tails = special.ndtr(-np.asarray([above, below]))
    # E|estimate| over both tails of a normal around the effect.
    size = effect * tails[0] + density[0] - effect * tails[1] + density[1]
    return float(size / tails.sum() / effect)
