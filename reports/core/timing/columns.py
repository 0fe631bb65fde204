"""The per-visitor numbers that looking at time needs, beside those of the metrics."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from experiments.core.metric_kinds.conversion import ConversionKind
from experiments.core.metric_kinds.time_to_event import TimeToEventKind
from experiments.core.metrics import Aggregate, Column, MetricDefinition
from tracking.core.totals import VisitorTotals

DAYS_BEFORE = 28
DAYS_AFTER = 7
HOURS_A_DAY = 24.0


def timing_columns(metrics: Iterable[MetricDefinition]) -> tuple[Column, ...]:
    """Return, per metric, the days around the exposure on which its event happened, and of a conversion the hours until then."""
    found = []
    for metric in metrics:
        found.append(
            Column(
                name=f"{metric.key}.days",
                event=metric.event,
                aggregate=Aggregate.DAYS,
                where=metric.where,
                start_hours=-DAYS_BEFORE * HOURS_A_DAY,
                end_hours=DAYS_AFTER * HOURS_A_DAY,
            )
        )
        if metric.kind == ConversionKind.key and metric.window_hours is not None:
            found.append(
                Column(
                    name=f"{metric.key}.hours",
                    event=metric.event,
                    aggregate=Aggregate.FIRST_HOURS,
                    where=metric.where,
                    end_hours=metric.window_hours,
                )
            )
    return tuple(found)


def active_days(metric: MetricDefinition, totals: VisitorTotals) -> NDArray[np.int64] | None:
    """Return each visitor's days as bits, the first one 28 days before the exposure; None where they were not asked for.

    Shapes: (visitors,).
    """
    days = totals.columns.get(f"{metric.key}.days")
    return None if days is None else days.astype(np.int64)


def hours_until(metric: MetricDefinition, totals: VisitorTotals) -> NDArray[np.float64] | None:
    """Return the hours until each visitor's conversion (NaN: none); None for a metric without. Shapes: (visitors,)."""
    if metric.kind == TimeToEventKind.key:
        return totals.columns[metric.key]
    return totals.columns.get(f"{metric.key}.hours")
