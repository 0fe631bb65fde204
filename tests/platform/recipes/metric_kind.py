"""Did the visitor do it at least twice?"""

from __future__ import annotations

from collections.abc import Mapping

from experiments.core.metric_kinds.base import FloatArray, StatisticKind, VisitorValues
from experiments.core.metrics import Aggregate, Column, MetricDefinition


class RepeatKind:
    """1 for a visitor with two matching events or more, else 0."""

    key = "repeat"
    label = "Repeat: at least twice"
    statistic = StatisticKind.PROPORTION

    def check(self, metric: MetricDefinition) -> list[str]:
        return []

    def columns(self, metric: MetricDefinition) -> tuple[Column, ...]:
        return (Column(name=metric.key, event=metric.event, aggregate=Aggregate.COUNT, where=metric.where),)

    def values(self, metric: MetricDefinition, columns: Mapping[str, FloatArray]) -> VisitorValues:
        return VisitorValues(numerator=(columns[metric.key] >= 2).astype(float))
