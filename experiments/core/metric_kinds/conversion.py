"""Did the visitor do it at least once?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from experiments.core.metric_kinds.base import FloatArray, StatisticKind, VisitorValues
from experiments.core.metrics import Aggregate, Column, MetricDefinition


class ConversionKind:
    """1 for a visitor with at least one matching event in the window, otherwise 0."""

    key = "conversion"
    label = "Conversion: visitors who did it at least once"
    statistic = StatisticKind.PROPORTION

    def check(self, metric: MetricDefinition) -> list[str]:
        faults = []
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
                aggregate=Aggregate.COUNT,
                where=metric.where,
                end_hours=metric.window_hours,
            ),
        )

    def values(self, metric: MetricDefinition, columns: Mapping[str, FloatArray]) -> VisitorValues:
        return VisitorValues(numerator=(columns[metric.key] > 0).astype(np.float64))
