"""Do the visitors whom a variant won over at a step go on to the macro conversion as often as the others?

Who reaches a step is itself an outcome of the variant, so a fall in quality mixes "those won over at the margin are less keen", which
is harmless, with "they were misled", which is not. Only the macro conversion tells them apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from reports.core.methods.base import Interval, critical_value
from reports.core.methods.exact import fisher_exact_p
from reports.core.proxy.funnel import FunnelCounts, step_effects

FEW = 10
NEGATIVE = 1.0
CLEARLY_NEGATIVE = 1.645


class QualityState(StrEnum):
    OK = "ok"
    WATCH = "watch"
    DILUTION = "dilution"


@dataclass(frozen=True, slots=True)
class StepQuality:
    """Quality beyond one milestone: P(macro | step) of the treatment over the control's.

    A diagnosis at this look alone, not held to all looks. `exact_p` is Fisher's, given where a cell holds fewer than ten.
    Units: `micro` and `quality` relative lifts with 95 % intervals.
    """

    step: int
    state: QualityState
    micro: float
    micro_interval: Interval
    z_micro: float
    quality: float
    quality_interval: Interval
    z_quality: float
    exact_p: float | None


def step_qualities(treatment: FunnelCounts, control: FunnelCounts) -> tuple[StepQuality, ...]:
    """Test every milestone for dilution. `step` counts from 1."""
    effects = step_effects(treatment, control)
    return tuple(
        _quality(depth, treatment, control, *(float(x[0]) for x in (*effects.up_to(depth), *effects.beyond(depth))))
        for depth in range(1, effects.steps)
    )


def _quality(
    depth: int,
    treatment: FunnelCounts,
    control: FunnelCounts,
    micro: float,
    micro_variance: float,
    quality: float,
    quality_variance: float,
) -> StepQuality:
    z_micro, z_quality = micro / math.sqrt(micro_variance), quality / math.sqrt(quality_variance)
    state = QualityState.OK
    if z_quality <= -CLEARLY_NEGATIVE and z_micro >= CLEARLY_NEGATIVE:
        state = QualityState.DILUTION
    elif z_quality <= -NEGATIVE:
        state = QualityState.WATCH
    table = [
        [funnel.macro.reached, max(funnel.steps[depth - 1].reached - funnel.macro.reached, 0)]
        for funnel in (treatment, control)
    ]
    is_thin = min(min(row) for row in table) < FEW
    return StepQuality(
        step=depth,
        state=state,
        micro=math.expm1(micro),
        micro_interval=_relative(micro, micro_variance),
        z_micro=z_micro,
        quality=math.expm1(quality),
        quality_interval=_relative(quality, quality_variance),
        z_quality=z_quality,
        exact_p=fisher_exact_p(*table[0], *table[1]) if is_thin else None,
    )


def _relative(effect: float, variance: float) -> Interval:
    half = critical_value(0.05) * math.sqrt(variance)
    return Interval(math.expm1(effect - half), math.expm1(effect + half))


@dataclass(frozen=True, slots=True)
class Surrogate:
    """The macro effect that the steps predict, and how far the truth may be from the prediction.

    Predicted from what visitors of the control did after getting as far; the error counts both chance and the gap that appears
    when the treatment changes what a step is worth. `gap` is that gap as far as the data show it. Units: shares of visitors.
    """

    effect: float
    interval: Interval
    gap: float
    gap_interval: Interval


def surrogate(treatment: FunnelCounts, control: FunnelCounts, *, gap_spread: float = 0.06) -> Surrogate:
    """Estimate the macro effect from the deepest milestone reached, with an honest error.

    `gap_spread` is how far the worth of a step is believed to move, relative to the control's macro share: without it the
    interval would be a false precision.

    Source: Athey, Chetty, Imbens & Kang (2019), NBER w26463; Duan, Ba & Zhang (2021), arXiv 2106.01421, for the error.
    """
    depths_t, depths_c = _depths(treatment), _depths(control)
    worth_t, worth_c = _worth(treatment), _worth(control)
    n_t, n_c = treatment.visitors, control.visitors
    gaps = [p_t - p_c for p_t, p_c in zip(depths_t, depths_c, strict=True)]
    effect = sum(gap * worth for gap, (worth, _) in zip(gaps, worth_c, strict=True))
    chance = sum(
        _spread_of_sum(depths, [worth for worth, _ in worth_c]) / n for depths, n in ((depths_t, n_t), (depths_c, n_c))
    ) + sum(
        (gap**2) * worth * (1 - worth) / max(reached, 1) for gap, (worth, reached) in zip(gaps, worth_c, strict=True)
    )
    gap = sum(p * (q_t - q_c) for p, (q_t, _), (q_c, _) in zip(depths_t, worth_t, worth_c, strict=True))
    pooled = [
        (q_t * r_t + q_c * r_c) / max(r_t + r_c, 1) for (q_t, r_t), (q_c, r_c) in zip(worth_t, worth_c, strict=True)
    ]
    gap_variance = sum(
        p**2 * q * (1 - q) * (1 / max(r_t, 1) + 1 / max(r_c, 1))
        for p, q, (_, r_t), (_, r_c) in zip(depths_t, pooled, worth_t, worth_c, strict=True)
    )
    share = control.macro.reached / max(n_c, 1)
    half = critical_value(0.05) * math.sqrt(chance + (gap_spread * share) ** 2)
    gap_half = critical_value(0.05) * math.sqrt(gap_variance)
    return Surrogate(effect, Interval(effect - half, effect + half), gap, Interval(gap - gap_half, gap + gap_half))


def _depths(funnel: FunnelCounts) -> list[float]:
    """Return the share of visitors whose deepest milestone is each one, nothing at all first."""
    rates = [1.0, *(step.reached / step.at_risk if step.at_risk else 0.0 for step in funnel.steps[:-1])]
    reach = [math.prod(rates[: n + 1]) for n in range(len(rates))] + [0.0]
    return [reach[n] - reach[n + 1] for n in range(len(rates))]


def _worth(funnel: FunnelCounts) -> list[tuple[float, int]]:
    """Return, per deepest milestone, the share that went on to the macro conversion and how many got so far.

    Only those at the last milestone can: whoever reached the macro counts as having made every step before it.
    """
    at_last = funnel.macro
    worth = at_last.reached / at_last.at_risk if at_last.at_risk else 0.0
    return [(0.0, 0)] * (len(funnel.steps) - 1) + [(worth, at_last.at_risk)]


def _spread_of_sum(shares: list[float], values: list[float]) -> float:
    mean = sum(p * v for p, v in zip(shares, values, strict=True))
    return sum(p * v * v for p, v in zip(shares, values, strict=True)) - mean**2
