"""Statistics of some of the visitors, per variant, with periods of different weights kept apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from experiments.core.plan import AnalysisPlan
from reports.core.measure import Measured
from reports.core.periods import period_of, side_by_side
from reports.core.statistics import Proportion, Statistic
from tracking.core.totals import VisitorTotals


def shares(
    plan: AnalysisPlan, totals: VisitorTotals, rows: NDArray[np.bool_], is_done: NDArray[np.bool_]
) -> Mapping[str, Statistic]:
    """Return the share that has done something, per variant, among some visitors. Shapes: all (visitors,)."""

    def counted(mine: NDArray[np.bool_]) -> dict[str, Statistic]:
        found: dict[str, Statistic] = {}
        for index, variant in enumerate(totals.variants):
            theirs = mine & (totals.variant == index)
            found[variant] = Proportion(int(np.count_nonzero(theirs)), int(np.count_nonzero(theirs & is_done)))
        return found

    if not plan.has_changing_weights:
        return counted(rows)
    period = period_of(plan, totals.first_exposure)
    parts = [counted(rows & (period == index)) for index in range(len(plan.periods))]
    measured = [Measured(now=p, exposed={v: s.visitors for v, s in p.items()}, days=(), by_look={}) for p in parts]
    return side_by_side(plan, measured).now
