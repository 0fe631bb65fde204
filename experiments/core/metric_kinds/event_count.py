"""How often did the visitor do it?"""

from __future__ import annotations

from collections.abc import Mapping

from experiments.core.metric_kinds.base import FloatArray, StatisticKind, VisitorValues, capped
from experiments.core.metrics import Aggregate, Column, MetricDefinition


class EventCountKind:
    """The number of a visitor's matching events in the window, cut at the cap."""

    key = "event_count"
    label = "Event count: how often a visitor did it"
    statistic = StatisticKind.MEAN

    def check(self, metric: MetricDefinition) -> list[str]:
        faults = []
        if metric.value_property:
            faults.append("A count looks at no amounts; leave the value property empty or choose 'value sum'.")
        if metric.denominator_event:
            faults.append("Only a ratio has an event below the line; leave the denominator event empty.")
        return faults

    def columns(self, metric: MetricDefinition) -> tuple[Column, ...]:
        return (
            Column(
                name=metric.key,
                event=metric.event,
                aggregate=Aggregate.COUNT,
                where=metric.where,
                end_hours=metric.window_hours,
            ),
        )

    def values(self, metric: MetricDefinition, columns: Mapping[str, FloatArray]) -> VisitorValues:
        return VisitorValues(numerator=capped(columns[metric.key], metric.cap))
