"""The value below which a share of the visitors lies, as a statistic: it keeps the values, and draws its own bootstrap."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import special

from experiments.core.metric_kinds.base import VisitorValues

FloatArray = NDArray[np.float64]

REPLICATES = 9_999


@dataclass(frozen=True, slots=True, eq=False)
class Quantile:
    """The quantile `level` of the values of those visitors who have one.

    The quantile is the smallest value that at least this share of the values does not exceed, so it is always a value that
    somebody has. `seed` is where the bootstrap's chance comes from.

    Shapes: `values` (visitors with a value,), sorted.
    """

    visitors: int
    level: float
    seed: int
    values: FloatArray

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"A quantile lies between 0 and 1, not at {self.level}.")
        if len(self.values) > self.visitors:
            raise ValueError(f"{len(self.values)} values are too many for {self.visitors} visitors.")
        if not np.all(np.isfinite(self.values)) or np.any(np.diff(self.values) < 0):
            raise ValueError("The values of a quantile are finite and sorted.")

    @classmethod
    def from_values(cls, values: VisitorValues) -> Self:
        """Leave out the visitors without a value (NaN).

        Raises: ValueError when the values do not say which quantile is meant.
        """
        if values.level is None:
            raise ValueError("Values need a level to take a quantile at.")
        array = values.numerator
        return cls(len(array), values.level, values.seed, np.sort(array[~np.isnan(array)]))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Quantile)
            and (self.visitors, self.level, self.seed) == (other.visitors, other.level, other.seed)
            and np.array_equal(self.values, other.values)
        )

    def __hash__(self) -> int:
        return hash((self.visitors, self.level, self.seed, self.values.tobytes()))

    def __add__(self, other: Self) -> Self:
        if self.level != other.level:
            raise ValueError(f"A quantile at {self.level} and one at {other.level} do not add up.")
        merged = np.sort(np.concatenate([self.values, other.values]), kind="stable")
        return type(self)(self.visitors + other.visitors, self.level, self.seed, merged)

    @property
    def value(self) -> float:
        """The quantile; NaN without values."""
        return float(self.values[_rank(self.level, len(self.values)) - 1]) if len(self.values) else math.nan

    @property
    def active(self) -> int:
        """The visitors with a value other than 0."""
        return int(np.count_nonzero(self.values))

    @property
    def total(self) -> float:
        return float(self.active)

    @property
    def variance(self) -> float:
        """The variance of the quantile times the visitors, so that divided by them it is that of the quantile.

        Source: Maritz & Jarrett (1978), JASA 73:194-196, the exact variance of the bootstrap.
        Checked against: scipy.stats.mstats.mjci; the spread of the bootstrap itself.
        """
        n = len(self.values)
        if n < 2:
            return math.nan
        rank = _rank(self.level, n)
        weights = np.diff(special.betainc(rank, n - rank + 1, np.arange(n + 1) / n))
        mean = float(weights @ self.values)
        return float(weights @ (self.values - mean) ** 2) * self.visitors

    def resampled(self, replicates: int = REPLICATES) -> FloatArray:
        """Return the quantile of so many resamples of the visitors, each drawn with replacement.

        A resample itself is never made: the quantile's rank in uniform numbers is a Beta number, and that says which of the
        sorted values it is. The distribution is exactly the bootstrap's, at the cost of a few numbers a replicate.

        Shapes: (replicates,). Raises: ValueError without values.
        Source: Efron (1979), Annals of Statistics 7:1-26, section 3 (exact bootstrap of the median).
        Checked against: scipy.stats.bootstrap.
        """
        n = len(self.values)
        if not n:
            raise ValueError("Without values there is nothing to resample.")
        rng = np.random.default_rng(self.seed)
        # A resample of visitors has now more, now fewer with a value.
        sizes = np.maximum(rng.binomial(self.visitors, n / self.visitors, replicates), 1)
        ranks = np.clip(np.ceil(self.level * sizes - 1e-9), 1, sizes)
        places = np.ceil(n * rng.beta(ranks, sizes - ranks + 1)).astype(np.int64)
        return self.values[np.clip(places, 1, n) - 1]


def _rank(level: float, values: int) -> int:
    """Return the rank of the quantile among so many values, from 1."""
    return min(max(math.ceil(level * values - 1e-9), 1), values)
