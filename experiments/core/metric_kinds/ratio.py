"""A quotient of two totals, for example clicks per page view or revenue per order."""

from __future__ import annotations

from collections.abc import Mapping

from experiments.core.metric_kinds.base import FloatArray, StatisticKind, VisitorValues, capped
from experiments.core.metrics import Aggregate, Column, MetricDefinition

NUMERATORS = ("count", "sum")


class RatioKind:
    """Total above the line divided by total below it; the visitor stays the unit that is compared.

    `options["numerator"]` is `count` (the default: events) or `sum` (their values). Below the line stands the number of
    denominator events. Property filters and the cap apply above the line only.
    """

    key = "ratio"
    label = "Ratio: one total divided by another"
    statistic = StatisticKind.RATIO

    def check(self, metric: MetricDefinition) -> list[str]:
        faults = []
        if not metric.denominator_event:
            faults.append("A ratio needs the event that is counted below the line; fill in the denominator event.")
        numerator = metric.options.get("numerator", "count")
        if numerator not in NUMERATORS:
            faults.append(f"The numerator is {numerator!r}; use 'count' (events) or 'sum' (their values).")
        if numerator == "count" and metric.value_property:
            faults.append("This ratio counts events above the line; choose 'sum' or leave the value property empty.")
        return faults

    def columns(self, metric: MetricDefinition) -> tuple[Column, ...]:
        if not metric.denominator_event:
            raise ValueError(f"Ratio '{metric.key}' has no denominator event.")
        sums = metric.options.get("numerator", "count") == "sum"
        return (
            Column(
                name=metric.key,
                event=metric.event,
                aggregate=Aggregate.SUM if sums else Aggregate.COUNT,
                where=metric.where,
                value_property=metric.value_property,
                end_hours=metric.window_hours,
            ),
            Column(
                name=f"{metric.key}.denominator",
                event=metric.denominator_event,
                aggregate=Aggregate.COUNT,
                end_hours=metric.window_hours,
            ),
        )

    def values(self, metric: MetricDefinition, columns: Mapping[str, FloatArray]) -> VisitorValues:
        return VisitorValues(
            numerator=capped(columns[metric.key], metric.cap),
            denominator=columns[f"{metric.key}.denominator"],
        )
