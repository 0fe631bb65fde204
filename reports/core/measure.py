"""From per-visitor totals to sufficient statistics: one per variant and look, of matured visitors only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from operator import add

import numpy as np
from numpy.typing import NDArray

from experiments.core.metric_kinds import METRIC_KINDS
from experiments.core.metric_kinds.base import VisitorValues
from experiments.core.plan import PlannedMetric
from reports.core.adjust.known_before import KnownBefore
from reports.core.progress import FIRST_LOOK_DAYS, Progress, microseconds
from reports.core.statistics import Covaried, Plain, Rows, Statistic, summarise
from tracking.core.totals import VisitorTotals

MICROSECONDS_PER_HOUR = 3_600_000_000
MICROSECONDS_PER_DAY = 24 * MICROSECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric, measured.

    `days` are the looks so far (empty when there is one look only); `by_look` holds per variant one statistic for each of
    them; `now` the statistic at the latest look; `exposed` the visitors exposed up to it, matured or not.
    """

    now: Mapping[str, Statistic]
    exposed: Mapping[str, int]
    days: tuple[int, ...]
    by_look: Mapping[str, tuple[Statistic, ...]]


def first_matured_look(planned: PlannedMetric, totals: VisitorTotals, progress: Progress) -> NDArray[np.int64]:
    """Return for each visitor the day of the first look at which the metric's window has passed, or -1 for not yet.

    Visitors still inside their window are left out of every verdict: counting them would favour whichever variant converts
    sooner. With one look only, that look is day 0.

    Shapes: (visitors,).
    """
    window = round((planned.metric.window_hours or 0.0) * MICROSECONDS_PER_HOUR)
    matured_at = totals.first_exposure + window
    is_mature = matured_at <= microseconds(progress.cut_at)
    if not progress.look_days:
        return np.where(is_mature, 0, -1)
    assert progress.started_at is not None
    day = -((microseconds(progress.started_at) - matured_at) // MICROSECONDS_PER_DAY)
    every = progress.look_every_days
    after_first = np.maximum(day - FIRST_LOOK_DAYS, 0)
    return np.where(is_mature, FIRST_LOOK_DAYS - (-after_first // every) * every, -1)


def is_of_first_look(first_exposure: NDArray[np.int64], progress: Progress) -> NDArray[np.bool_]:
    """Say who had come by the first look; with one look only, everybody. Shapes: (visitors,)."""
    if not progress.look_days:
        return np.ones(len(first_exposure), dtype=np.bool_)
    assert progress.started_at is not None
    return np.asarray(first_exposure <= microseconds(progress.started_at) + FIRST_LOOK_DAYS * MICROSECONDS_PER_DAY)


def measure(
    planned: PlannedMetric, totals: VisitorTotals, progress: Progress, *, known: KnownBefore | None = None
) -> Measured:
    """Measure a metric in every variant of the totals, at every look so far; with what was known before where that is given."""
    kind = METRIC_KINDS[planned.metric.kind]
    values = kind.values(planned.metric, totals.columns)

    def summed(rows: NDArray[np.intp]) -> Statistic:
        plain = summarise(kind.statistic, _rows(values, rows))
        if known is None or not isinstance(plain, Plain):
            return plain
        mine = _rows(values, rows)
        return Covaried(plain, (Rows(mine.numerator, mine.denominator, known.values[rows], known.stratum[rows]),))

    look = first_matured_look(planned, totals, progress)
    days = progress.look_days or (0,)
    is_exposed = totals.first_exposure <= microseconds(progress.cut_at)
    by_look, exposed = {}, {}
    for index, variant in enumerate(totals.variants):
        is_theirs = totals.variant == index
        exposed[variant] = int(np.count_nonzero(is_theirs & is_exposed))
        rows = np.flatnonzero(is_theirs & (look >= 0))
        rows = rows[np.argsort(look[rows], kind="stable")]
        ends = np.searchsorted(look[rows], days, side="right")
        groups = [summed(part) for part in np.split(rows, ends[:-1])]
        by_look[variant] = tuple(accumulate(groups, add))
    return Measured(
        now={variant: looks[-1] for variant, looks in by_look.items()},
        exposed=exposed,
        days=progress.look_days,
        by_look=by_look if progress.look_days else {},
    )


def _rows(values: VisitorValues, rows: NDArray[np.intp]) -> VisitorValues:
    denominator = values.denominator[rows] if values.denominator is not None else None
    return VisitorValues(values.numerator[rows], denominator)
