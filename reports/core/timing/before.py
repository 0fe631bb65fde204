"""Were the variants alike before anybody met them? An A/A test of the assignment on what visitors did in the weeks before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from experiments.core.plan import AnalysisPlan, PlannedMetric
from reports.core.methods import compare
from reports.core.methods.base import NotComputable
from reports.core.multiplicity import holm
from reports.core.progress import Progress, microseconds
from reports.core.timing.columns import DAYS_BEFORE, active_days
from reports.core.timing.parts import shares
from tracking.core.totals import VisitorTotals

LEAST_ACTIVE = 20  # visitors who did it before, over both variants, below which nothing could be seen


@dataclass(frozen=True, slots=True)
class Before:
    """How many visitors of a treatment and of the control did a metric's event in the 28 days before their exposure.

    `adjusted_p_value` is Holm's over all metrics and treatments.
    """

    metric: str
    name: str
    variant: str
    active_t: int
    visitors_t: int
    active_c: int
    visitors_c: int
    p_value: float
    adjusted_p_value: float


def before_of(
    plan: AnalysisPlan, metrics: Sequence[PlannedMetric], totals: VisitorTotals, progress: Progress
) -> tuple[Before, ...]:
    """Compare the variants before the exposure; empty where hardly anybody has a past.

    A variant cannot change what was before it. A difference means that the assignment depends on what visitors did, or
    that an earlier experiment, dealt alike, still acts.

    Source: Kohavi, Tang & Xu (2020), chapters 19 and 23. Checked against: worlds with and without a carry-over.
    """
    rows = totals.first_exposure <= microseconds(progress.cut_at)
    found: list[Before] = []
    seen = set()
    for planned in metrics:
        metric, days = planned.metric, active_days(planned.metric, totals)
        if days is None or (metric.event, metric.where) in seen:
            continue
        seen.add((metric.event, metric.where))
        is_active = (days & ((1 << DAYS_BEFORE) - 1)) != 0
        active = shares(plan, totals, rows, np.asarray(is_active))
        control = active[plan.control.key]
        for variant in plan.treatments:
            treatment = active[variant.key]
            if treatment.total + control.total < LEAST_ACTIVE:
                continue
            result = compare(treatment, control, alpha=plan.alpha)
            if isinstance(result, NotComputable):
                continue
            found.append(
                Before(
                    metric.key,
                    metric.name or metric.key,
                    variant.key,
                    int(treatment.total),
                    treatment.visitors,
                    int(control.total),
                    control.visitors,
                    result.p_value,
                    result.p_value,
                )
            )
    adjusted = holm([one.p_value for one in found])
    return tuple(replace(one, adjusted_p_value=float(p)) for one, p in zip(found, adjusted, strict=True))
