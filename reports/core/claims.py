"""Which comparisons may be called better or worse, with all success metrics, treatments and looks taken into account."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from experiments.core.metrics import Direction, Role
from experiments.core.plan import AnalysisPlan, PlannedMetric
from reports.core.methods.base import Comparison, NotComputable
from reports.core.monitoring import Course, stopped_at
from reports.core.multiplicity import benjamini_hochberg, holm
from reports.core.results import SUCCESS_ROLES, Claim, MetricResult, Stopped, VariantComparison

Key = tuple[str, str]  # metric, treatment


@dataclass(frozen=True, slots=True)
class Test:
    """One hypothesis of the success family. `rejects` says, for a two-sided alpha, which side it is rejected on, if any."""

    key: Key
    p_value: float
    rejects: Callable[[float], Claim]


def holm_claims(tests: Sequence[Test], alpha: float) -> dict[Key, Claim]:
    """Return the claims of a family by Holm's steps: the first at alpha / m, the next at alpha / (m - 1) and so on.

    Stepping on levels instead of p-values lets a sequential test take part by its own bounds.

    Source: Holm (1979); for sequential tests Ye, Li, Liu & Yao (2013), Statistics in Medicine 32:1112-1124.
    Checked against: adjusted p-values below alpha.
    """
    claims: dict[Key, Claim] = {}
    remaining = list(tests)
    while remaining:
        level = alpha / len(remaining)
        found = {t.key: claim for t in remaining if (claim := t.rejects(level)) is not Claim.OPEN}
        if not found:
            break
        claims |= found
        remaining = [t for t in remaining if t.key not in found]
    return claims


def with_claims(
    plan: AnalysisPlan, metrics: tuple[MetricResult, ...], courses: Mapping[Key, Course]
) -> tuple[MetricResult, ...]:
    """Add adjusted p-values and, to the success metrics, claims; other metrics claim nothing.

    Improvement is tested two-sided at alpha by Holm; worsening one-sided at alpha over all success and guardrail tests.
    """
    family = [(m, c) for m in metrics if m.planned.role in SUCCESS_ROLES for c in m.comparisons]
    tests = [_test(m.planned, c, courses.get((m.key, c.variant))) for m, c in family]
    better = holm_claims(tests, plan.alpha)
    adjusted = dict(zip([t.key for t in tests], holm([t.p_value for t in tests]), strict=True)) if tests else {}
    guarded = sum(len(m.comparisons) for m in metrics if m.planned.role is Role.GUARDRAIL)
    worsening_alpha = 2 * plan.alpha / max(len(tests) + guarded, 2)
    explored = [(m.key, c) for m in metrics if m.planned.role is Role.EXPLORATORY for c in m.comparisons]
    raw = [1.0 if isinstance(c.result, NotComputable) else c.result.p_value for _, c in explored]
    discovered = {(key, c.variant): p for (key, c), p in zip(explored, benjamini_hochberg(raw), strict=True)}
    worse = {t.key for t in tests if t.rejects(worsening_alpha) is Claim.WORSE}

    def claimed(metric: MetricResult, comparison: VariantComparison) -> VariantComparison:
        key = (metric.key, comparison.variant)
        if isinstance(comparison.result, NotComputable):
            return comparison
        if key not in adjusted:
            return replace(comparison, adjusted_p_value=discovered.get(key))
        claim = better.get(key, Claim.OPEN)
        if key in worse:
            claim = Claim.WORSE
        elif claim is Claim.WORSE:
            claim = Claim.OPEN
        return replace(
            comparison,
            adjusted_p_value=adjusted[key],
            claim=claim,
            stopped=_stopped(plan, metric.planned, courses.get(key), claim),
        )

    return tuple(replace(m, comparisons=tuple(claimed(m, c) for c in m.comparisons)) for m in metrics)


def _test(planned: PlannedMetric, comparison: VariantComparison, course: Course | None) -> Test:
    key = (planned.metric.key, comparison.variant)
    wants_more = planned.metric.direction is Direction.INCREASE
    if course is not None:
        return Test(key, course.p_value(), lambda level: _side_of_course(course, level, wants_more=wants_more))
    result = comparison.result
    if isinstance(result, NotComputable):
        return Test(key, 1.0, lambda level: Claim.OPEN)
    return Test(key, result.p_value, lambda level: _side_of(result, level, wants_more=wants_more))


def _side_of(result: Comparison, level: float, *, wants_more: bool) -> Claim:
    if result.p_value >= level:
        return Claim.OPEN
    return Claim.BETTER if (result.z > 0) is wants_more else Claim.WORSE


def _side_of_course(course: Course, level: float, *, wants_more: bool) -> Claim:
    """Return the side on which the course crossed first; what happened after a test stopped does not count."""
    up, down = course.first_crossing(level, upward=wants_more), course.first_crossing(level, upward=not wants_more)
    if up is None and down is None:
        return Claim.OPEN
    if down is None or (up is not None and up < down):
        return Claim.BETTER
    return Claim.WORSE


def _stopped(plan: AnalysisPlan, planned: PlannedMetric, course: Course | None, claim: Claim) -> Stopped | None:
    if course is None or claim is Claim.OPEN:
        return None
    upward = (planned.metric.direction is Direction.INCREASE) is (claim is Claim.BETTER)
    index = course.first_crossing(plan.alpha, upward=upward)
    return None if index is None else stopped_at(course, index, alpha=plan.alpha)
