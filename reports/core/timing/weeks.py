"""The effect by the week in which visitors were first exposed: does it hold for those who came later?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from scipy import special

from experiments.core.metric_kinds import METRIC_KINDS
from experiments.core.plan import AnalysisPlan, PlannedMetric
from reports.core.band import band, z_at_looks
from reports.core.measuring import measured
from reports.core.methods.base import Interval, NotComputable, critical_value
from reports.core.progress import Progress, microseconds, moment
from reports.core.results import Look
from reports.core.statistics import ONE_LOOK_ONLY, Statistic
from tracking.core.totals import VisitorTotals

WEEK_US = 7 * 86_400_000_000
MOST_WEEKS = 26


@dataclass(frozen=True, slots=True)
class WeekEffect:
    """A treatment against the control in one week. Units: the metric's own."""

    effect: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Week:
    """The visitors first exposed in one week: the value of each variant, and each treatment compared at one look."""

    starts_at: datetime
    values: Mapping[str, Statistic]
    effects: Mapping[str, WeekEffect | NotComputable]


@dataclass(frozen=True, slots=True)
class Weeks:
    """The intervals have level 1 - `alpha`, each at one look.

    `same_effect_p` is, per treatment, the p-value of one effect in all weeks; None with fewer than two that can tell.
    """

    weeks: tuple[Week, ...]
    alpha: float
    same_effect_p: Mapping[str, float | None]


def weeks_of(plan: AnalysisPlan, planned: PlannedMetric, totals: VisitorTotals, progress: Progress) -> Weeks | None:
    """Return the metric by exposure week; None while there is one week only.

    Each interval is that of a single look at one week: many of them, so one of them will look strange by chance. They are
    for learning; the verdict rests on none of them.
    """
    kind = METRIC_KINDS[planned.metric.kind]
    if kind.statistic in ONE_LOOK_ONLY and not progress.is_final:
        return None
    cut = microseconds(progress.cut_at)
    first = totals.first_exposure[totals.first_exposure < cut]
    if not len(first):
        return None
    start = microseconds(progress.started_at) if progress.started_at is not None else int(first.min())
    start = min(start, int(first.min()))
    count = (int(first.max()) - start) // WEEK_US + 1
    if not 2 <= count <= MOST_WEEKS:
        return None
    week = (totals.first_exposure - start) // WEEK_US
    # One look at what is known at the latest look, whichever look that is.
    at_once = replace(progress, is_single_look=True, as_of=progress.cut_at)
    mine = replace(totals, columns={c.name: totals.columns[c.name] for c in kind.columns(planned.metric)})
    values = [measured(plan, planned, mine.of(week == number), at_once).now for number in range(count)]
    effects = {v.key: effects_of(plan, values, v.key) for v in plan.treatments}
    weeks = tuple(
        Week(
            moment(start + number * WEEK_US),
            {v.key: values[number][v.key] for v in plan.variants},
            {key: found[number] for key, found in effects.items()},
        )
        for number in range(count)
    )
    return Weeks(weeks, plan.alpha, {key: same_effect_p(found, alpha=plan.alpha) for key, found in effects.items()})


def effects_of(
    plan: AnalysisPlan, values: Sequence[Mapping[str, Statistic]], variant: str
) -> list[WeekEffect | NotComputable]:
    """Compare a treatment with the control in every part of the visitors; all in one go, as the looks of a course are."""
    treated, controls = [v[variant] for v in values], [v[plan.control.key] for v in values]
    critical = critical_value(plan.alpha)
    looks = [Look(0, 0.0, 0.0, critical, None, t, c) for t, c in zip(treated, controls, strict=True)]
    return [
        z if isinstance(z, NotComputable) else WeekEffect(effect, interval)
        for z, (effect, interval) in zip(z_at_looks(treated, controls), band(looks), strict=True)
    ]


def same_effect_p(effects: Sequence[WeekEffect | NotComputable], *, alpha: float) -> float | None:
    """Return the p-value of the hypothesis that independent comparisons, with intervals at `alpha`, show one effect.

    Source: Cochran (1954), Biometrics 10:101-129. Checked against: the formula worked by hand.
    """
    pairs = [
        (e.effect, (e.interval.high - e.interval.low) / (2 * critical_value(alpha)))
        for e in effects
        if isinstance(e, WeekEffect) and math.isfinite(e.interval.low) and math.isfinite(e.interval.high)
    ]
    known = [(effect, error) for effect, error in pairs if error > 0]
    if len(known) < 2:
        return None
    sizes, errors = np.array(known).T
    weights = errors**-2
    mean = float(weights @ sizes / weights.sum())
    return float(special.chdtrc(len(known) - 1, float(weights @ (sizes - mean) ** 2)))
