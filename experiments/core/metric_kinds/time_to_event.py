"""Did the visitor do it within the window, and if it is not over, has the visitor done it so far?"""

from __future__ import annotations

from collections.abc import Mapping

from experiments.core.metric_kinds.base import FloatArray, StatisticKind, VisitorValues
from experiments.core.metrics import Aggregate, Column, MetricDefinition


class TimeToEventKind:
    """Hours from the first exposure to the first matching event in the window; NaN for a visitor without one.

    The value is the share of visitors who did it within the window, as for a conversion, but visitors whose window has not
    passed take part for as long as they have been followed. A long window thus does not have to wait for its end.
    """

    key = "time_to_event"
    label = "Conversion by Kaplan-Meier: also visitors still inside their window count"
    statistic = StatisticKind.TIME_TO_EVENT

    def check(self, metric: MetricDefinition) -> list[str]:
        faults = []
        if metric.window_hours is None:
            faults.append("It is the share of visitors who did it within the window; fill in the window.")
        if metric.cap is not None:
            faults.append("A conversion is yes or no, so a cap has no meaning; leave it empty.")
        if metric.value_property:
            faults.append("A conversion counts visitors, not amounts; leave the value property empty.")
        if metric.denominator_event:
            faults.append("Only a ratio has an event below the line; leave the denominator event empty.")
        return faults

    def columns(self, metric: MetricDefinition) -> tuple[Column, ...]:
        return (
            Column(
                name=metric.key,
                event=metric.event,
                aggregate=Aggregate.FIRST_HOURS,
                where=metric.where,
                end_hours=metric.window_hours,
            ),
        )

    def values(self, metric: MetricDefinition, columns: Mapping[str, FloatArray]) -> VisitorValues:
        return VisitorValues(numerator=columns[metric.key], window_hours=metric.window_hours)
