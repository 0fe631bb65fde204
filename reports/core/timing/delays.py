"""How long conversions take in each variant: does a variant convert more visitors, or the same ones sooner?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.core.plan import AnalysisPlan, PlannedMetric
from reports.core.measure import first_matured_look
from reports.core.methods.base import two_sided_p
from reports.core.methods.score import z_difference
from reports.core.progress import Progress
from reports.core.timing.columns import hours_until
from tracking.core.totals import VisitorTotals

FloatArray = NDArray[np.float64]

POINTS = 20
LEAST_CONVERTED = 10  # in each variant by half the window
CLEARLY = (
    2.6  # standard errors (p < .01) that a curve must lie above the other one, and later below it, to have crossed it
)


@dataclass(frozen=True, slots=True)
class DelayCheck:
    """A treatment's lift at half and at the whole window, and the p-value of both being the same."""

    half_lift: float
    full_lift: float
    p_value: float
    crosses: bool


@dataclass(frozen=True, slots=True)
class Delays:
    """The share converted by each hour, among visitors whose window has passed.

    Shapes: `hours` and each of `shares` (points,); the last point is the end of the window.
    """

    hours: tuple[float, ...]
    visitors: Mapping[str, int]
    shares: Mapping[str, tuple[float, ...]]
    checks: Mapping[str, DelayCheck]


def delays_of(plan: AnalysisPlan, planned: PlannedMetric, totals: VisitorTotals, progress: Progress) -> Delays | None:
    """Return the delay curves of a conversion; None for other metrics, and without matured visitors of every variant.

    Only visitors followed to the end take part: a curve of all would bend where the youngest ones drop out. Where the
    weights changed on the way there are no curves, because the visitors of different periods must not be added up.
    """
    window, hours = planned.metric.window_hours, hours_until(planned.metric, totals)
    if window is None or hours is None or plan.has_changing_weights:
        return None
    is_mature = first_matured_look(planned, totals, progress) >= 0
    points = window * np.arange(1, POINTS + 1) / POINTS
    counts, visitors = {}, {}
    for variant in plan.variants:
        mine = is_mature & (totals.variant == totals.variants.index(variant.key))
        known = np.sort(hours[mine & ~np.isnan(hours)])
        counts[variant.key] = np.searchsorted(known, points, side="left")
        visitors[variant.key] = int(np.count_nonzero(mine))
    if not all(visitors.values()):
        return None
    control = plan.control.key
    checks = {
        v.key: check
        for v in plan.treatments
        if (check := delay_check(counts[v.key], visitors[v.key], counts[control], visitors[control])) is not None
    }
    shares = {key: tuple(float(x) / visitors[key] for x in row) for key, row in counts.items()}
    return Delays(tuple(float(p) for p in points), visitors, shares, checks)


def delay_check(x_t: NDArray[np.int64], n_t: int, x_c: NDArray[np.int64], n_c: int) -> DelayCheck | None:
    """Compare the lifts at half and at the whole window; None with hardly any conversion by half of it.

    Who converted by half the window is among those at its end, so within a variant the log of the one share over the other
    has the variance 1/x_half - 1/x_full.

    Shapes: `x_t` and `x_c` (points,), converted by each point. Checked against: simulation of curves of one shape.
    """
    half = POINTS // 2 - 1
    if min(x_t[half], x_c[half]) < LEAST_CONVERTED:
        return None
    lifts = [float((x_t[k] / n_t) / (x_c[k] / n_c) - 1) for k in (half, -1)]
    variance = sum(1 / x[half] - 1 / x[-1] for x in (x_t, x_c))
    gap = math.log1p(lifts[1]) - math.log1p(lifts[0])
    p_value = two_sided_p(gap / math.sqrt(variance)) if variance > 0 else 1.0
    z = z_difference(0.0, x_t, np.full(POINTS, n_t), x_c, np.full(POINTS, n_c))
    above, below = np.flatnonzero(z > CLEARLY), np.flatnonzero(z < -CLEARLY)
    return DelayCheck(lifts[0], lifts[1], p_value, bool(len(above) and len(below)))
