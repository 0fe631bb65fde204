"""What a metric kind promises: which numbers it needs per visitor, and how they become one statistic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.core.metrics import Column, MetricDefinition

FloatArray = NDArray[np.float64]


class StatisticKind(StrEnum):
    """Which sufficient statistic summarises the values of a variant's visitors."""

    PROPORTION = "proportion"
    MEAN = "mean"
    RATIO = "ratio"
    TIME_TO_EVENT = "time_to_event"
    QUANTILE = "quantile"


@dataclass(frozen=True, slots=True)
class VisitorValues:
    """The values of one metric, one entry per visitor; a visitor without a value has NaN.

    `denominator` is for ratios only; `window_hours` and `followed_hours` (None: followed for the whole window) for times,
    which are hours; `level` and the bootstrap's `seed` for quantiles.
    Shapes: every array (visitors,).
    """

    numerator: FloatArray
    denominator: FloatArray | None = None
    window_hours: float | None = None
    followed_hours: FloatArray | None = None
    level: float | None = None
    seed: int = 0


class MetricKind(Protocol):
    """One way of turning events into a metric. Adding one is a file here and a line in `METRIC_KINDS`."""

    key: str
    label: str
    statistic: StatisticKind

    def check(self, metric: MetricDefinition) -> list[str]:
        """Return one sentence per thing that the definition lacks or contradicts; empty when it is fine."""
        ...

    def columns(self, metric: MetricDefinition) -> tuple[Column, ...]:
        """Return the per-visitor numbers a store must compute; names are unique per metric (`<key>`, `<key>.denominator`)."""
        ...

    def values(self, metric: MetricDefinition, columns: Mapping[str, FloatArray]) -> VisitorValues:
        """Turn the store's columns into the metric's values. Shapes: every array (visitors,)."""
        ...


def capped(values: FloatArray, cap: float | None) -> FloatArray:
    """Return `values` cut at `cap`; None cuts nothing. Shapes: (visitors,) in and out."""
    return values if cap is None else np.minimum(values, cap)
