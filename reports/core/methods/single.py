"""The interval of one variant's value, for the picture beside the number; no decision rests on it."""

from __future__ import annotations

import math

from scipy import special

from reports.core.methods.base import Interval, critical_value
from reports.core.methods.newcombe import wilson_interval
from reports.core.statistics import Proportion, Statistic


def value_interval(statistic: Statistic, *, alpha: float) -> Interval | None:
    """Return the interval of a value at level 1 - `alpha`: Wilson's for shares, t for means and ratios; None without data."""
    if isinstance(statistic, Proportion):
        if not statistic.visitors:
            return None
        return wilson_interval(statistic.converted, statistic.visitors, critical=critical_value(alpha))
    if not statistic.variance > 0:
        return None
    error = math.sqrt(statistic.variance / statistic.visitors)
    half = float(-special.stdtrit(statistic.visitors - 1, alpha / 2)) * error
    return Interval(statistic.value - half, statistic.value + half)
