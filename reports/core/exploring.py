"""Exploratory metrics: which of many stand out, and intervals that stay honest for those that were picked because they do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from experiments.core.metrics import Role
from experiments.core.plan import AnalysisPlan
from reports.core.adjust.beside import with_beside
from reports.core.measure import Measured
from reports.core.methods import method_for
from reports.core.methods.base import NotComputable
from reports.core.monitoring import Course
from reports.core.multiplicity import benjamini_hochberg, false_coverage_alpha
from reports.core.results import Discovery, MetricResult, VariantComparison
from reports.core.statistics import Statistic

DISCOVERY_RATE = 0.10


def with_discoveries(
    plan: AnalysisPlan,
    metrics: tuple[MetricResult, ...],
    courses: Mapping[tuple[str, str], Course],
    measured: Mapping[str, Measured],
    covaried: Mapping[str, Measured],
) -> tuple[MetricResult, ...]:
    """Add to the exploratory metrics adjusted p-values and, to those that stand out, intervals at the selected level.

    One family over all exploratory metrics and treatments. A comparison without numbers counts as a test that found nothing.
    Who looks only at what stands out sees too many intervals that miss; at alpha = rate * selected / tests they miss in the
    rate at most. It is never more than the plan's alpha, so that standing out makes no interval narrower.

    Source: Benjamini & Hochberg (1995); Benjamini & Yekutieli (2005), JASA 100:71-81. Checked against: simulation.
    """
    explored = [(m, c) for m in metrics if m.planned.role is Role.EXPLORATORY for c in m.comparisons]
    raw = [1.0 if isinstance(c.result, NotComputable) else c.result.p_value for _, c in explored]
    if not raw:
        return metrics
    adjusted = benjamini_hochberg(raw)
    selected = sum(p <= DISCOVERY_RATE for p in adjusted)
    alpha = min(plan.alpha, false_coverage_alpha(raw, q=DISCOVERY_RATE))
    p_values = {(m.key, c.variant): p for (m, c), p in zip(explored, adjusted, strict=True)}

    def discovered(metric: MetricResult, comparison: VariantComparison) -> VariantComparison:
        key = (metric.key, comparison.variant)
        if isinstance(comparison.result, NotComputable):
            return comparison
        is_selected = p_values[key] <= DISCOVERY_RATE
        if is_selected:
            now = measured[metric.key].now
            comparison = _at(alpha, comparison, now[comparison.variant], now[plan.control.key], courses.get(key))
            if metric.key in covaried:
                comparison = with_beside(
                    metric.planned,
                    comparison,
                    covaried[metric.key],
                    courses.get(key),
                    control=plan.control.key,
                    alpha=alpha,
                )
        return replace(
            comparison,
            adjusted_p_value=p_values[key],
            discovery=Discovery(is_selected, DISCOVERY_RATE, selected, len(raw)),
        )

    return tuple(
        replace(m, comparisons=tuple(discovered(m, c) for c in m.comparisons))
        if m.planned.role is Role.EXPLORATORY
        else m
        for m in metrics
    )


def _at(
    alpha: float, comparison: VariantComparison, treatment: Statistic, control: Statistic, course: Course | None
) -> VariantComparison:
    """Return the comparison again, with intervals at `alpha`."""
    result = (
        course.held_to_all_looks(treatment, control, alpha=alpha)
        if course is not None and course.days
        else method_for(treatment, control).compare(treatment, control, alpha=alpha)
    )
    return replace(comparison, result=result)
