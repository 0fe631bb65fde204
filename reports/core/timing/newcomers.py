"""Does the effect hold for people who had never been here before, and for those who had?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from experiments.core.metric_kinds import METRIC_KINDS
from experiments.core.plan import AnalysisPlan, PlannedMetric
from reports.core.measuring import measured
from reports.core.methods.base import NotComputable
from reports.core.progress import Progress, microseconds
from reports.core.statistics import ONE_LOOK_ONLY, Statistic
from reports.core.timing.weeks import WeekEffect, effects_of, same_effect_p
from tracking.core.totals import VisitorTotals

LEAST_VISITORS = 100  # of each group, both variants together, below which a split says nothing


@dataclass(frozen=True, slots=True)
class Newcomers:
    """The visitors not seen in the weeks before their exposure, and those seen, compared at one look each.

    The intervals have level 1 - `alpha`. `same_effect_p` is, per treatment, the p-value of one effect in both groups; None where
    one of them cannot tell. A novelty effect shows as one on returning visitors only: newcomers have nothing to compare with.

    Shapes: `values` and `effects` are (new, returning).
    """

    values: tuple[Mapping[str, Statistic], Mapping[str, Statistic]]
    effects: Mapping[str, tuple[WeekEffect | NotComputable, WeekEffect | NotComputable]]
    alpha: float
    same_effect_p: Mapping[str, float | None]


def newcomers_of(
    plan: AnalysisPlan, planned: PlannedMetric, totals: VisitorTotals, progress: Progress
) -> Newcomers | None:
    """Return the metric among new and among returning visitors; None where nobody asked who had been seen, or hardly anybody had.

    Exploratory: two looks at parts of the visitors, on which no verdict rests.
    Source: Kohavi, Tang & Xu (2020), chapter 3. Checked against: comparing the two groups by hand.
    """
    if totals.seen_before is None or (
        METRIC_KINDS[planned.metric.kind].statistic in ONE_LOOK_ONLY and not progress.is_final
    ):
        return None
    is_exposed = totals.first_exposure <= microseconds(progress.cut_at)
    returning = int(np.count_nonzero(totals.seen_before & is_exposed))
    if min(returning, int(np.count_nonzero(is_exposed)) - returning) < LEAST_VISITORS:
        return None
    at_once = replace(progress, is_single_look=True, as_of=progress.cut_at)
    new, old = (
        measured(plan, planned, totals.of(rows), at_once).now for rows in (~totals.seen_before, totals.seen_before)
    )
    found = {v.key: effects_of(plan, (new, old), v.key) for v in plan.treatments}
    return Newcomers(
        (new, old),
        {key: (effects[0], effects[1]) for key, effects in found.items()},
        plan.alpha,
        {key: same_effect_p(effects, alpha=plan.alpha) for key, effects in found.items()},
    )
