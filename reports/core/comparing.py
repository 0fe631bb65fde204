"""One metric compared: values with their intervals, each treatment against the control, and the guardrail's answer."""

from __future__ import annotations

from collections.abc import Mapping

from experiments.core.metric_kinds import METRIC_KINDS
from experiments.core.metrics import Direction, Role
from experiments.core.plan import AnalysisPlan, PlannedMetric
from reports.core import explain
from reports.core.adjust.beside import not_adjustable, with_beside
from reports.core.measure import Measured
from reports.core.methods import method_for
from reports.core.methods.base import Blocker, NotComputable
from reports.core.methods.noninferiority import GuardrailResult, Worsening, judge_guardrail, not_judged
from reports.core.methods.single import value_interval
from reports.core.monitoring import Course, looks_of
from reports.core.progress import FIRST_LOOK_DAYS, Progress
from reports.core.results import SUCCESS_ROLES, Look, MetricResult, VariantComparison, VariantValue
from reports.core.sequential.design import schedule_of
from reports.core.statistics import ONE_LOOK_ONLY, Statistic


def compare_metric(
    plan: AnalysisPlan,
    planned: PlannedMetric,
    measured: Measured,
    courses: Mapping[tuple[str, str], Course],
    progress: Progress,
    *,
    covaried: Measured | None = None,
) -> MetricResult:
    """Compare every treatment with the control in one metric; plainly, and with covariates where `covaried` is given.

    A running experiment is compared at the level of its current look, so that its intervals hold however often one looks.
    """
    counting = covaried if covaried is not None and planned.is_adjusted else measured
    values = tuple(
        VariantValue(
            v.key, measured.exposed[v.key], measured.now[v.key], value_interval(measured.now[v.key], alpha=plan.alpha)
        )
        for v in plan.variants
    )
    mine = {v.key: courses.get((planned.metric.key, v.key)) for v in plan.treatments}
    comparisons = tuple(
        _compare(plan, planned, v.key, counting.now[v.key], counting.now[plan.control.key], mine[v.key], progress)
        for v in plan.treatments
    )
    kind = METRIC_KINDS[planned.metric.kind].statistic
    if covaried is not None:
        comparisons = tuple(
            with_beside(planned, c, covaried, mine[c.variant], control=plan.control.key, alpha=plan.alpha)
            for c in comparisons
        )
    elif plan.covariates:
        comparisons = tuple(not_adjustable(planned, c) for c in comparisons)
    is_decisive = (
        progress.is_single_look
        or (kind in ONE_LOOK_ONLY and progress.is_final)
        or any(c is not None and c.is_monitored and c.days for c in mine.values())
    )
    return MetricResult(planned, kind, values, comparisons, is_decisive)


def _compare(
    plan: AnalysisPlan,
    planned: PlannedMetric,
    variant: str,
    treatment: Statistic,
    control: Statistic,
    course: Course | None,
    progress: Progress,
) -> VariantComparison:
    if progress.is_before_first_look:
        detail = (
            f"Effects are shown from day {FIRST_LOOK_DAYS} on, because weekdays differ; this is day {progress.days}."
        )
        return VariantComparison(
            variant, NotComputable(Blocker.TOO_EARLY, detail), _guardrail_too_early(plan, planned, detail)
        )
    if METRIC_KINDS[planned.metric.kind].statistic in ONE_LOOK_ONLY and not progress.is_final:
        detail = (
            "A quantile is compared once, at the planned end: no bounds are known that would allow for repeated looks."
        )
        return VariantComparison(
            variant, NotComputable(Blocker.TOO_EARLY, detail), _guardrail_too_early(plan, planned, detail)
        )
    schedule = schedule_of(plan) if planned.role in SUCCESS_ROLES else None
    looks = looks_of(course, alpha=plan.alpha, schedule=schedule) if course is not None else ()
    if course is not None and not looks and treatment.visitors and control.visitors:
        detail = explain.no_look_yet(progress)
        return VariantComparison(
            variant, NotComputable(Blocker.TOO_EARLY, detail), _guardrail_too_early(plan, planned, detail)
        )
    result = (
        course.held_to_all_looks(treatment, control, alpha=plan.alpha)
        if course is not None and looks
        else method_for(treatment, control).compare(treatment, control, alpha=plan.alpha)
    )
    return VariantComparison(
        variant,
        result,
        _guardrail(plan, planned, treatment, control, course, progress),
        looks=looks if course is not None and course.is_monitored else (),
        is_unlikely_to_win=not progress.is_final
        and course is not None
        and course.is_monitored
        and _is_unlikely(planned, looks),
    )


def _guardrail(
    plan: AnalysisPlan,
    planned: PlannedMetric,
    treatment: Statistic,
    control: Statistic,
    course: Course | None,
    progress: Progress,
) -> GuardrailResult | None:
    """Judge a guardrail at the level of the current look: safety now, harm at any look so far."""
    if planned.role is not Role.GUARDRAIL or planned.margin is None:
        return None
    alpha, final_alpha, is_worse, worsening = plan.guardrail_alpha, plan.guardrail_alpha, None, None
    wants_more = planned.metric.direction is Direction.INCREASE
    if course is not None:
        crossed = course.first_crossing(2 * plan.guardrail_alpha, upward=not wants_more)
        is_worse = crossed is not None
        worsening = _worsening(plan, course, crossed) if crossed is not None else None
        if course.days:
            alpha = course.monitor.safety_alpha(2 * plan.guardrail_alpha) / 2
        if progress.is_final:
            final_alpha = alpha
        elif course.is_monitored:
            planned_alpha = course.monitor.planned_safety_alpha(2 * plan.guardrail_alpha, schedule=schedule_of(plan))
            final_alpha = planned_alpha / 2
    return judge_guardrail(
        method_for(treatment, control),
        treatment,
        control,
        margin=planned.margin,
        alpha=alpha,
        direction=planned.metric.direction,
        growth=progress.growth,
        final_alpha=final_alpha,
        is_worse=is_worse,
        worsening=worsening,
    )


def _worsening(plan: AnalysisPlan, course: Course, look: int) -> Worsening | None:
    """Return what the look that crossed the harm bound saw; later looks may well have come back."""
    found = course.held_to_all_looks(
        course.treatment[look], course.control[look], alpha=2 * plan.guardrail_alpha, look=look
    )
    return None if isinstance(found, NotComputable) else Worsening(course.days[look], found)


def _guardrail_too_early(plan: AnalysisPlan, planned: PlannedMetric, detail: str) -> GuardrailResult | None:
    if planned.role is not Role.GUARDRAIL or planned.margin is None:
        return None
    return not_judged(planned.margin, plan.guardrail_alpha, planned.metric.direction, detail)


def _is_unlikely(planned: PlannedMetric, looks: tuple[Look, ...]) -> bool:
    """Say whether the latest look lies below its futility bound: a win is unlikely, which is not the same as harm."""
    if not looks or looks[-1].futility is None:
        return False
    z = looks[-1].z if planned.metric.direction is Direction.INCREASE else -looks[-1].z
    return z < looks[-1].futility
