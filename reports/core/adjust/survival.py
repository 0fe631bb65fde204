"""Conversions that take time: Kaplan-Meier's estimate from visitors who are still being followed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Survival:
    """The share that has not converted, as a step function of time.

    Shapes: all (times with a conversion,). Units: `times` as given; `survival` holds from its time on.
    """

    times: FloatArray
    survival: FloatArray
    standard_error: FloatArray

    def converted_by(self, time: float) -> tuple[float, float]:
        """Return the share that has converted by `time`, and its standard error."""
        index = int(np.searchsorted(self.times, time, side="right")) - 1
        if index < 0:
            return 0.0, 0.0
        return 1 - float(self.survival[index]), float(self.standard_error[index])


def kaplan_meier(time: ArrayLike, is_event: ArrayLike) -> Survival:
    """Return the product-limit estimate with Greenwood's standard error.

    `time` is when a visitor converted (`is_event`) or how long one has been followed without converting. A visitor followed
    up to exactly the time of a conversion still counts as at risk there.

    Shapes: both (visitors,). Raises: ValueError for negative or missing times.
    Source: Kaplan & Meier (1958), JASA 53:457-481; Greenwood (1926).
    Checked against: statsmodels.duration.SurvfuncRight; R survival.
    """
    t, event = np.asarray(time, dtype=float), np.asarray(is_event, dtype=bool)
    if np.any(~(t >= 0)):
        raise ValueError("Times are not negative and not missing.")
    times, converted = np.unique(t[event], return_counts=True)
    at_risk = len(t) - np.searchsorted(np.sort(t), times, side="left")
    survival = np.asarray(np.cumprod(1 - converted / at_risk), dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = converted / (at_risk * (at_risk - converted))
    error = survival * np.sqrt(np.cumsum(np.where(np.isfinite(terms), terms, 0.0)))
    return Survival(times, survival, error)


def log_rank(
    time: Sequence[float], is_event: Sequence[int], other_time: Sequence[float], other_event: Sequence[int]
) -> tuple[float, float]:
    """Return chi-square and p of the log-rank test of two groups.

    It also reacts to timing alone, so it is an early sign and never the verdict.

    Source: Mantel (1966); Peto & Peto (1972), JRSS A 135:185-206. Checked against: R survdiff.
    """
    t = np.concatenate([np.asarray(time, dtype=float), np.asarray(other_time, dtype=float)])
    event = np.concatenate([np.asarray(is_event, dtype=bool), np.asarray(other_event, dtype=bool)])
    is_first = np.arange(len(t)) < len(time)
    times = np.unique(t[event])
    at_risk = (t[None, :] >= times[:, None]).astype(float)
    n, n_first = at_risk.sum(axis=1), (at_risk * is_first).sum(axis=1)
    happening = (t[None, :] == times[:, None]) & event[None, :]
    d, d_first = happening.sum(axis=1), (happening & is_first).sum(axis=1)
    gap = float(np.sum(d_first - d * n_first / n))
    variance = float(np.sum(d * (n_first / n) * (1 - n_first / n) * (n - d) / np.maximum(n - 1, 1)))
    chi_square = gap * gap / variance
    return chi_square, float(special.chdtrc(1, chi_square))
