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
    seen = {}
    for index, variant in enumerate(totals.variants):
        mine = days[rows & (totals.variant == index)] >> DAYS_BEFORE
        # Most visitors did nothing on any day; they count, and need no row.
        mine, visitors = mine[mine != 0], len(mine)
        seen[variant] = DailyActivity(((mine[:, None] >> np.arange(DAYS_AFTER)) & 1).astype(np.float64), visitors)
    control = seen[plan.control.key]
    found = []
    for treatment in plan.treatments:
        trend = daily_trend(seen[treatment.key], control)
        if trend is not None:
            found.append(Novelty(treatment.key, seen[treatment.key].visitors + control.visitors, *trend))
    return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class DailyActivity:
    """Who did it on which day. Shapes: `active` (visitors who did it at all, days), 1 for a day on which they did."""

    active: FloatArray
    visitors: int

    @property
    def share(self) -> FloatArray:
        """The share of the visitors on each day. Shapes: (days,)."""
        return np.asarray(self.active.sum(axis=0) / max(self.visitors, 1))

    def log_covariance(self, days: NDArray[np.int64]) -> FloatArray:
        """Return the covariance of the logarithms of the shares of some days. Shapes: (days, days)."""
        share, active = self.share[days], self.active[:, days]
        together, apart = (active.T @ active) / self.visitors, np.outer(share, share)
        return np.asarray((together - apart) / apart / self.visitors, dtype=np.float64)


def daily_trend(
    treatment: DailyActivity, control: DailyActivity
) -> tuple[tuple[float | None, ...], float, float, float] | None:
    """Return the lifts by day, their weighted mean and slope on the log scale, and the slope's standard error.

    Weighted least squares on the logarithms of the daily ratios; a visitor's days hang together, so the variance of the
    slope comes from their covariance. None with fewer than four days on which ten visitors of each variant did it.

    Source: weighted least squares with a sandwich variance, clustered by visitor (Liang & Zeger 1986, Biometrika 73:13-22).
    Checked against: statsmodels GEE (Poisson, independence) with robust errors.
    """
    counts = np.array([treatment.active.sum(axis=0), control.active.sum(axis=0)])
    kept = np.flatnonzero(counts.min(axis=0) >= LEAST_ACTIVE)
    if len(kept) < LEAST_DAYS:
        return None
    logs = np.log(treatment.share[kept]) - np.log(control.share[kept])
    covariance = treatment.log_covariance(kept) + control.log_covariance(kept)
    if not np.all(np.diag(covariance) > 0):
        return None
    weights = 1 / np.diag(covariance)
    weights /= weights.sum()
    gap = kept - weights @ kept
    row = weights * gap / (weights @ gap**2)
    lifts: list[float | None] = [None] * treatment.active.shape[1]
    for day, value in zip(kept, logs, strict=True):
        lifts[int(day)] = math.expm1(float(value))
    error = math.sqrt(float(row @ covariance @ row))
    return tuple(lifts), float(weights @ logs), float(row @ logs), error
