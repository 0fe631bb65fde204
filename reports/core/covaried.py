"""One variant's visitors with what was known of them before: a statistic that keeps its rows, for comparisons that adjust."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from reports.core.statistics import Mean, Proportion, Ratio

FloatArray = NDArray[np.float64]

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


@dataclass(frozen=True, slots=True, eq=False)
class Covaried:
    """A plain statistic and the rows that it sums up. Adding keeps references to the rows and copies none."""

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
