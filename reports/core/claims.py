"""Which comparisons may be called better or worse, with all success metrics, treatments and looks taken into account."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from experiments.core.metrics import Direction, Role
from experiments.core.plan import AnalysisPlan, PlannedMetric
from reports.core.exploring import with_discoveries
from reports.core.measure import Measured
from reports.core.methods.base import Comparison, NotComputable
from reports.core.monitoring import Course, stopped_at
from reports.core.multiplicity import gatekept
from reports.core.results import SUCCESS_ROLES, Claim, MetricResult, Stopped, VariantComparison

Key = tuple[str, str]  # metric, treatment


@dataclass(frozen=True, slots=True)
class Test:
    """One hypothesis of the success family. `rejects` says, for a two-sided alpha, which side it is rejected on, if any."""

    key: Key
    p_value: float
    rejects: Callable[[float], Claim]


@dataclass(frozen=True, slots=True)
class Decided:
    """A claim, and the two-sided alpha of the step at which it was made."""

    claim: Claim
    level: float


def holm_claims(tests: Sequence[Test], alpha: float) -> dict[Key, Decided]:
    """Return the claims of a family by Holm's steps: the first at alpha / m, the next at alpha / (m - 1) and so on.

    Stepping on levels instead of p-values lets a sequential test take part by its own bounds.

    Source: Holm (1979); for sequential tests Ye, Li, Liu & Yao (2013), Statistics in Medicine 32:1112-1124.
    Checked against: adjusted p-values below alpha.
    """
    claims: dict[Key, Decided] = {}
    remaining = list(tests)
    while remaining:
        level = alpha / len(remaining)
        found = {t.key: Decided(claim, level) for t in remaining if (claim := t.rejects(level)) is not Claim.OPEN}
        if not found:
            break
        claims |= found
        remaining = [t for t in remaining if t.key not in found]
    return claims


def gatekept_claims(families: Sequence[Sequence[Test]], alpha: float) -> dict[Key, Decided]:
    """Return the claims of families in order: Holm in each, the next one only once every test of the last one is decided.

    A test behind the gate has bounds of its own at its own level, so it does not matter when the gate opened.

    Source: Dmitrienko & Tamhane (2007), Pharmaceutical Statistics 6:171-180; for sequential tests Glimm, Maurer & Bretz
    (2010), Statistics in Medicine 29:219-228. Checked against: simulation of the family-wise error.
    """
    claims: dict[Key, Decided] = {}
    for family in families:
        found = holm_claims(family, alpha)
        claims |= found
        if len(found) < len(family):
            break
    return claims


def with_claims(
    plan: AnalysisPlan,
    metrics: tuple[MetricResult, ...],
    courses: Mapping[Key, Course],
    measured: Mapping[str, Measured],
    covaried: Mapping[str, Measured],
) -> tuple[MetricResult, ...]:
    """Add adjusted p-values and, to the success metrics, claims; other metrics claim nothing.

    `measured` is what counts, `covaried` what was measured with covariates.

    Improvement is tested two-sided at alpha: the primary metrics by Holm, then the proxies by Holm once all primary tests are
    decided; without a primary metric the proxies come first. Worsening is tested one-sided at alpha over all success and
    guardrail tests; where there is one test alone, at the level of its two-sided test.
    """
    families = [
        [
            _test(m.planned, c, courses.get((m.key, c.variant)))
            for m in metrics
            if m.planned.role is role
            for c in m.comparisons
        ]
        for role in SUCCESS_ROLES
    ]
    families = [family for family in families if family]
    tests = [test for family in families for test in family]
    better = gatekept_claims(families, plan.alpha)
    alone = {key for family in families for key in holm_claims(family, plan.alpha)}
    p_values = gatekept([[t.p_value for t in family] for family in families])
    adjusted = {t.key: p for f, ps in zip(families, p_values, strict=True) for t, p in zip(f, ps, strict=True)}
    guarded = sum(len(m.comparisons) for m in metrics if m.planned.role is Role.GUARDRAIL)
    worsening_alpha = 2 * plan.alpha / max(len(tests) + guarded, 2)
    worse = {t.key for t in tests if t.rejects(worsening_alpha) is Claim.WORSE}

    def claimed(metric: MetricResult, comparison: VariantComparison) -> VariantComparison:
        key = (metric.key, comparison.variant)
        if isinstance(comparison.result, NotComputable) or key not in adjusted:
            return comparison
        decided = better.get(key)
        if key in worse:
            decided = Decided(Claim.WORSE, worsening_alpha)
        elif decided is not None and decided.claim is Claim.WORSE:
            decided = None
        return replace(
            comparison,
            adjusted_p_value=adjusted[key],
            claim=decided.claim if decided else Claim.OPEN,
            waits_for_primary=decided is None and key in alone and key not in better,
            stopped=_stopped(plan, metric.planned, courses.get(key), decided),
        )

    found = tuple(replace(m, comparisons=tuple(claimed(m, c) for c in m.comparisons)) for m in metrics)
    return with_discoveries(plan, found, courses, measured, covaried)


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


def _stopped(
    plan: AnalysisPlan, planned: PlannedMetric, course: Course | None, decided: Decided | None
) -> Stopped | None:
    """Return the numbers of a test at the look that crossed the bound of the level at which it was decided."""
    if course is None or decided is None:
        return None
    upward = (planned.metric.direction is Direction.INCREASE) is (decided.claim is Claim.BETTER)
    index = course.first_crossing(decided.level, upward=upward)
    return None if index is None else stopped_at(course, index, level=decided.level, alpha=plan.alpha)
