"""Sufficient statistics of one variant's visitors: frozen values that refuse impossible input and add with `+`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from experiments.core.metric_kinds.base import StatisticKind, VisitorValues
from reports.core.event_times import EventTimes
from reports.core.quantiles import Quantile

FloatArray = NDArray[np.float64]


def _require_finite(name: str, *values: float) -> None:
    if not all(math.isfinite(v) for v in values):
        raise ValueError(f"{name} holds a number that is not finite: {values}.")


def _require_count(name: str, visitors: int) -> None:
    if visitors < 0:
        raise ValueError(f"{name} cannot have {visitors} visitors.")


@dataclass(frozen=True, slots=True)
class Proportion:
    """How many of the visitors converted."""

    visitors: int
    converted: int

    def __post_init__(self) -> None:
        _require_count("A proportion", self.visitors)
        if not 0 <= self.converted <= self.visitors:
            raise ValueError(f"{self.converted} of {self.visitors} visitors cannot have converted.")

    @classmethod
    def from_values(cls, values: VisitorValues) -> Self:
        """Count the values above 0 as converted."""
        return cls(visitors=len(values.numerator), converted=int(np.count_nonzero(values.numerator > 0)))

    def __add__(self, other: Self) -> Self:
        return type(self)(self.visitors + other.visitors, self.converted + other.converted)

    @property
    def value(self) -> float:
        """The share that converted; NaN without visitors."""
        return self.converted / self.visitors if self.visitors else math.nan

    @property
    def total(self) -> float:
        return float(self.converted)


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of a number per visitor and the sum of squares about that mean.

    Squares are kept about the mean and merged by Chan's formula: raw sums of squares cancel to nothing for values such
    as amounts in the smallest coin of a currency.
    """

    visitors: int
    mean: float
    squares: float

    def __post_init__(self) -> None:
        _require_count("A mean", self.visitors)
        _require_finite("A mean", self.mean, self.squares)
        if self.squares < 0:
            raise ValueError(f"A sum of squares cannot be {self.squares}.")
        if self.visitors == 0 and (self.mean or self.squares):
            raise ValueError("A mean of no visitors has neither mean nor squares.")

    @classmethod
    def from_values(cls, values: VisitorValues) -> Self:
        array = values.numerator
        if not len(array):
            return cls(0, 0.0, 0.0)
        mean = float(np.mean(array))
        return cls(len(array), mean, float(np.sum((array - mean) ** 2)))

    @classmethod
    def from_sums(cls, visitors: int, total: float, sum_squares: float) -> Self:
        """Build from raw sums.

        Raises: ValueError when no numbers have these sums (the squares fall short of `total**2 / visitors` by more than
        rounding explains).
        """
        if visitors == 0:
            return cls(0, 0.0, 0.0)
        squares = sum_squares - total * total / visitors
        if squares < -1e-9 * max(abs(sum_squares), 1.0):
            raise ValueError(f"No {visitors} numbers have the sum {total} and the sum of squares {sum_squares}.")
        return cls(visitors, total / visitors, max(squares, 0.0))

    def __add__(self, other: Self) -> Self:
        visitors = self.visitors + other.visitors
        if visitors == 0:
            return self
        gap = other.mean - self.mean
        return type(self)(
            visitors,
            (self.visitors * self.mean + other.visitors * other.mean) / visitors,
            self.squares + other.squares + gap * gap * self.visitors * other.visitors / visitors,
        )

    @property
    def value(self) -> float:
        """The mean; NaN without visitors."""
        return self.mean if self.visitors else math.nan

    @property
    def total(self) -> float:
        return self.mean * self.visitors

    @property
    def variance(self) -> float:
        """The sample variance of one visitor's number; NaN for fewer than two visitors."""
        return self.squares / (self.visitors - 1) if self.visitors > 1 else math.nan


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of two sums over visitors, such as orders per session, with the moments its variance needs.

    `products` is the sum of cross-products about the two means.
    """

    visitors: int
    numerator_mean: float
    denominator_mean: float
    numerator_squares: float
    denominator_squares: float
    products: float

    def __post_init__(self) -> None:
        _require_count("A ratio", self.visitors)
        _require_finite(
            "A ratio",
            self.numerator_mean,
            self.denominator_mean,
            self.numerator_squares,
            self.denominator_squares,
            self.products,
        )
        if self.numerator_squares < 0 or self.denominator_squares < 0:
            raise ValueError("A sum of squares cannot be negative.")
        bound = self.numerator_squares * self.denominator_squares
        if self.products**2 > bound * (1 + 1e-6) + 1e-9:
            raise ValueError(f"Cross-products of {self.products} contradict the sums of squares (Cauchy-Schwarz).")

    @classmethod
    def from_values(cls, values: VisitorValues) -> Self:
        """Raises: ValueError when the values have no denominator."""
        if values.denominator is None:
            raise ValueError("A ratio needs a denominator per visitor.")
        top, bottom = values.numerator, values.denominator
        if not len(top):
            return cls(0, 0.0, 0.0, 0.0, 0.0, 0.0)
        top_mean, bottom_mean = float(np.mean(top)), float(np.mean(bottom))
        top_gap, bottom_gap = top - top_mean, bottom - bottom_mean
        return cls(
            len(top),
            top_mean,
            bottom_mean,
            float(top_gap @ top_gap),
            float(bottom_gap @ bottom_gap),
            float(top_gap @ bottom_gap),
        )

    def __add__(self, other: Self) -> Self:
        visitors = self.visitors + other.visitors
        if visitors == 0:
            return self
        weight = self.visitors * other.visitors / visitors
        top_gap = other.numerator_mean - self.numerator_mean
        bottom_gap = other.denominator_mean - self.denominator_mean
        return type(self)(
            visitors,
            (self.visitors * self.numerator_mean + other.visitors * other.numerator_mean) / visitors,
            (self.visitors * self.denominator_mean + other.visitors * other.denominator_mean) / visitors,
            self.numerator_squares + other.numerator_squares + weight * top_gap * top_gap,
            self.denominator_squares + other.denominator_squares + weight * bottom_gap * bottom_gap,
            self.products + other.products + weight * top_gap * bottom_gap,
        )

    @property
    def value(self) -> float:
        """The ratio of the sums; NaN when the denominator adds up to 0."""
        return self.numerator_mean / self.denominator_mean if self.denominator_mean else math.nan

    @property
    def total(self) -> float:
        return self.numerator_mean * self.visitors

    @property
    def denominator_total(self) -> float:
        return self.denominator_mean * self.visitors

    @property
    def variance(self) -> float:
        """The sample variance of one visitor's linearised value, divided by the squared mean denominator.

        Divided by `visitors` it is the variance of the ratio. Source: Deng, Knoblich & Lu (2018), KDD, equation 2.
        """
        if self.visitors < 2 or not self.denominator_mean:
            return math.nan
        ratio = self.value
        squares = self.numerator_squares - 2 * ratio * self.products + ratio * ratio * self.denominator_squares
        return max(squares, 0.0) / (self.visitors - 1) / self.denominator_mean**2


Part = Proportion | Mean | Ratio | EventTimes | Quantile


@dataclass(frozen=True, slots=True)
class Stratified:
    """One variant's visitors in the periods of different weights, which are never added up.

    `mix` are the shares in which the periods enter the value: those in which a comparison weighs them. Without that a
    variant's value would mostly tell when it got its visitors.

    Shapes: `parts` and `mix` are (periods,).
    """

    parts: tuple[Part, ...]
    mix: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.parts) != len(self.mix) or len({type(part) for part in self.parts}) != 1:
            raise ValueError("Periods have one statistic of one kind each, and one share each.")

    @property
    def visitors(self) -> int:
        return sum(part.visitors for part in self.parts)

    @property
    def total(self) -> float:
        return sum(part.total for part in self.parts)

    @property
    def value(self) -> float:
        """The value in a mix of periods that is the same for every variant; NaN without one."""
        return sum(share * part.value for share, part in self._counted()) if self._counted() else math.nan

    @property
    def variance(self) -> float:
        """The variance of the value times the visitors, so that divided by them it is that of the value."""
        return self.visitors * sum(share**2 * variance_of_value(part) for share, part in self._counted())

    def _counted(self) -> list[tuple[float, Part]]:
        known = [(share, part) for share, part in zip(self.mix, self.parts, strict=True) if math.isfinite(part.value)]
        whole = sum(share for share, _ in known)
        return [(share / whole, part) for share, part in known] if whole else []


def variance_of_value(part: Part) -> float:
    """Return the variance of a statistic's value (not of one visitor's)."""
    if isinstance(part, Proportion):
        return part.value * (1 - part.value) / part.visitors
    return part.variance / part.visitors


Plain = Proportion | Mean | Ratio


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Values and covariates of some visitors.

    Shapes: `values`, `denominator` and `stratum` (visitors,); `covariates` (visitors, columns), NaN where unknown.
    """

    values: FloatArray
    denominator: FloatArray | None
    covariates: FloatArray
    stratum: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Covaried:
    """A plain statistic of a variant with the rows that it sums up, for comparisons that adjust for what was known before.

    Adding keeps references to the rows and copies none.
    """

    plain: Plain
    rows: tuple[Rows, ...]

    def __add__(self, other: Self) -> Self:
        merged: Plain = self.plain + other.plain  # type: ignore[operator]  # both are of one kind
        return type(self)(merged, (*self.rows, *other.rows))

    @property
    def visitors(self) -> int:
        return self.plain.visitors

    @property
    def value(self) -> float:
        return self.plain.value

    @property
    def total(self) -> float:
        return self.plain.total

    @property
    def variance(self) -> float:
        """That of the plain statistic: adjusting makes it no larger, so what is planned with it errs on the safe side."""
        plain = self.plain
        return plain.value * (1 - plain.value) if isinstance(plain, Proportion) else plain.variance

    @property
    def covariates(self) -> FloatArray:
        return np.concatenate([part.covariates for part in self.rows])

    @property
    def strata(self) -> NDArray[np.int64]:
        return np.concatenate([part.stratum for part in self.rows])

    @property
    def linearised(self) -> FloatArray:
        """The numbers whose mean is the value: those of the visitors, or of a ratio its linearisation.

        Source: Deng, Knoblich & Lu (2018), KDD, section 3.
        """
        values = np.concatenate([part.values for part in self.rows])
        if isinstance(self.plain, Proportion):
            return (values > 0).astype(float)
        if isinstance(self.plain, Mean):
            return values
        below = np.concatenate([part.denominator for part in self.rows if part.denominator is not None])
        return self.plain.value + (values - self.plain.value * below) / self.plain.denominator_mean


