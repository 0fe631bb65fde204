"""What does a typical visitor, or one at the upper end, reach: the median or another quantile."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from experiments.core.metric_kinds.base import FloatArray, StatisticKind, VisitorValues
from experiments.core.metrics import Aggregate, Column, MetricDefinition

AGGREGATES = {"sum": Aggregate.SUM, "count": Aggregate.COUNT, "hours": Aggregate.FIRST_HOURS}
MEDIAN = 0.5
VISITORS = ("active", "all")


class QuantileKind:
    """A quantile over visitors: of their amounts, of how often they did it, or of the hours until they first did.

    `options["quantile"]` is its level (0.5, the median, when it is not given), `options["measure"]` is `sum` (the default),
    `count` or `hours`, `options["visitors"]` is `active` (the default: those who did it) or `all` (the others count as 0).
    Whoever compares active visitors compares the visitors whom each variant made active: other people, perhaps.
    """

    key = "quantile"
    label = "Quantile: the median, or another share of visitors lies below it"
    statistic = StatisticKind.QUANTILE

    def check(self, metric: MetricDefinition) -> list[str]:
        faults = []
        level, measure, visitors = _level(metric), _measure(metric), _visitors(metric)
        if isinstance(level, bool) or not isinstance(level, int | float) or not 0.01 <= level <= 0.99:
            faults.append(
                f'The quantile is {level!r}; use a number from 0.01 to 0.99, for example {{"quantile": 0.9}}.'
            )
        if measure not in AGGREGATES:
            faults.append(f"The measure is {measure!r}; use one of {', '.join(AGGREGATES)}.")
        if visitors not in VISITORS:
            faults.append(f"The visitors are {visitors!r}; use one of {', '.join(VISITORS)}.")
        elif visitors == "all" and measure == "hours":
            faults.append("Who never did it has no time until then; take the active visitors.")
        if measure != "sum" and metric.value_property:
            faults.append("Only a sum looks at amounts; leave the value property empty or choose the measure 'sum'.")
        if metric.cap is not None:
            faults.append("A quantile does not care how far the largest values lie out, so leave the cap empty.")
        if metric.denominator_event:
            faults.append("Only a ratio has an event below the line; leave the denominator event empty.")
        return faults

    def columns(self, metric: MetricDefinition) -> tuple[Column, ...]:
        return (
            Column(
                name=metric.key,
                event=metric.event,
                aggregate=AGGREGATES[str(_measure(metric))],
                where=metric.where,
                value_property=metric.value_property,
                end_hours=metric.window_hours,
            ),
        )

    def values(self, metric: MetricDefinition, columns: Mapping[str, FloatArray]) -> VisitorValues:
        values = columns[metric.key]
        if _visitors(metric) == "active" and _measure(metric) != "hours":
            values = np.where(values == 0, np.nan, values)
        return VisitorValues(numerator=values, level=float(str(_level(metric))))


def quantile_words(metric: MetricDefinition) -> str:
    """Write what the quantile is of, such as `median of amounts, visitors who did it`."""
    level = float(str(_level(metric)))
    name = "median" if level == MEDIAN else f"quantile {level:g}"
    of = {"sum": "amounts", "count": "counts", "hours": "hours until it happened"}.get(str(_measure(metric)), "values")
    return f"{name} of {of}, " + ("all visitors" if _visitors(metric) == "all" else "visitors who did it")


def _level(metric: MetricDefinition) -> object:
    return metric.options.get("quantile", MEDIAN)


def _measure(metric: MetricDefinition) -> object:
    return metric.options.get("measure", "sum")


def _visitors(metric: MetricDefinition) -> object:
    return metric.options.get("visitors", "active")
