"""Did the visitor come back and do it, in a stretch of days after the first exposure?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from experiments.core.metric_kinds.base import FloatArray, StatisticKind, VisitorValues
from experiments.core.metrics import Aggregate, Column, MetricDefinition

HOURS_A_DAY = 24.0
PERIOD = ("from_day", "to_day")


class RetentionKind:
    """1 for a visitor with at least one matching event from `from_day` until `to_day` after the first exposure, otherwise 0.

    `options["from_day"]` and `options["to_day"]` count days of 24 hours; an event at exactly `to_day` is out. The window ends
    with `to_day`, so that a visitor counts once the whole stretch has passed.
    """

    key = "retention"
    label = "Retention: visitors who came back in a stretch of days"
    statistic = StatisticKind.PROPORTION

    def check(self, metric: MetricDefinition) -> list[str]:
        faults = []
        if metric.cap is not None:
            faults.append("Retention is yes or no, so a cap has no meaning; leave it empty.")
        if metric.value_property:
            faults.append("Retention counts visitors, not amounts; leave the value property empty.")
        if metric.denominator_event:
            faults.append("Only a ratio has an event below the line; leave the denominator event empty.")
        period = _period(metric)
        if period is None:
            given = {name: metric.options.get(name) for name in PERIOD}
            faults.append(
                'Retention needs the days it looks at, for example the options {"from_day": 7, "to_day": 14}: numbers, the '
                f"first not below 0 and the second above it, not {given}."
            )
        elif metric.window_hours != period[1] * HOURS_A_DAY:
            given_window = "empty" if metric.window_hours is None else f"{metric.window_hours:g}"
            faults.append(
                f"Retention until day {period[1]:g} is known after {period[1] * HOURS_A_DAY:g} hours: give the window that "
                f"length, it is {given_window}."
            )
        return faults

    def columns(self, metric: MetricDefinition) -> tuple[Column, ...]:
        period = _period(metric)
        if period is None:
            raise ValueError(f"Retention metric '{metric.key}' does not say which days it looks at.")
        return (
            Column(
                name=metric.key,
                event=metric.event,
                aggregate=Aggregate.COUNT,
                where=metric.where,
                start_hours=period[0] * HOURS_A_DAY,
                end_hours=period[1] * HOURS_A_DAY,
            ),
        )

    def values(self, metric: MetricDefinition, columns: Mapping[str, FloatArray]) -> VisitorValues:
        return VisitorValues(numerator=(columns[metric.key] > 0).astype(np.float64))


def _period(metric: MetricDefinition) -> tuple[float, float] | None:
    """Return the days of a retention metric, or None when its options do not give any."""
    first, last = (metric.options.get(name) for name in PERIOD)
    for value in (first, last):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
    assert isinstance(first, int | float) and isinstance(last, int | float)
    return (float(first), float(last)) if 0 <= first < last < float("inf") else None
