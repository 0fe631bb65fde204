"""What time does to an experiment: effects by week and by day, delays, and what was so before. None of it enters a verdict."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.core.metrics import Role
from experiments.core.plan import AnalysisPlan, PlannedMetric
from reports.core.progress import Progress
from reports.core.timing.before import Before, before_of
from reports.core.timing.delays import Delays, delays_of
from reports.core.timing.newcomers import Newcomers, newcomers_of
from reports.core.timing.novelty import Novelty, novelty_of
from reports.core.timing.weeks import Weeks, weeks_of
from tracking.core.totals import VisitorTotals

WATCHED = (Role.PRIMARY, Role.PROXY, Role.GUARDRAIL)


@dataclass(frozen=True, slots=True)
class MetricTiming:
    """What time does to one metric; None where the visitors so far say nothing of it."""

    key: str
    name: str
    weeks: Weeks | None
    delays: Delays | None
    novelty: tuple[Novelty, ...]
    newcomers: Newcomers | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """What time does to the metrics that decide or guard, and how alike the variants were before the exposure."""

    metrics: tuple[MetricTiming, ...]
    before: tuple[Before, ...]


NOTHING = Timing((), ())


def timing_of(plan: AnalysisPlan, totals: VisitorTotals, progress: Progress) -> Timing:
    """Look at the metrics that decide or guard, from the first look on; before it effects are not shown."""
    watched = [m for m in plan.metrics if m.role in WATCHED]
    if progress.is_before_first_look:
        return Timing((), before_of(plan, watched, totals, progress))
    return Timing(
        tuple(_timing(plan, planned, totals, progress) for planned in watched),
        before_of(plan, watched, totals, progress),
    )


def _timing(plan: AnalysisPlan, planned: PlannedMetric, totals: VisitorTotals, progress: Progress) -> MetricTiming:
    return MetricTiming(
        planned.metric.key,
        planned.metric.name or planned.metric.key,
        weeks_of(plan, planned, totals, progress),
        delays_of(plan, planned, totals, progress),
        novelty_of(plan, planned, totals, progress),
        newcomers_of(plan, planned, totals, progress),
    )


__all__ = [
    "NOTHING",
    "WATCHED",
    "Before",
    "Delays",
    "MetricTiming",
    "Newcomers",
    "Novelty",
    "Timing",
    "Weeks",
    "timing_of",
]
