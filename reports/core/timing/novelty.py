"""Does an effect wear off as the days pass since a visitor first met the variant?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.core.metrics import Role
from experiments.core.plan import AnalysisPlan, PlannedMetric
from reports.core.methods.base import two_sided_p
from reports.core.progress import Progress, microseconds
from reports.core.timing.columns import DAYS_AFTER, DAYS_BEFORE, active_days
from tracking.core.totals import VisitorTotals

FloatArray = NDArray[np.float64]

DAY_US = 86_400_000_000
LEAST_ACTIVE = 10  # visitors of each variant on a day, below which the day says nothing
LEAST_DAYS = 4


@dataclass(frozen=True, slots=True)
class Novelty:
    """The lift on each day since the exposure, among visitors who have been followed for all of them.

    `slope` is the change of log(1 + lift) a day, with its standard error; `lifts` are None on days with hardly any event.
    Shapes: `lifts` (days,).
    """

    variant: str
    visitors: int
    lifts: tuple[float | None, ...]
    mean: float
    slope: float
    standard_error: float

    @property
    def p_value(self) -> float:
        return two_sided_p(self.slope / self.standard_error)

    @property
    def is_shrinking(self) -> bool:
        return self.slope * self.mean < 0


def novelty_of(
    plan: AnalysisPlan, planned: PlannedMetric, totals: VisitorTotals, progress: Progress
) -> tuple[Novelty, ...]:
    """Return the trend of each treatment's daily lift in one fixed group: visitors followed for seven days.

    The share of visitors who do it falls from day to day in every variant, and a difference of shares with it; a lift does
    not, unless the effect wears off. Only metrics that may win are looked at, and only while the weights stayed the same.
    """
    days = active_days(planned.metric, totals)
    if days is None or planned.role not in (Role.PRIMARY, Role.PROXY) or plan.has_changing_weights:
        return ()
    rows = totals.first_exposure + DAYS_AFTER * DAY_US <= microseconds(progress.cut_at)
    active = (days[rows, None] >> np.arange(DAYS_BEFORE, DAYS_BEFORE + DAYS_AFTER)) & 1
    variant = totals.variant[rows]
    control = active[variant == totals.variants.index(plan.control.key)]
    found = []
    for treatment in plan.treatments:
        mine = active[variant == totals.variants.index(treatment.key)]
        trend = daily_trend(mine, control)
        if trend is not None:
            found.append(Novelty(treatment.key, len(mine) + len(control), *trend))
    return tuple(found)


def daily_trend(
    treatment: NDArray[np.int64], control: NDArray[np.int64]
) -> tuple[tuple[float | None, ...], float, float, float] | None:
    """Return the lifts by day, their weighted mean and slope on the log scale, and the slope's standard error.

    Weighted least squares on the logarithms of the daily ratios; a visitor's days hang together, so the variance of the
    slope comes from their covariance.

    Shapes: both (visitors, days), 1 for a visitor who did it on that day. Source: weighted least squares with a sandwich
    variance, clustered by visitor (Liang & Zeger 1986, Biometrika 73:13-22).
    Checked against: statsmodels GEE (Poisson, independence) with robust errors.
    """
    counts = np.array([treatment.sum(axis=0), control.sum(axis=0)])
    kept = np.flatnonzero(counts.min(axis=0) >= LEAST_ACTIVE) if len(treatment) and len(control) else np.array([], int)
    if len(kept) < LEAST_DAYS:
        return None
    logs = np.log(counts[0, kept] / len(treatment)) - np.log(counts[1, kept] / len(control))
    covariance = _log_covariance(treatment[:, kept]) + _log_covariance(control[:, kept])
    if not np.all(np.diag(covariance) > 0):
        return None
    weights = 1 / np.diag(covariance)
    weights /= weights.sum()
    gap = kept - weights @ kept
    row = weights * gap / (weights @ gap**2)
    lifts: list[float | None] = [None] * treatment.shape[1]
    for day, value in zip(kept, logs, strict=True):
        lifts[int(day)] = math.expm1(float(value))
    error = math.sqrt(float(row @ covariance @ row))
    return tuple(lifts), float(weights @ logs), float(row @ logs), error


def _log_covariance(active: NDArray[np.int64]) -> FloatArray:
    """Return the covariance of the logarithms of the daily shares. Shapes: (visitors, days) to (days, days)."""
    n = len(active)
    share = active.mean(axis=0)
    together = (active.T @ active) / n
    return np.asarray((together - np.outer(share, share)) / np.outer(share, share) / n, dtype=np.float64)
