"""The analysis: from per-visitor totals to a verdict, as one pure function."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from experiments.core.metric_kinds import METRIC_KINDS
from experiments.core.metric_kinds.base import VisitorValues
from experiments.core.metrics import Column, Role
from experiments.core.plan import AnalysisPlan, PlannedMetric
from reports.core.decision import Evidence, Verdict, decide
from reports.core.health import Finding, HealthContext, run_checks
from reports.core.methods import method_for
from reports.core.methods.base import Blocker, Comparison, NotComputable
from reports.core.methods.noninferiority import GuardrailResult, judge_guardrail, not_judged
from reports.core.methods.single import value_interval
from reports.core.multiplicity import holm
from reports.core.progress import FIRST_LOOK_DAYS, Progress, microseconds, progress_of
from reports.core.results import MetricResult, VariantComparison, VariantValue
from reports.core.statistics import Statistic, summarise
from tracking.core.totals import ExposureCounts, VisitorTotals

MICROSECONDS_PER_HOUR = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything one analysis found, as one value."""

    plan: AnalysisPlan
    progress: Progress
    exposures: ExposureCounts
    metrics: tuple[MetricResult, ...]
    findings: tuple[Finding, ...]
    verdict: Verdict


def columns_for(plan: AnalysisPlan) -> tuple[Column, ...]:
    """Return the per-visitor numbers that `analyse` needs, each once."""
    columns = [c for m in plan.metrics for c in METRIC_KINDS[m.metric.kind].columns(m.metric)]
    return tuple({c.name: c for c in columns}.values())


def analyse(plan: AnalysisPlan, totals: VisitorTotals, exposures: ExposureCounts, *, as_of: datetime) -> Analysis:
    """Analyse an experiment as of one moment.

    Raises: KeyError when `totals` lacks a column of `columns_for(plan)`; ValueError for an `as_of` without a time zone.
    """
    progress = progress_of(plan, visitors=len(totals.variant), as_of=as_of)
    metrics = tuple(_measure(plan, planned, totals, progress) for planned in plan.metrics)
    metrics = _with_adjusted_p_values(metrics)
    findings = run_checks(HealthContext(plan, progress, exposures, metrics))
    verdict = decide(Evidence(plan, progress, findings, metrics))
    return Analysis(plan, progress, exposures, metrics, findings, verdict)


def _measure(plan: AnalysisPlan, planned: PlannedMetric, totals: VisitorTotals, progress: Progress) -> MetricResult:
    kind = METRIC_KINDS[planned.metric.kind]
    values = kind.values(planned.metric, totals.columns)
    is_mature = matured(planned, totals, progress)
    measured = []
    for variant in plan.variants:
        is_theirs = _in_variant(totals, variant.key)
        statistic = summarise(kind.statistic, _subset(values, is_theirs & is_mature))
        exposed = int(np.count_nonzero(is_theirs))
        measured.append(VariantValue(variant.key, exposed, statistic, value_interval(statistic, alpha=plan.alpha)))
    of = {v.variant: v.statistic for v in measured}
    comparisons = tuple(
        _compare(plan, planned, v.key, of[v.key], of[plan.control.key], progress) for v in plan.treatments
    )
    return MetricResult(planned, kind.statistic, tuple(measured), comparisons, is_decisive=progress.is_final)


def matured(planned: PlannedMetric, totals: VisitorTotals, progress: Progress) -> NDArray[np.bool_]:
    """Say for each visitor whether the metric's window has passed; without a window it has.

    Visitors still inside their window are left out: counting them would favour whichever variant converts sooner.
    """
    window = planned.metric.window_hours
    if window is None:
        return np.ones(len(totals.variant), dtype=bool)
    latest = microseconds(progress.as_of) - round(window * MICROSECONDS_PER_HOUR)
    return np.asarray(totals.first_exposure <= latest)


def _in_variant(totals: VisitorTotals, variant: str) -> NDArray[np.bool_]:
    if variant not in totals.variants:
        return np.zeros(len(totals.variant), dtype=bool)
    return np.asarray(totals.variant == totals.variants.index(variant))


def _subset(values: VisitorValues, rows: NDArray[np.bool_]) -> VisitorValues:
    denominator = values.denominator[rows] if values.denominator is not None else None
    return VisitorValues(values.numerator[rows], denominator)


def _compare(
    plan: AnalysisPlan,
    planned: PlannedMetric,
    variant: str,
    treatment: Statistic,
    control: Statistic,
    progress: Progress,
) -> VariantComparison:
    if progress.is_before_first_look:
        blocker = NotComputable(
            Blocker.TOO_EARLY,
            f"Effects are shown from day {FIRST_LOOK_DAYS} on, because weekdays differ; this is day {progress.days}.",
        )
        return VariantComparison(variant, blocker, _guardrail_too_early(plan, planned, blocker.detail))
    method = method_for(treatment, control)
    guardrail = None
    if planned.role is Role.GUARDRAIL and planned.margin is not None:
        guardrail = judge_guardrail(
            method,
            treatment,
            control,
            margin=planned.margin,
            alpha=plan.guardrail_alpha,
            direction=planned.metric.direction,
            growth=progress.growth,
        )
    return VariantComparison(variant, method.compare(treatment, control, alpha=plan.alpha), guardrail)


def _guardrail_too_early(plan: AnalysisPlan, planned: PlannedMetric, detail: str) -> GuardrailResult | None:
    if planned.role is not Role.GUARDRAIL or planned.margin is None:
        return None
    return not_judged(planned.margin, plan.guardrail_alpha, planned.metric.direction, detail)


def _with_adjusted_p_values(metrics: tuple[MetricResult, ...]) -> tuple[MetricResult, ...]:
    """Add Holm's adjusted p-values over all success metrics and treatments; a comparison without p-value counts as 1."""
    family = [(m.key, c) for m in metrics if m.planned.role in (Role.PRIMARY, Role.PROXY) for c in m.comparisons]
    if not family:
        return metrics
    raw = [c.result.p_value if isinstance(c.result, Comparison) else 1.0 for _, c in family]
    adjusted = {(key, c.variant): p for (key, c), p in zip(family, holm(raw), strict=True)}
    return tuple(
        replace(
            m,
            comparisons=tuple(
                replace(c, adjusted_p_value=adjusted.get((m.key, c.variant))) if isinstance(c.result, Comparison) else c
                for c in m.comparisons
            ),
        )
        for m in metrics
    )
