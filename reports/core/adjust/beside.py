"""The comparison that does not count, kept beside the one that does so that anybody can see what adjusting did."""

from __future__ import annotations

from dataclasses import replace

from experiments.core.plan import PlannedMetric
from reports.core.measure import Measured
from reports.core.methods import ADJUSTED, method_for
from reports.core.methods.base import Blocker, Comparison, NotComputable, SingleLook
from reports.core.monitoring import Course
from reports.core.results import Beside, VariantComparison
from reports.core.statistics import Covaried, Statistic


def with_beside(
    planned: PlannedMetric,
    comparison: VariantComparison,
    covaried: Measured,
    course: Course | None,
    *,
    control: str,
    alpha: float,
) -> VariantComparison:
    """Add the comparison that the plan does not let count: of the same visitors, held to the same look."""
    t, c = covaried.now[comparison.variant], covaried.now[control]
    if not isinstance(t, Covaried) or not isinstance(c, Covaried):
        raise TypeError("What was measured with covariates carries them.")
    if isinstance(comparison.result, NotComputable):
        return comparison
    look_alpha = comparison.result.single_look.alpha if comparison.result.single_look else alpha
    pair: tuple[Statistic, Statistic] = (t.plain, c.plain) if planned.is_adjusted else (t, c)
    other = _at_look(method_for(*pair).compare(*pair, alpha=look_alpha), course, alpha=alpha)
    blocked = ADJUSTED.why_not_regression(t, c)
    detail = blocked.detail if blocked is not None else ""
    if planned.is_adjusted:
        return replace(comparison, unadjusted=Beside(other, detail, _variance_left(comparison.result, other)))
    return replace(comparison, adjusted=Beside(other, detail, _variance_left(other, comparison.result)))


def not_adjustable(planned: PlannedMetric, comparison: VariantComparison) -> VariantComparison:
    """Say of a metric that no covariate can sharpen that it is compared plainly."""
    detail = f"A metric of kind '{planned.metric.kind}' is compared without covariates."
    return replace(comparison, adjusted=Beside(NotComputable(Blocker.NOT_ADJUSTABLE, detail), detail, None))


def _at_look(result: Comparison | NotComputable, course: Course | None, *, alpha: float) -> Comparison | NotComputable:
    if isinstance(result, NotComputable) or course is None or not course.days:
        return result
    p_value = course.monitor.p_value_at(len(course.days) - 1, result.z, alpha=alpha)
    single_look = SingleLook(result.alpha, result.p_value, course.monitor.kind)
    return replace(result, alpha=alpha, p_value=p_value, single_look=single_look)


def _variance_left(adjusted: Comparison | NotComputable, plain: Comparison | NotComputable) -> float | None:
    """Return the ratio of the widths of both intervals, squared: both are of one level."""
    if isinstance(adjusted, NotComputable) or isinstance(plain, NotComputable):
        return None
    widths = [one.interval.high - one.interval.low for one in (adjusted, plain)]
    return (widths[0] / widths[1]) ** 2 if widths[1] > 0 else None
