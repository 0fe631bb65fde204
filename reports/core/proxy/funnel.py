"""The funnel of an experiment as counts, and what they say of each step: macro = micro x quality, exactly.

The log-lift of the macro conversion is the sum of the log-lifts of the steps, and the estimates of the steps are uncorrelated
(each step is counted among those who made the step before). So a micro conversion that rises and a quality that falls are two
independent observations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

HALF = 0.5


@dataclass(frozen=True, slots=True)
class StepCount:
    """How many could have made a step, and how many did."""

    at_risk: int
    reached: int

    def __post_init__(self) -> None:
        if not 0 <= self.reached <= self.at_risk:
            raise ValueError(f"{self.reached} of {self.at_risk} visitors cannot have made a step.")


@dataclass(frozen=True, slots=True)
class FunnelCounts:
    """The steps of one variant, the macro conversion last.

    `at_risk` of a step are the visitors who made the step before and have been followed long enough for this one; so fresh
    visitors may count for early steps and not yet for late ones.
    """

    steps: tuple[StepCount, ...]

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("A funnel has at least one step, the macro conversion.")

    @classmethod
    def nested(cls, visitors: int, reached: Sequence[int]) -> Self:
        """Build from visitors and how many of them got as far as each step.

        Raises: ValueError when more reach a step than the one before.
        """
        before = (visitors, *reached[:-1])
        for number, (risk, got) in enumerate(zip(before, reached, strict=True), start=1):
            if not 0 <= got <= risk:
                raise ValueError(f"Step {number} was reached by {got} visitors, the step before by {risk}.")
        return cls(tuple(StepCount(risk, got) for risk, got in zip(before, reached, strict=True)))

    def __add__(self, other: Self) -> Self:
        if len(self.steps) != len(other.steps):
            raise ValueError(f"Funnels of {len(self.steps)} and {len(other.steps)} steps cannot be added.")
        pairs = zip(self.steps, other.steps, strict=True)
        return type(self)(tuple(StepCount(a.at_risk + b.at_risk, a.reached + b.reached) for a, b in pairs))

    @property
    def visitors(self) -> int:
        return self.steps[0].at_risk

    @property
    def macro(self) -> StepCount:
        return self.steps[-1]


@dataclass(frozen=True, slots=True)
class StepEffects:
    """Log-lifts of the steps with their variances; many comparisons at once.

    Shapes: both (comparisons, steps). Steps are uncorrelated.
    """

    effect: FloatArray
    variance: FloatArray

    def __post_init__(self) -> None:
        if self.effect.ndim != 2 or self.effect.shape != self.variance.shape:
            raise ValueError(f"Effects {self.effect.shape} and variances {self.variance.shape} differ in shape.")

    @property
    def steps(self) -> int:
        return int(self.effect.shape[1])

    @property
    def macro(self) -> FloatArray:
        """Shapes: (comparisons,)."""
        total: FloatArray = self.effect.sum(axis=1)
        return total

    @property
    def macro_variance(self) -> FloatArray:
        total: FloatArray = self.variance.sum(axis=1)
        return total

    @property
    def z_macro(self) -> FloatArray:
        return self.z_above(1.0)

    def z_above(self, ratio: float) -> FloatArray:
        """Return the z of "the macro of the treatment is more than `ratio` times the control's"."""
        z: FloatArray = (self.macro - np.log(ratio)) / np.sqrt(self.macro_variance)
        return z

    def up_to(self, depth: int) -> tuple[FloatArray, FloatArray]:
        """Return log-lift and variance of reaching step `depth` (from 1): the micro conversion."""
        return self.effect[:, :depth].sum(axis=1), self.variance[:, :depth].sum(axis=1)

    def beyond(self, depth: int) -> tuple[FloatArray, FloatArray]:
        """Return log-lift and variance of the macro among those who reached step `depth`: the quality."""
        return self.effect[:, depth:].sum(axis=1), self.variance[:, depth:].sum(axis=1)

    def pooled_with(self, other: StepEffects) -> StepEffects:
        """Return both runs of one idea together, each step weighted by its precision."""
        precision, others = 1 / self.variance, 1 / other.variance
        variance = 1 / (precision + others)
        return StepEffects(variance * (precision * self.effect + others * other.effect), variance)


def step_effects(treatment: FunnelCounts, control: FunnelCounts) -> StepEffects:
    """Return the log-lift of every step of one comparison. Raises: ValueError for funnels of different length."""
    if len(treatment.steps) != len(control.steps):
        raise ValueError(
            f"The treatment has {len(treatment.steps)} steps and the control {len(control.steps)}; they must match."
        )
    arrays = [
        np.array([[getattr(step, name) for step in funnel.steps]], dtype=float)
        for funnel in (treatment, control)
        for name in ("at_risk", "reached")
    ]
    return effects_of(*arrays)


def effects_of(risk_t: FloatArray, reached_t: FloatArray, risk_c: FloatArray, reached_c: FloatArray) -> StepEffects:
    """Return log-lifts from counts, half a visitor added to each so that a step which nobody made stays finite.

    Shapes: all (comparisons, steps).
    Source: Gart & Zweifel (1967), Biometrika 54:181-187, for the half; delta method for the variance.
    """
    effect = np.log((reached_t + HALF) / (risk_t + HALF)) - np.log((reached_c + HALF) / (risk_c + HALF))
    variance = sum(
        (1 / (reached + HALF) - 1 / (risk + HALF) for reached, risk in ((reached_t, risk_t), (reached_c, risk_c))),
        start=np.zeros_like(effect),
    )
    # A step that everybody made varies by nothing; its variance must stay above 0 to be divided by.
    return StepEffects(effect, np.maximum(variance, 1e-12))


def nested_effects(
    visitors_t: FloatArray, reached_t: FloatArray, visitors_c: FloatArray, reached_c: FloatArray
) -> StepEffects:
    """Return log-lifts of funnels in which each step is counted among all who made the one before.

    Shapes: visitors (comparisons,), reached (comparisons, steps).
    """
    risk_t, risk_c = (
        np.column_stack([visitors, reached[:, :-1]])
        for visitors, reached in ((visitors_t, reached_t), (visitors_c, reached_c))
    )
    return effects_of(risk_t, reached_t, risk_c, reached_c)


def funnels_of(visitors: Mapping[str, int], reached: Mapping[str, Sequence[int]]) -> dict[str, FunnelCounts]:
    """Return the funnel of each variant. Raises: ValueError when a variant is missing on one side or counts cannot be."""
    if set(visitors) != set(reached):
        raise ValueError(f"'visitors' names {sorted(visitors)}, 'reached' {sorted(reached)}; they must be the same.")
    return {variant: FunnelCounts.nested(visitors[variant], reached[variant]) for variant in visitors}
