"""How much did the visitor's events add up to, for example revenue?"""

from __future__ import annotations

from collections.abc import Mapping

from experiments.core.metric_kinds.base import FloatArray, StatisticKind, VisitorValues, capped
from experiments.core.metrics import Aggregate, Column, MetricDefinition


class ValueSumKind:
    """The sum of the values of a visitor's matching events in the window, cut at the cap; 0 without an event."""

    key = "value_sum"
    label = "Value sum: revenue or another amount per visitor"
    statistic = StatisticKind.MEAN

    def check(self, metric: MetricDefinition) -> list[str]:
        if metric.denominator_event:
            return ["Only a ratio has an event below the line; leave the denominator event empty."]
        return []

    def columns(self, metric: MetricDefinition) -> tuple[Column, ...]:
        return (
            Column(
                name=metric.key,
                event=metric.event,
                aggregate=Aggregate.SUM,
                where=metric.where,
                value_property=metric.value_property,
                end_hours=metric.window_hours,
            ),
        )

    def values(self, metric: MetricDefinition, columns: Mapping[str, FloatArray]) -> VisitorValues:
        return VisitorValues(numerator=capped(columns[metric.key], metric.cap))
