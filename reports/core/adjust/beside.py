"""The comparison without covariates, kept beside the one that counts so that anybody can see what adjusting did."""

from __future__ import annotations

from dataclasses import replace

from reports.core.methods import ADJUSTED, method_for
from reports.core.methods.base import Comparison, NotComputable, SingleLook
from reports.core.monitoring import Course
from reports.core.results import Unadjusted, VariantComparison
from reports.core.statistics import Covaried, Statistic


def with_unadjusted(
    comparison: VariantComparison, treatment: Statistic, control: Statistic, course: Course | None, *, alpha: float
) -> VariantComparison:
    """Add the plain comparison of the same visitors, held to the same look; nothing where nothing was adjusted."""
    if not isinstance(treatment, Covaried) or not isinstance(control, Covaried):
        return comparison
    if isinstance(comparison.result, NotComputable):
        return comparison
    look_alpha = comparison.result.single_look.alpha if comparison.result.single_look else alpha
    plain = method_for(treatment.plain, control.plain).compare(treatment.plain, control.plain, alpha=look_alpha)
    blocked = ADJUSTED.why_not_regression(treatment, control)
    return replace(
        comparison,
        unadjusted=Unadjusted(
            result=_at_look(plain, course, alpha=alpha),
            detail=blocked.detail if blocked is not None else "",
            variance_left=_variance_left(comparison.result, plain),
        ),
    )


def _at_look(plain: Comparison | NotComputable, course: Course | None, *, alpha: float) -> Comparison | NotComputable:
    if isinstance(plain, NotComputable) or course is None or not course.days:
        return plain
    p_value = course.monitor.p_value_at(len(course.days) - 1, plain.z, alpha=alpha)
    single_look = SingleLook(plain.alpha, plain.p_value, course.monitor.kind)
    return replace(plain, alpha=alpha, p_value=p_value, single_look=single_look)


def _variance_left(adjusted: Comparison, plain: Comparison | NotComputable) -> float | None:
    """Return the ratio of the widths of both intervals, squared: both are of one level."""
    if isinstance(plain, NotComputable):
        return None
    widths = [one.interval.high - one.interval.low for one in (adjusted, plain)]
    return (widths[0] / widths[1]) ** 2 if widths[1] > 0 else None