Statistic = Part | Stratified | Covaried

STATISTICS: dict[StatisticKind, type[Part]] = {
    StatisticKind.PROPORTION: Proportion,
    StatisticKind.MEAN: Mean,
    StatisticKind.RATIO: Ratio,
    StatisticKind.TIME_TO_EVENT: EventTimes,
    StatisticKind.QUANTILE: Quantile,
}

# Statistics that are compared once, at the final look: no bounds for repeated looks are known for them.
ONE_LOOK_ONLY = frozenset({StatisticKind.QUANTILE})


def summarise(kind: StatisticKind, values: VisitorValues) -> Part:
    """Return the sufficient statistic of `kind` for the values of one variant's visitors."""
    return STATISTICS[kind].from_values(values)


def information_visitors(statistic: Statistic) -> float:
    """Return how many visitors, all known to the end, a statistic is worth: the unit in which looks are timed."""
    if isinstance(statistic, Stratified):
        return sum(information_visitors(part) for part in statistic.parts)
    return statistic.effective_visitors if isinstance(statistic, EventTimes) else float(statistic.visitors)


def information_between(treatment: Statistic, control: Statistic) -> float:
    """Return the harmonic number of visitors of a comparison, added up over periods that are compared on their own."""
    if isinstance(treatment, Stratified) and isinstance(control, Stratified):
        pairs = zip(treatment.parts, control.parts, strict=True)
    elif isinstance(treatment, Stratified) or isinstance(control, Stratified):
        raise TypeError("Both variants are divided into periods, or neither is.")
    else:
        return harmonic(information_visitors(treatment), information_visitors(control))
    return sum(harmonic(information_visitors(t), information_visitors(c)) for t, c in pairs)


def harmonic(n_t: float, n_c: float) -> float:
    return n_t * n_c / (n_t + n_c) if n_t and n_c else 0.0
