"""The interval of one variant's value, for the picture beside the number; no decision rests on it."""

from __future__ import annotations

import math

from scipy import special

from reports.core.event_times import EventTimes
from reports.core.methods.base import Interval, critical_value
from reports.core.methods.bootstrap import value_limits
from reports.core.methods.newcombe import wilson_interval
from reports.core.quantiles import Quantile
from reports.core.statistics import Proportion, Statistic, Stratified


def value_interval(statistic: Statistic, *, alpha: float) -> Interval | None:
    """Return the interval of a value at level 1 - `alpha`: Wilson's for shares, t for means and ratios; None without data.

    Kaplan-Meier shares have Wilson's on their effective numbers (Rothman 1978), quantiles that of the bootstrap.
    """
    if isinstance(statistic, Proportion):
        if not statistic.visitors:
            return None
        return wilson_interval(statistic.converted, statistic.visitors, critical=critical_value(alpha))
    if isinstance(statistic, EventTimes):
        n = statistic.effective_visitors
        return wilson_interval(statistic.value * n, n, critical=critical_value(alpha)) if n else None
    if isinstance(statistic, Quantile):
        return value_limits(statistic, alpha=alpha)
    if not statistic.variance > 0:
        return None
    if isinstance(statistic, Stratified) and isinstance(statistic.parts[0], Proportion | EventTimes):
        n = statistic.value * (1 - statistic.value) * statistic.visitors / statistic.variance
        return wilson_interval(statistic.value * n, n, critical=critical_value(alpha))
    error = math.sqrt(statistic.variance / statistic.visitors)
    half = float(-special.stdtrit(statistic.visitors - 1, alpha / 2)) * error
    return Interval(statistic.value - half, statistic.value + half)
