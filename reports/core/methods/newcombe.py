"""Newcombe's hybrid score interval of a difference of proportions: the closed form that cross-checks the inversions."""

from __future__ import annotations

import math

from reports.core.methods.base import Interval


def wilson_interval(converted: float, visitors: float, *, critical: float) -> Interval:
    """Return Wilson's score interval of one proportion.

    Source: Wilson (1927), JASA 22:209-212. Checked against: statsmodels proportion_confint(method="wilson").
    """
    share, squared = converted / visitors, critical * critical
    centre = share + squared / (2 * visitors)
    half = critical * math.sqrt(share * (1 - share) / visitors + squared / (4 * visitors * visitors))
    scale = 1 + squared / visitors
    low = 0.0 if converted == 0 else (centre - half) / scale
    high = 1.0 if converted == visitors else (centre + half) / scale
    return Interval(low, high)


def newcombe_interval(x_t: int, n_t: int, x_c: int, n_c: int, *, critical: float) -> Interval:
    """Return the hybrid score interval of the difference (method 10), made of two Wilson intervals.

    Source: Newcombe (1998), Statistics in Medicine 17:873-890.
    Checked against: statsmodels confint_proportions_2indep(method="newcomb").
    """
    share_t, share_c = x_t / n_t, x_c / n_c
    t = wilson_interval(x_t, n_t, critical=critical)
    c = wilson_interval(x_c, n_c, critical=critical)
    difference = share_t - share_c
    return Interval(
        difference - math.hypot(share_t - t.low, c.high - share_c),
        difference + math.hypot(t.high - share_t, share_c - c.low),
    )
