"""From per-visitor totals to the funnel of an experiment: who could have made each step by each look, and who did.

Only visitors who have had their time count for a step: otherwise a variant that merely makes people buy sooner would look like one
that makes more of them buy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from experiments.core.funnel import funnel_steps
from experiments.core.metric_kinds import METRIC_KINDS
from experiments.core.metrics import Aggregate, Column, MetricDefinition
from experiments.core.plan import AnalysisPlan
from reports.core.methods.base import Interval, critical_value
from reports.core.methods.newcombe import wilson_interval
from reports.core.progress import FIRST_LOOK_DAYS, Progress, microseconds
from reports.core.proxy.funnel import FunnelCounts, StepCount
from tracking.core.totals import VisitorTotals

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US

CONFIRMED, LEAKY = 0.98, 0.90
MOST_VIOLATIONS = 0.02
AUTOMATIC, TOO_RARE = 0.95, 1.5
LEAST_MACRO = 20  # macro conversions below which nothing is said of a step's place

Counts = NDArray[np.int64]


def plan_steps(plan: AnalysisPlan) -> tuple[MetricDefinition, ...]:
    """Return the funnel that the plan declares, of the metrics frozen with it; empty without one."""
    frozen = (m.metric for m in plan.metrics if not m.added_after_start)
    return funnel_steps(frozen, needs_windows=not plan.is_imported)


def first_name(step: MetricDefinition) -> str:
    return f"{step.key}.first"


def funnel_columns(plan: AnalysisPlan) -> tuple[Column, ...]:
    """Return the hours until each step was first made, as long as the longest window: for its place among the others.

    A step that counts within a day may well be made later by somebody who buys within a week, and lies on the way all the same.
    """
    steps = plan_steps(plan)
    windows = [step.window_hours for step in steps]
    longest = None if None in windows else max((w for w in windows if w is not None), default=None)
    return tuple(Column(first_name(s), s.event, Aggregate.FIRST_HOURS, s.where, end_hours=longest) for s in steps)


@dataclass(frozen=True, slots=True)
class Place:
    """Whether a milestone stands where it was declared to.

    `gateway` is the share of those who reached the macro and had made the step; `out_of_order` the share, of those with both,
    who made it after the macro; `reach` the share of visitors who made it. `is_demoted` says that it is no step for the engine.
    `passed` counts, per variant, who reached the macro and had made the step, and who reached the macro.
    """

    key: str
    name: str
    gateway: float | None
    gateway_interval: Interval | None
    out_of_order: float | None
    reach: float
    is_demoted: bool
    detail: str
    passed: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reached:
    """The funnel of an experiment at every look so far.

    `days` are the looks, (0,) when there is one only. Shapes: `at_risk` and `reached` of a variant are (looks, steps).
    """

    steps: tuple[MetricDefinition, ...]
    places: tuple[Place, ...]
    days: tuple[int, ...]
    at_risk: Mapping[str, Counts]
    reached: Mapping[str, Counts]

    def counts(self, variant: str, look: int = -1) -> FunnelCounts:
        rows = zip(self.at_risk[variant][look], self.reached[variant][look], strict=True)
        return FunnelCounts(tuple(StepCount(int(risk), int(got)) for risk, got in rows))


def reached_steps(plan: AnalysisPlan, totals: VisitorTotals, progress: Progress) -> Reached | None:
    """Count the plan's funnel; None when the plan declares none, or no milestone of it stands where it should.

    A visitor who made a step counts as having made the ones before, so that the macro conversion is never lost for a missing
    event on the way; a milestone that more than 2 % of the macro conversions go round is no step at all.

    Raises: KeyError when the totals lack a column of `funnel_columns`.
    """
    declared = plan_steps(plan)
    if not declared:
        return None
    did = [METRIC_KINDS[s.kind].values(s, totals.columns).numerator > 0 for s in declared]
    mature = [_first_look(window, totals, progress) for window in _windows(declared)]
    places = tuple(_place(step, declared[-1], totals, did[-1], mature[-1] >= 0) for step in declared[:-1])
    kept = [n for n, place in enumerate(places) if not place.is_demoted] + [len(declared) - 1]
    if len(kept) < 2:
        return Reached((), places, (), {}, {})
    steps = tuple(declared[n] for n in kept)
    mature = [_first_look(window, totals, progress) for window in _windows(steps)]
    deep = [np.logical_or.reduce([did[n] for n in kept[first:]]) for first in range(len(kept))]
    days = progress.look_days or (0,)
    at_risk, reached = {}, {}
    for index, variant in enumerate(totals.variants):
        mine = totals.variant == index
        risks, gots = [], []
        for n, look in enumerate(mature):
            could = mine & (look >= 0) & (deep[n - 1] if n else True)
            risks.append(_by_look(look[could], days))
            gots.append(_by_look(look[could & deep[n]], days))
        at_risk[variant], reached[variant] = np.stack(risks, axis=1), np.stack(gots, axis=1)
    return Reached(steps, places, days, at_risk, reached)


def _has_one_look(progress: Progress) -> bool:
    return progress.is_single_look or progress.is_before_first_look


def _windows(steps: Sequence[MetricDefinition]) -> list[float]:
    """Return how long each step must be followed: at least as long as those before it."""
    hours = np.maximum.accumulate([step.window_hours or 0.0 for step in steps])
    return [float(h) for h in hours]


def _first_look(window_hours: float, totals: VisitorTotals, progress: Progress) -> Counts:
    """Return the day of the first look at which each visitor has had the window's time, -1 for not yet."""
    matured_at = totals.first_exposure + round(window_hours * HOUR_US)
    is_mature = matured_at <= microseconds(progress.cut_at)
    if _has_one_look(progress) or progress.started_at is None:
        return np.where(is_mature, 0, -1)
    day = -((microseconds(progress.started_at) - matured_at) // DAY_US)
    return np.where(is_mature, np.maximum(day, FIRST_LOOK_DAYS), -1)


def _by_look(looks: Counts, days: tuple[int, ...]) -> Counts:
    """Return how many of these visitors count by each look."""
    result: Counts = np.searchsorted(np.sort(looks), np.asarray(days), side="right").astype(np.int64)
    return result


def _place(
    step: MetricDefinition,
    macro: MetricDefinition,
    totals: VisitorTotals,
    did_macro: NDArray[np.bool_],
    is_mature: NDArray[np.bool_],
) -> Place:
    """Test whether a milestone lies on the way, on visitors of all variants who have had their time."""
    hours, macro_hours = totals.columns[first_name(step)], totals.columns[first_name(macro)]
    did = ~np.isnan(hours)
    bought = did_macro & is_mature
    buyers, through = int(bought.sum()), int((bought & did).sum())
    visitors = int(is_mature.sum())
    reach = float((did & is_mature).sum()) / visitors if visitors else 0.0
    name = step.name or step.key
    passed = {
        variant: (int((bought & did & (totals.variant == n)).sum()), int((bought & (totals.variant == n)).sum()))
        for n, variant in enumerate(totals.variants)
    }
    if buyers < LEAST_MACRO:
        detail = f"{buyers} macro conversions are too few to say whether it lies on the way."
        return Place(step.key, name, None, None, None, reach, False, detail, passed)
    both = bought & did
    after = hours[both] > macro_hours[both]
    violations = float(after.mean()) if both.any() else 0.0
    gateway = through / buyers
    detail, is_demoted = "It lies on the way.", False
    if gateway < LEAKY:
        detail, is_demoted = "Many reach the macro conversion without it, so it counts as a secondary action.", True
    elif gateway < CONFIRMED:
        detail, is_demoted = (
            "Some reach the macro conversion without it: another way there, or events that get lost.",
            True,
        )
    elif violations > MOST_VIOLATIONS:
        detail, is_demoted = "It often happens only after the macro conversion.", True
    elif reach > AUTOMATIC or reach < TOO_RARE * buyers / max(visitors, 1):
        detail = (
            "It lies on the way, and is nearly as common as the visit or as rare as the macro: it will not tell sooner."
        )
    interval = wilson_interval(through, buyers, critical=critical_value(0.05))
    return Place(step.key, name, gateway, interval, violations, reach, is_demoted, detail, passed)
