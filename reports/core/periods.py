"""Periods of different weights: who came in which, and a metric measured in each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from experiments.core.plan import AnalysisPlan
from reports.core.measure import Measured
from reports.core.progress import microseconds
from reports.core.statistics import Covaried, Part, Statistic, Stratified
from tracking.core.totals import VisitorTotals

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class PeriodCounts:
    """The visitors who were first exposed in one period.

    Shapes: `weights` and `visitors` (variants,); `daily` (days since the period's first visitor, variants).
    """

    starts_at: datetime
    weights: tuple[float, ...]
    visitors: tuple[int, ...]
    daily: tuple[tuple[int, ...], ...]


def period_of(plan: AnalysisPlan, first_exposure: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the period in which each visitor was first exposed; the first one if before any. Shapes: (visitors,)."""
    starts = np.array([microseconds(p.starts_at) for p in plan.periods[1:]], dtype=np.int64)
    return np.searchsorted(starts, first_exposure, side="right").astype(np.int64)


def counts_by_period(plan: AnalysisPlan, totals: VisitorTotals) -> tuple[PeriodCounts, ...]:
    """Return how many visitors of each variant came in each period; empty when the weights never changed."""
    if not plan.has_changing_weights:
        return ()
    period = period_of(plan, totals.first_exposure)
    order = [totals.variants.index(v.key) for v in plan.variants]
    found = []
    for index, planned in enumerate(plan.periods):
        mine = period == index
        variant, first = totals.variant[mine], totals.first_exposure[mine]
        day = (first - first.min()) // DAY_US if len(first) else first
        days = int(day.max()) + 1 if len(day) else 0
        daily = np.zeros((days, len(totals.variants)), dtype=np.int64)
        np.add.at(daily, (day, variant), 1)
        found.append(
            PeriodCounts(
                planned.starts_at,
                planned.weights,
                tuple(int(n) for n in daily.sum(axis=0)[order]),
                tuple(tuple(int(n) for n in row) for row in daily[:, order]),
            )
        )
    return tuple(found)


def side_by_side(plan: AnalysisPlan, parts: Sequence[Measured]) -> Measured:
    """Put what was measured in each period side by side, look by look, without adding it up."""
    days = max((part.days for part in parts), key=len)
    variants = list(parts[0].now)
    by_look = {
        v: tuple(_stratified(plan, v, [p.by_look for p in parts], look) for look in range(len(days)))
        for v in variants
        if days
    }
    now = {v: _stratified(plan, v, [{k: (s,) for k, s in p.now.items()} for p in parts], 0) for v in variants}
    exposed = {v: sum(part.exposed[v] for part in parts) for v in variants}
    return Measured(now=now, exposed=exposed, days=days, by_look=by_look)


def _stratified(
    plan: AnalysisPlan, variant: str, looks: Sequence[Mapping[str, tuple[Statistic, ...]]], look: int
) -> Stratified:
    mine: list[Part] = []
    mix = []
    for statistics, planned in zip(looks, plan.periods, strict=True):
        part = statistics[variant][look]
        assert not isinstance(part, Stratified | Covaried)
        mine.append(part)
        share = planned.weights[plan.variants.index(plan.control)]
        mix.append(sum(s[look].visitors for s in statistics.values()) * share * (1 - share))
    whole = sum(mix)
    return Stratified(tuple(mine), tuple(m / whole if whole else 0.0 for m in mix))
