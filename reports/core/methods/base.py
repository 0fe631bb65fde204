"""What a method promises: two variants in, one comparison out, or the reason why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from scipy import special

from experiments.core.metric_kinds.base import StatisticKind
from experiments.core.plan import Monitoring
from reports.core.statistics import Statistic


class Blocker(StrEnum):
    """Why a number could not be computed."""

    NO_VISITORS = "no_visitors"
    TOO_FEW_VISITORS = "too_few_visitors"
    TOO_FEW_CONVERSIONS = "too_few_conversions"
    NO_VARIATION = "no_variation"
    NO_DENOMINATOR = "no_denominator"
    BASELINE_IS_ZERO = "baseline_is_zero"
    BASELINE_NEAR_ZERO = "baseline_near_zero"
    BASELINE_IS_NEGATIVE = "baseline_is_negative"
    TOO_EARLY = "too_early"
    NO_MATURED_VISITORS = "no_matured_visitors"
    PERIODS_DIFFER = "periods_differ"
    NOT_ADJUSTABLE = "not_adjustable"
    COMPUTATION_FAILED = "computation_failed"


@dataclass(frozen=True, slots=True)
class NotComputable:
    """No answer, with the reason: a code for machines and a sentence for people."""

    blocker: Blocker
    detail: str


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval; a limit may be infinite."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if math.isnan(self.low) or math.isnan(self.high) or self.low > self.high:
            raise ValueError(f"[{self.low}, {self.high}] is no interval.")

    def excludes(self, value: float) -> bool:
        return value < self.low or value > self.high


@dataclass(frozen=True, slots=True)
class Lift:
    """The relative effect (0.1 = 10 % more than the control); `value` is infinite over a control of 0."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class SingleLook:
    """The plain test behind one of several looks: its two-sided p-value, the level that this look is held to, and by what."""

    alpha: float
    p_value: float
    monitoring: Monitoring


@dataclass(frozen=True, slots=True)
class Comparison:
    """A treatment against the control.

    The intervals have level 1 - `alpha`, and exclude no difference exactly when `p_value` < `alpha`. In a running
    experiment both hold at all looks together; `single_look` then keeps the plain test of this look.

    Units: `effect` and its interval in the metric's own unit, treatment minus control; `z` is the signed standard normal
    equivalent of the plain test's p-value.
    """

    method: str
    alpha: float
    effect: float
    interval: Interval
    lift: Lift | NotComputable
    z: float
    p_value: float
    standard_error: float | None = None
    degrees_of_freedom: float | None = None
    single_look: SingleLook | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.p_value <= 1:
            raise ValueError(f"{self.p_value} is no p-value.")


class Method(Protocol):
    """One way of comparing two variants. Adding one is a file here and a line in `METHODS`."""

    key: str
    label: str
    statistic: StatisticKind

    def suits(self, treatment: Statistic, control: Statistic) -> bool:
        """Say whether this method is the right one for these two; the first in `METHODS` that says so is used."""
        ...

    def compare(self, treatment: Statistic, control: Statistic, *, alpha: float) -> Comparison | NotComputable:
        """Compare; p-value and intervals come from one inversion, so the interval excludes 0 exactly when p < alpha."""
        ...

    def margin_z(self, treatment: Statistic, control: Statistic, *, ratio: float) -> float | NotComputable:
        """Return the signed z of the hypothesis that treatment / control equals `ratio`."""
        ...


def critical_value(alpha: float) -> float:
    """Return the two-sided standard normal critical value of `alpha`."""
    return float(-special.ndtri(alpha / 2))


def two_sided_p(z: float) -> float:
    return float(min(1.0, 2 * special.ndtr(-abs(z))))
