"""The analysis: from per-visitor totals to a verdict, as one pure function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from experiments.core.covariates import COVARIATE_KINDS
from experiments.core.metric_kinds import METRIC_KINDS
from experiments.core.metrics import Column
from experiments.core.plan import AnalysisPlan, PlannedMetric
from reports.core.adjust.known_before import known_before
from reports.core.claims import Key, with_claims
from reports.core.comparing import compare_metric
from reports.core.decision import Evidence, Verdict, decide
from reports.core.decision.proxy_rule import ProxyRule
from reports.core.health import Finding, HealthContext, run_checks
from reports.core.measure import Measured, is_of_first_look
from reports.core.measuring import ADJUSTABLE, measured_with
from reports.core.measuring import measured as measured_in
from reports.core.monitoring import Course, course_of
from reports.core.periods import PeriodCounts, counts_by_period
from reports.core.progress import Progress, progress_of
from reports.core.proxy.earlier import EarlierRun
from reports.core.proxy.judging import ProxyAnalysis, judge_treatments
from reports.core.proxy.reached import funnel_columns, reached_steps
from reports.core.results import MetricResult
from reports.core.segment_counts import segment_counts
from reports.core.statistics import ONE_LOOK_ONLY
from reports.core.timing import NOTHING, WATCHED, Timing, timing_of
from reports.core.timing.columns import timing_columns
from tracking.core.totals import ExposureCounts, VisitorTotals


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything one analysis found, as one value."""

    plan: AnalysisPlan
    progress: Progress
    exposures: ExposureCounts
    metrics: tuple[MetricResult, ...]
    findings: tuple[Finding, ...]
    verdict: Verdict
    periods: tuple[PeriodCounts, ...] = ()
    timing: Timing = NOTHING
    proxy: ProxyAnalysis | None = None


def columns_for(plan: AnalysisPlan) -> tuple[Column, ...]:
    """Return the per-visitor numbers that `analyse` reads, each once: those of the metrics, then those about time."""
    columns = [c for m in plan.metrics for c in METRIC_KINDS[m.metric.kind].columns(m.metric)]
    timing = timing_columns(m.metric for m in plan.metrics if m.role in WATCHED)
    known = [COVARIATE_KINDS[c.kind].column(c) for c in plan.covariates]
    steps = funnel_columns(plan) if plan.decision_rule == ProxyRule.key else ()
    return tuple({c.name: c for c in (*columns, *timing, *known, *steps) if c is not None}.values())


def analyse(
    plan: AnalysisPlan,
    totals: VisitorTotals,
    exposures: ExposureCounts,
    *,
    as_of: datetime,
    ended_at: datetime | None = None,
    earlier: EarlierRun | None = None,
) -> Analysis:
    """Analyse an experiment as of one moment; `ended_at` is when somebody stopped it, if anybody did, and `earlier` what an earlier run
    of the same idea measured.

    Columns about time may be missing; what needs them is then not said.

    Raises: KeyError when `totals` lacks a column of a metric or what a covariate needs; ValueError for an `as_of` without a time zone;
    LookupError for a decision rule that does not exist.
    """
    progress = progress_of(plan, first_exposures=totals.first_exposure, as_of=as_of, ended_at=ended_at)
    everybody = _all_variants(plan, totals)
    measured = {m.metric.key: measured_in(plan, m, everybody, progress) for m in plan.metrics}
    covaried = _covaried(plan, everybody, progress)
    counting = measured | {m.metric.key: covaried[m.metric.key] for m in plan.metrics if _is_adjusted(m, covaried)}
    courses = _courses(plan, counting, progress)
    compared = tuple(
        compare_metric(plan, m, measured[m.metric.key], courses, progress, covaried=covaried.get(m.metric.key))
        for m in plan.metrics
    )
    metrics = with_claims(plan, compared, courses, counting, covaried)
    periods = counts_by_period(plan, everybody)
    timing = timing_of(plan, everybody, progress)
    segments = segment_counts(plan, everybody)
    reached = reached_steps(plan, everybody, progress) if plan.decision_rule == ProxyRule.key else None
    findings = run_checks(HealthContext(plan, progress, exposures, metrics, periods, timing, segments, reached))
    proxy = judge_treatments(plan, progress, reached, earlier) if reached is not None else None
    verdict = decide(Evidence(plan, progress, findings, metrics, proxy))
    return Analysis(plan, progress, exposures, metrics, findings, verdict, periods, timing, proxy)


def _is_adjusted(planned: PlannedMetric, covaried: Mapping[str, Measured]) -> bool:
    return planned.is_adjusted and planned.metric.key in covaried


def _covaried(plan: AnalysisPlan, totals: VisitorTotals, progress: Progress) -> dict[str, Measured]:
    """Return the metrics that can be adjusted, measured with the plan's covariates; nothing without any."""
    if not plan.covariates:
        return {}
    known = known_before(
        plan.covariates, totals, time_zone=plan.time_zone, is_counted=is_of_first_look(totals.first_exposure, progress)
    )
    return {
        m.metric.key: measured_with(m, totals, progress, known)
        for m in plan.metrics
        if METRIC_KINDS[m.metric.kind].statistic in ADJUSTABLE
    }


def _courses(plan: AnalysisPlan, measured: Mapping[str, Measured], progress: Progress) -> dict[Key, Course]:
    """Return the looks of every comparison of a running experiment; empty where there is one look only."""
    if progress.is_single_look or progress.is_before_first_look:
        return {}
    return {
        (m.metric.key, v.key): course_of(
            plan, measured[m.metric.key], v.key, progress, has_window=m.metric.window_hours is not None
        )
        for m in plan.metrics
        if METRIC_KINDS[m.metric.kind].statistic not in ONE_LOOK_ONLY
        for v in plan.treatments
    }


def _all_variants(plan: AnalysisPlan, totals: VisitorTotals) -> VisitorTotals:
    """Return the totals with every planned variant named, also one that nobody has met."""
    missing = tuple(v.key for v in plan.variants if v.key not in totals.variants)
    if not missing:
        return totals
    return replace(totals, variants=(*totals.variants, *missing))
