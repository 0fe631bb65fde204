"""Comparing shares within strata and pooling the comparisons: periods of different allocation, returning or new visitors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.core.methods.base import Blocker, Comparison, NotComputable
from reports.core.methods.by_period import StratifiedShares
from reports.core.statistics import Proportion

FloatArray = NDArray[np.float64]

LEAST_VISITORS = 10
MOST_STRATA = 6


@dataclass(frozen=True, slots=True)
class Stratum:
    """One part of the visitors, in both variants."""

    treatment: Proportion
    control: Proportion

    @property
    def visitors(self) -> int:
        return self.treatment.visitors + self.control.visitors

    def __add__(self, other: Stratum) -> Stratum:
        return Stratum(self.treatment + other.treatment, self.control + other.control)


@dataclass(frozen=True, slots=True)
class Pooled:
    """What the strata say together. `chi_square` is Cochran, Mantel and Haenszel's, without continuity correction."""

    risk_ratio: float
    risk_difference: float
    chi_square: float


def mantel_haenszel(strata: Sequence[Stratum]) -> Pooled | NotComputable:
    """Return the pooled ratio and difference of shares and the test of both.

    Strata with visitors in one variant only say nothing and carry no weight.

    Source: Mantel & Haenszel (1959), JNCI 22:719-748; Greenland & Robins (1985), Biometrics 41:55-68.
    Checked against: statsmodels StratifiedTable; Crook et al. (2009), whose pooled totals point the wrong way.
    """
    x_t, n_t, x_c, n_c = _counts(strata)
    if not len(x_t):
        return NotComputable(Blocker.NO_VISITORS, "No stratum has visitors in both variants.")
    total = n_t + n_c
    converted = x_t + x_c
    variance = np.sum(n_t * n_c * converted * (total - converted) / (total**2 * np.maximum(total - 1, 1)))
    if not variance > 0:
        return NotComputable(Blocker.NO_VARIATION, "Within the strata nobody converted, or everybody did.")
    gap = float(np.sum(x_t - n_t * converted / total))
    above, below = float(np.sum(x_t * n_c / total)), float(np.sum(x_c * n_t / total))
    return Pooled(
        risk_ratio=above / below if below else float("inf"),
        risk_difference=(above - below) / float(np.sum(n_t * n_c / total)),
        chi_square=gap * gap / float(variance),
    )


def compare_strata(strata: Sequence[Stratum], *, alpha: float) -> Comparison | NotComputable:
    """Compare shares within strata: the test of Cochran, Mantel and Haenszel, and the interval that inverts it.

    The score of a difference is summed over strata with weights n_t n_c / (n_t + n_c); at no difference its square is the
    test, so the interval excludes 0 exactly when p < alpha.

    Source: Miettinen & Nurminen (1985), section on stratified comparison; Yan & Su (2010).
    Checked against: statsmodels StratifiedTable.test_null_odds; one stratum, where it is the plain comparison.
    """
    pooled = mantel_haenszel(strata)
    if isinstance(pooled, NotComputable):
        return pooled
    return StratifiedShares(*_counts(strata)).compare("stratified_score", alpha=alpha)


def _counts(strata: Sequence[Stratum]) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    rows = [
        (s.treatment.converted, s.treatment.visitors, s.control.converted, s.control.visitors)
        for s in strata
        if s.treatment.visitors and s.control.visitors
    ]
    table = np.asarray(rows, dtype=float).reshape(-1, 4)
    return table[:, 0], table[:, 1], table[:, 2], table[:, 3]


def merged(strata: Sequence[Stratum]) -> tuple[Stratum, ...]:
    """Return at most six strata with ten visitors or more in each variant, the smallest merged first.

    Only sizes are looked at, never outcomes, so merging favours no variant.
    """
    parts = sorted(strata, key=lambda s: s.visitors)
    while len(parts) > 1:
        small = next((s for s in parts if _smallest(s) < LEAST_VISITORS), None)
        if small is None and len(parts) <= MOST_STRATA:
            break
        first = parts.pop(parts.index(small) if small is not None else 0)
        parts[0] = first + parts[0]
        parts.sort(key=lambda s: s.visitors)
    return tuple(parts)


def _smallest(stratum: Stratum) -> int:
    return min(stratum.treatment.visitors, stratum.control.visitors)
