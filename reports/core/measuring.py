"""How each kind of statistic is measured: most from matured visitors only, times from everybody, quantiles once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np

from experiments.core.metric_kinds import METRIC_KINDS
from experiments.core.metric_kinds.base import StatisticKind
from experiments.core.plan import AnalysisPlan, PlannedMetric
from reports.core.adjust.known_before import KnownBefore
from reports.core.event_times import STEPS, EventTimes, event_steps, steps_of
from reports.core.measure import MICROSECONDS_PER_HOUR, Measured, first_matured_look, measure
from reports.core.periods import period_of, side_by_side
from reports.core.progress import Progress, microseconds
from reports.core.statistics import summarise
from tracking.core.totals import VisitorTotals

# What a regression on covariates can adjust; times and quantiles have no such comparison.
ADJUSTABLE = frozenset({StatisticKind.PROPORTION, StatisticKind.MEAN, StatisticKind.RATIO})

Measuring = Callable[[AnalysisPlan, PlannedMetric, VisitorTotals, Progress], Measured]


def measured(plan: AnalysisPlan, planned: PlannedMetric, totals: VisitorTotals, progress: Progress) -> Measured:
    """Measure a metric in every variant of the totals, in the way of its kind; periods of different weights apart."""
    way = _MEASURING.get(METRIC_KINDS[planned.metric.kind].statistic, _matured)
    if not plan.has_changing_weights:
        return way(plan, planned, totals, progress)
    period = period_of(plan, totals.first_exposure)
    parts = [way(plan, planned, totals.of(period == index), progress) for index in range(len(plan.periods))]
    return side_by_side(plan, parts)


def measured_with(planned: PlannedMetric, totals: VisitorTotals, progress: Progress, known: KnownBefore) -> Measured:
    """Measure an adjustable metric together with what was known of its visitors before."""
    return measure(planned, totals, progress, known=known)


def _matured(plan: AnalysisPlan, planned: PlannedMetric, totals: VisitorTotals, progress: Progress) -> Measured:
    return measure(planned, totals, progress)


def _followed(plan: AnalysisPlan, planned: PlannedMetric, totals: VisitorTotals, progress: Progress) -> Measured:
    """Measure times: at each look every visitor exposed by then, followed until then and no longer.

    An event after the look is unknown at the look, whatever the store knows by now.
    """
    values = METRIC_KINDS[planned.metric.kind].values(planned.metric, totals.columns)
    if values.window_hours is None:
        raise ValueError(f"Metric '{planned.metric.key}' has no window, so its times have no end.")
    step_hours = values.window_hours / STEPS
    event = event_steps(values.numerator, step_hours)
    days = progress.look_days
    cuts = [progress.cut_at]
    if days and progress.started_at is not None:
        cuts = [progress.started_at + timedelta(days=day) for day in days]
    by_look: dict[str, tuple[EventTimes, ...]] = {}
    exposed: dict[str, int] = {}
    for index, variant in enumerate(totals.variants):
        is_theirs = totals.variant == index
        first, mine = totals.first_exposure[is_theirs], event[is_theirs]
        looks = []
        for cut in cuts:
            is_exposed = first <= microseconds(cut)
            hours = (microseconds(cut) - first[is_exposed]) / MICROSECONDS_PER_HOUR
            looks.append(EventTimes.from_steps(mine[is_exposed], steps_of(hours, step_hours)))
        by_look[variant] = tuple(looks)
        exposed[variant] = looks[-1].visitors
    now = {variant: looks[-1] for variant, looks in by_look.items()}
    return Measured(now=now, exposed=exposed, days=days, by_look=by_look if days else {})


def _once(plan: AnalysisPlan, planned: PlannedMetric, totals: VisitorTotals, progress: Progress) -> Measured:
    """Measure what is compared once: matured visitors at the latest look, without the looks before."""
    values = METRIC_KINDS[planned.metric.kind].values(planned.metric, totals.columns)
    is_mature = first_matured_look(planned, totals, progress) >= 0
    is_exposed = totals.first_exposure <= microseconds(progress.cut_at)
    now, exposed = {}, {}
    for index, variant in enumerate(totals.variants):
        is_theirs = totals.variant == index
        mine = replace(
            values,
            numerator=values.numerator[is_theirs & is_mature],
            seed=seed_of(plan, planned.metric.key, variant),
        )
        now[variant] = summarise(METRIC_KINDS[planned.metric.kind].statistic, mine)
        exposed[variant] = int(np.count_nonzero(is_theirs & is_exposed))
    return Measured(now=now, exposed=exposed, days=(), by_look={})


def seed_of(plan: AnalysisPlan, metric: str, variant: str) -> int:
    """Return the seed of a variant's bootstrap: fixed by the frozen plan, so that nobody can try for a better one.

    It has 48 bits, which every reader of JSON keeps whole.
    """
    text = f"{plan.hash()}/{metric}/{variant}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6])


_MEASURING: dict[StatisticKind, Measuring] = {
    StatisticKind.TIME_TO_EVENT: _followed,
    StatisticKind.QUANTILE: _once,
}
