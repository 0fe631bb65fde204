"""Findings about time: an effect that wears off, curves that say the window is too short, variants that differed before."""

from __future__ import annotations

from reports.core.health.base import Finding, HealthContext, Severity
from reports.core.results import Claim
from reports.core.timing import Novelty
from reports.core.timing.delays import DelayCheck

WEARS_OFF_BELOW = 0.05
WINDOW_MATTERS_BELOW = 0.01
CARRIED_OVER_BELOW = 0.001


def wearing_off(context: HealthContext) -> tuple[Finding, ...]:
    """Say where the daily lift shrinks with the days since the exposure.

    Chance does so for one in forty metrics without any effect; it warns only where a win rests on the metric.
    """
    claims = {(m.key, c.variant): c.claim for m in context.metrics for c in m.comparisons}
    return tuple(
        _wearing_off(metric.key, metric.name, trend, claims.get((metric.key, trend.variant)) is Claim.BETTER)
        for metric in context.timing.metrics
        for trend in metric.novelty
        if trend.is_shrinking and trend.p_value < WEARS_OFF_BELOW
    )


def _wearing_off(key: str, name: str, trend: Novelty, is_won: bool) -> Finding:
    known = [lift for lift in trend.lifts if lift is not None]
    return Finding(
        "effect_wears_off",
        Severity.WARNING if is_won else Severity.INFO,
        f"The effect on '{name}' shrinks with the days",
        f"Among {trend.visitors:,} visitors followed for {len(trend.lifts)} days, '{trend.variant}' is at {100 * known[0]:+.3g} % on the "
        f"first day since they met it and at {100 * known[-1]:+.3g} % on the last (slope: p = {trend.p_value:.2g}). It may be "
        "curiosity about something new: look at visitors who have had it for long before counting on the whole effect.",
        {
            "metric": key,
            "variant": trend.variant,
            "visitors": trend.visitors,
            "slope": trend.slope,
            "standard_error": trend.standard_error,
            "p_value": trend.p_value,
            "lifts": list(trend.lifts),
        },
    )


def short_window(context: HealthContext) -> tuple[Finding, ...]:
    """Say where the window decides what is found: lifts that differ at half of it, or curves that cross."""
    return tuple(
        _short_window(metric.key, metric.name, variant, check)
        for metric in context.timing.metrics
        if metric.delays is not None
        for variant, check in metric.delays.checks.items()
        if check.crosses or check.p_value < WINDOW_MATTERS_BELOW
    )


def _short_window(key: str, name: str, variant: str, check: DelayCheck) -> Finding:
    what = "the curves of the variants cross" if check.crosses else "the effect depends on how long one waits"
    return Finding(
        "effect_depends_on_window",
        Severity.WARNING,
        f"'{name}' in '{variant}': {what}",
        f"By half of the window '{variant}' is at {100 * check.half_lift:+.3g} %, by its end at {100 * check.full_lift:+.3g} % "
        f"(the same lift: p = {check.p_value:.2g}). A variant may only convert sooner or later than the other one; a longer "
        "window in the next experiment tells. This one keeps the window that it was planned with.",
        {
            "metric": key,
            "variant": variant,
            "half_lift": check.half_lift,
            "full_lift": check.full_lift,
            "p_value": check.p_value,
            "crosses": check.crosses,
        },
    )


def carried_over(context: HealthContext) -> tuple[Finding, ...]:
    """Say where the variants differed before anybody met them."""
    return tuple(
        Finding(
            "differed_before",
            Severity.WARNING,
            f"'{one.variant}' differed before the experiment",
            f"In the 28 days before their exposure {100 * one.active_t / one.visitors_t:.3g} % of the visitors of '{one.variant}' "
            f"had an event of '{one.name}', and {100 * one.active_c / one.visitors_c:.3g} % of the control's (p = "
            f"{one.adjusted_p_value:.2g} over all such tests). The variant cannot have done that: an earlier experiment may still "
            "act, or the assignment depends on what visitors do. Take a new salt, or compare visitors without a past.",
            {
                "metric": one.metric,
                "variant": one.variant,
                "active": {one.variant: one.active_t, context.plan.control.key: one.active_c},
                "visitors": {one.variant: one.visitors_t, context.plan.control.key: one.visitors_c},
                "p_value": one.p_value,
                "adjusted_p_value": one.adjusted_p_value,
            },
        )
        for one in context.timing.before
        if one.adjusted_p_value < CARRIED_OVER_BELOW
    )
