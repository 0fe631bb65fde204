"""A site's own past as the planner sees it: how many new visitors a week brings, and what they do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from statistics import median, stdev
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from experiments.core.metric_kinds import METRIC_KINDS
from experiments.core.metrics import MetricDefinition
from reports.core.event_times import EventTimes
from reports.core.methods.single import value_interval
from reports.core.progress import microseconds
from reports.core.statistics import Mean, Proportion, Ratio, Statistic, summarise
from tracking.core.history import VisitorHistory

MOST_WEEKS = 8
LEAST_WEEKS = 4
DAYS_A_WEEK = 7
MICROSECONDS_PER_HOUR = 3_600_000_000


def period(today: date, time_zone: str, *, weeks: int = MOST_WEEKS) -> tuple[int, int]:
    """Return the `weeks` full weeks that end with the day before `today`, in the site's zone. Units: microseconds UTC."""
    return _midnight(today - timedelta(days=weeks * DAYS_A_WEEK), time_zone), _midnight(today, time_zone)


def _midnight(day: date, time_zone: str) -> int:
    return microseconds(datetime.combine(day, time.min, tzinfo=ZoneInfo(time_zone)).astimezone(UTC))


@dataclass(frozen=True, slots=True)
class Traffic:
    """How many visitors a week newly meet the site.

    `by_weekday` (Monday first) are medians over the full weeks; `deviation` is the spread of whole weeks. With numbers that
    somebody gave, `full_weeks` is 0, `by_weekday` empty and the deviation 0.
    """

    per_week: float
    deviation: float
    full_weeks: int
    by_weekday: tuple[float, ...] = ()
    first_day: str | None = None
    last_day: str | None = None

    @property
    def is_given(self) -> bool:
        return self.full_weeks == 0


def traffic_of(
    first_seen: NDArray[np.int64], *, today: date, time_zone: str, weeks: int = MOST_WEEKS
) -> Traffic | None:
    """Return the traffic of the last full weeks before `today`; None when there is not even one.

    A visitor counts once, on the day first seen in the period: an experiment, too, takes everybody in once. Weeks are
    counted backwards from `today`; the one in which the site's record begins is left out.

    Shapes: `first_seen` (visitors,).
    """
    edges = [_midnight(today - timedelta(days=n), time_zone) for n in range(weeks * DAYS_A_WEEK, -1, -1)]
    counts = np.histogram(first_seen, bins=np.asarray(edges, dtype=np.float64))[0]
    if not counts.any():
        return None
    begun = int(np.flatnonzero(counts)[0])
    full = (len(counts) - begun) // DAYS_A_WEEK
    if not full:
        return None
    table = counts[len(counts) - full * DAYS_A_WEEK :].reshape(full, DAYS_A_WEEK)
    if not table.any():
        return None
    start = today - timedelta(days=full * DAYS_A_WEEK)
    by_place = [float(median(table[:, place].tolist())) for place in range(DAYS_A_WEEK)]
    by_weekday = tuple(by_place[(weekday - start.weekday()) % DAYS_A_WEEK] for weekday in range(DAYS_A_WEEK))
    return Traffic(
        # With a visitor now and then, the usual day has none; the weeks still have some.
        per_week=sum(by_weekday) or float(table.sum()) / full,
        deviation=float(stdev(table.sum(axis=1).tolist())) if full > 1 else 0.0,
        full_weeks=full,
        by_weekday=by_weekday,
        first_day=start.isoformat(),
        last_day=(today - timedelta(days=1)).isoformat(),
    )


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a metric is today: its value with a 95 % interval, and how many visitors say so (0 for a rate somebody gave).

    `deviation` is the spread of one visitor's value; None for a share of visitors.
    """

    value: float
    low: float | None
    high: float | None
    visitors: int
    deviation: float | None


@dataclass(frozen=True, slots=True)
class NoBaseline:
    """Why a metric has no baseline. `code` is for machines."""

    code: str
    message: str
    advice: str


def baseline_of(metric: MetricDefinition, history: VisitorHistory, *, as_of: int) -> Baseline | NoBaseline:
    """Return what the metric was among visitors whose window has passed. Units: `as_of` in microseconds since 1970 UTC."""
    kind = METRIC_KINDS[metric.kind]
    window = round((metric.window_hours or 0.0) * MICROSECONDS_PER_HOUR)
    matured = history.first_seen + window <= as_of
    statistic: Statistic = summarise(
        kind.statistic, kind.values(metric, {name: column[matured] for name, column in history.columns.items()})
    )
    if isinstance(statistic, EventTimes):
        # Everybody here has been followed to the end, so the share is a plain one.
        statistic = Proportion(statistic.visitors, round(statistic.total))
    if not isinstance(statistic, Proportion | Mean | Ratio):
        return NoBaseline(
            "kind_cannot_be_planned",
            f"A metric of the kind '{metric.kind}' has no formula for its size.",
            "Plan with a metric that counts or adds up, and keep this one as an exploratory metric.",
        )
    if statistic.visitors < 2:
        return NoBaseline(
            "no_history",
            "No visitor of the last weeks has been followed for the whole window of this metric.",
            "Wait until there is history, or give visitors per week and the rate yourself.",
        )
    interval = value_interval(statistic, alpha=0.05)
    low, high = (interval.low, interval.high) if interval else (None, None)
    if isinstance(statistic, Proportion):
        if statistic.converted == 0:
            return NoBaseline(
                "never_happened",
                f"None of {statistic.visitors:,} visitors did it, so there is no rate to plan with.",
                f"Check that '{metric.event}' arrives, or give the rate yourself.",
            )
        if statistic.value >= 0.95:
            return NoBaseline(
                "nobody_else_seen",
                f"{statistic.value * 100:.1f} % of {statistic.visitors:,} visitors did it: visits without it seem not to be recorded.",
                "Send an event for every visit (a page view), or name the event with which a visit begins.",
            )
        return Baseline(statistic.value, low, high, statistic.visitors, None)
    if not statistic.variance > 0 or statistic.value == 0 or not math.isfinite(statistic.value):
        return NoBaseline(
            "never_happened",
            f"All of {statistic.visitors:,} visitors have the same value, so there is no spread to plan with.",
            f"Check that '{metric.event}' arrives with the values you expect.",
        )
    return Baseline(statistic.value, low, high, statistic.visitors, math.sqrt(statistic.variance))


def given_traffic(per_week: float) -> Traffic:
    return Traffic(per_week=per_week, deviation=0.0, full_weeks=0)


def given_rate(rate: float) -> Baseline:
    return Baseline(value=rate, low=None, high=None, visitors=0, deviation=None)


def is_short(traffic: Traffic) -> bool:
    """Tell whether the history is shorter than the four weeks that planning asks for."""
    return not traffic.is_given and traffic.full_weeks < LEAST_WEEKS
