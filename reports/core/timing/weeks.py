"""The effect by the week in which visitors were first exposed: does it hold for those who came later?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from scipy import special

from experiments.core.metric_kinds import METRIC_KINDS
from experiments.core.plan import AnalysisPlan, PlannedMetric
from reports.core.measuring import measured
from reports.core.methods import compare
from reports.core.methods.base import Comparison, NotComputable, critical_value
from reports.core.progress import Progress, microseconds, moment
from reports.core.statistics import ONE_LOOK_ONLY, Statistic
from tracking.core.totals import VisitorTotals

WEEK_US = 7 * 86_400_000_000
MOST_WEEKS = 26


@dataclass(frozen=True, slots=True)
class Week:
    """The visitors first exposed in one week: the value of each variant, and each treatment compared at one look."""

    starts_at: datetime
    values: Mapping[str, Statistic]
    comparisons: Mapping[str, Comparison | NotComputable]


@dataclass(frozen=True, slots=True)
class Weeks:
    """`same_effect_p` is, per treatment, the p-value of one effect in all weeks; None with fewer than two that can tell."""

    weeks: tuple[Week, ...]
    same_effect_p: Mapping[str, float | None]


def weeks_of(plan: AnalysisPlan, planned: PlannedMetric, totals: VisitorTotals, progress: Progress) -> Weeks | None:
    """Return the metric by exposure week; None while there is one week only.

    Each interval is that of a single look at one week: many of them, so one of them will look strange by chance. They are
    for learning; the verdict rests on none of them.
    """
    if METRIC_KINDS[planned.metric.kind].statistic in ONE_LOOK_ONLY and not progress.is_final:
        return None
    cut = microseconds(progress.cut_at)
    first = totals.first_exposure[totals.first_exposure < cut]
    if not len(first):
        return None
    start = microseconds(progress.started_at) if progress.started_at is not None else int(first.min())
    start = min(start, int(first.min()))
    count = (int(first.max()) - start) // WEEK_US + 1
    if not 2 <= count <= MOST_WEEKS:
        return None
    week = (totals.first_exposure - start) // WEEK_US
    # One look at what is known at the latest look, whichever look that is.
    at_once = replace(progress, is_single_look=True, as_of=progress.cut_at)
    weeks = tuple(
        _week(plan, planned, totals.of(week == number), at_once, moment(start + number * WEEK_US))
        for number in range(count)
    )
    return Weeks(weeks, {v.key: same_effect_p([w.comparisons[v.key] for w in weeks]) for v in plan.treatments})


def _week(
    plan: AnalysisPlan, planned: PlannedMetric, totals: VisitorTotals, progress: Progress, starts_at: datetime
) -> Week:
    now = measured(plan, planned, totals, progress).now
    control = now[plan.control.key]
    comparisons = {v.key: compare(now[v.key], control, alpha=plan.alpha) for v in plan.treatments}
    return Week(starts_at, {v.key: now[v.key] for v in plan.variants}, comparisons)


def same_effect_p(comparisons: Sequence[Comparison | NotComputable]) -> float | None:
    """Return the p-value of the hypothesis that independent comparisons show one effect.

    Source: Cochran (1954), Biometrics 10:101-129. Checked against: the formula worked by hand.
    """
    pairs = [
        (c.effect, (c.interval.high - c.interval.low) / (2 * critical_value(c.alpha)))
        for c in comparisons
        if isinstance(c, Comparison) and math.isfinite(c.interval.low) and math.isfinite(c.interval.high)
    ]
    known = [(effect, error) for effect, error in pairs if error > 0]
    if len(known) < 2:
        return None
    effects, errors = np.array(known).T
    weights = errors**-2
    mean = float(weights @ effects / weights.sum())
    return float(special.chdtrc(len(known) - 1, float(weights @ (effects - mean) ** 2)))
