"""The guardrail: has it been shown that a metric did not get worse by more than its margin?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from scipy import special

from experiments.core.metrics import Direction
from reports.core.methods.base import Blocker, Comparison, Lift, Method, NotComputable, critical_value
from reports.core.methods.score import ratio_moments
from reports.core.statistics import Covaried, Proportion, Statistic

LEAST_POWER = 0.5


class GuardrailOutcome(StrEnum):
    SAFE = "safe"
    HARM = "harm"
    INCONCLUSIVE = "inconclusive"
    CANNOT_BE_POWERED = "cannot_be_powered"


@dataclass(frozen=True, slots=True)
class Worsening:
    """The numbers that showed a worsening: those of the first look beyond the harm bound, which later looks do not undo.

    Units: `day` days since the start, None for an analysis with one look.
    """

    day: int | None
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class GuardrailResult:
    """What a guardrail says of one treatment.

    `ruled_out` is the relative worsening that can still be ruled out (0.2: "a drop larger than 20 %"; 0 when any worsening
    is; None when nothing can be); `power` the chance that this many visitors show safety when nothing changed, and
    `power_at_horizon` the same for the full sample (None when that is unknown); `is_small_drop_likely` marks SAFE together
    with a significant worsening, and `worsening` what showed that.

    Units: `alpha` is one-sided.
    """

    outcome: GuardrailOutcome
    margin: float
    alpha: float
    direction: Direction
    ruled_out: float | None
    power: float | None
    power_at_horizon: float | None
    is_small_drop_likely: bool = False
    blocker: NotComputable | None = None
    worsening: Worsening | None = None

    @property
    def is_safe(self) -> bool:
        return self.outcome is GuardrailOutcome.SAFE and not self.is_small_drop_likely

    @property
    def is_harmed(self) -> bool:
        return self.outcome is GuardrailOutcome.HARM or self.is_small_drop_likely


def safe_power(
    treatment: Statistic, control: Statistic, *, margin: float, alpha: float, direction: Direction, growth: float = 1.0
) -> float | None:
    """Return the chance of SAFE when the treatment changes nothing, with `growth` times the visitors seen.

    None when the data say nothing of the variance. Units: `alpha` one-sided.
    Source: Farrington & Manning (1990), Statistics in Medicine 9:1447-1454, variance restricted at the margin.
    Checked against: the power table of STATISTICS section 7, and simulation.
    """
    if isinstance(treatment, Covaried) and isinstance(control, Covaried):
        treatment, control = treatment.plain, control.plain  # adjusting gains power, so this errs on the safe side
    critical = critical_value(2 * alpha)
    ratio = 1 - margin if direction is Direction.INCREASE else 1 + margin
    if isinstance(treatment, Proportion) and isinstance(control, Proportion):
        n_t, n_c = treatment.visitors * growth, control.visitors * growth
        converted = treatment.converted + control.converted
        if not n_t or not n_c or not converted:
            return None
        share = converted / (treatment.visitors + control.visitors)
        at_margin = ratio_moments(ratio, n_t * share, n_t, n_c * share, n_c, corrected=False)
        under_margin = math.sqrt(float(at_margin.variance))
        under_no_change = math.sqrt(share * (1 - share) * (1 / n_t + ratio**2 / n_c))
        gap = margin * share
    else:
        if isinstance(treatment, Proportion) or isinstance(control, Proportion):
            raise TypeError("Both variants need the same kind of statistic.")
        if treatment.visitors < 2 or control.visitors < 2:
            return None
        v_t, v_c = treatment.variance / (treatment.visitors * growth), control.variance / (control.visitors * growth)
        under_margin = under_no_change = math.sqrt(v_t + ratio**2 * v_c)
        gap = margin * abs(control.value)
    if not under_no_change > 0:
        return None
    return float(special.ndtr((gap - critical * under_margin) / under_no_change))


def judge_guardrail(
    method: Method,
    treatment: Statistic,
    control: Statistic,
    *,
    margin: float,
    alpha: float,
    direction: Direction,
    growth: float | None = None,
    final_alpha: float | None = None,
    is_worse: bool | None = None,
    worsening: Worsening | None = None,
) -> GuardrailResult:
    """Judge one treatment by a guardrail metric.

    SAFE when the one-sided interval of the lift stays within the margin, HARM when worsening is significant, else
    INCONCLUSIVE, or CANNOT_BE_POWERED when even the full sample (`growth` times the visitors seen) would show safety in less
    than half of all cases in which nothing changed. `final_alpha` is the level of the full sample's look, where it differs from
    this one; `is_worse` overrides the test of worsening and `worsening` what it rests on, for a caller that has looked
    before.

    Units: `alpha` one-sided. Source: Schultzberg, Ankargren & Franberg (2024), arXiv 2402.11609; STATISTICS section 7.
    Checked against: the score z at the margin (SAFE exactly when it exceeds the critical value).
    """
    comparison = method.compare(treatment, control, alpha=2 * alpha)
    power = safe_power(treatment, control, margin=margin, alpha=alpha, direction=direction)
    full_power = (
        safe_power(treatment, control, margin=margin, alpha=final_alpha or alpha, direction=direction, growth=growth)
        if growth is not None
        else None
    )
    reachable = full_power if full_power is not None else power
    open_outcome = (
        GuardrailOutcome.CANNOT_BE_POWERED
        if reachable is not None and reachable < LEAST_POWER
        else GuardrailOutcome.INCONCLUSIVE
    )
    blocker: NotComputable | None = None
    ruled_out: float | None = None
    is_safe = False
    if isinstance(comparison, NotComputable):
        blocker = comparison
    else:
        if is_worse is None:
            is_worse = _is_worse(comparison, direction)
            worsening = Worsening(None, comparison) if is_worse else None
        if isinstance(comparison.lift, Lift):
            worst = _worst(comparison.lift, direction)
            is_safe = worst < margin
            ruled_out = max(worst, 0.0) if math.isfinite(worst) else None
        else:
            blocker = comparison.lift
    if is_safe:
        outcome = GuardrailOutcome.SAFE
    elif is_worse:
        outcome = GuardrailOutcome.HARM
    else:
        outcome = open_outcome
    return GuardrailResult(
        outcome=outcome,
        margin=margin,
        alpha=alpha,
        direction=direction,
        ruled_out=ruled_out,
        power=power,
        power_at_horizon=full_power,
        is_small_drop_likely=is_safe and bool(is_worse),
        blocker=blocker,
        worsening=worsening,
    )


def _worst(lift: Lift, direction: Direction) -> float:
    """Return the relative worsening at the bad end of the interval."""
    return -lift.interval.low if direction is Direction.INCREASE else lift.interval.high


def _is_worse(comparison: Comparison, direction: Direction) -> bool:
    return comparison.interval.high < 0 if direction is Direction.INCREASE else comparison.interval.low > 0


def not_judged(margin: float, alpha: float, direction: Direction, detail: str) -> GuardrailResult:
    """Return the result of a guardrail that is not judged yet, with the reason."""
    return GuardrailResult(
        GuardrailOutcome.INCONCLUSIVE,
        margin,
        alpha,
        direction,
        None,
        None,
        None,
        blocker=NotComputable(Blocker.TOO_EARLY, detail),
    )
