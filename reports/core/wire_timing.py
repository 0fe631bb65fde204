"""What time does to the metrics, as JSON: exploratory, beside the verdict."""

from __future__ import annotations

import math
from typing import Any

from reports.core.methods.base import NotComputable
from reports.core.statistics import Statistic
from reports.core.timing import Before, Delays, MetricTiming, Newcomers, Novelty, Timing, Weeks
from reports.core.timing.weeks import WeekEffect

LABEL = "exploratory, not a decision basis"


def timing_document(timing: Timing) -> dict[str, Any]:
    """Return the document of `timing`; it follows `TIMING` of the schema."""
    return {
        "label": LABEL,
        "metrics": [_metric(metric) for metric in timing.metrics],
        "before": [_before(one) for one in timing.before],
    }


def _metric(metric: MetricTiming) -> dict[str, Any]:
    return {
        "key": metric.key,
        "weeks": _weeks(metric.weeks) if metric.weeks is not None else None,
        "delays": _delays(metric.delays) if metric.delays is not None else None,
        "novelty": [_novelty(trend) for trend in metric.novelty],
        "newcomers": _newcomers(metric.newcomers) if metric.newcomers else None,
    }


def _weeks(weeks: Weeks) -> dict[str, Any]:
    return {
        "weeks": [
            {
                "starts_at": week.starts_at.isoformat(),
                "values": [_value(variant, statistic) for variant, statistic in week.values.items()],
                "comparisons": [_effect(variant, found, weeks.alpha) for variant, found in week.effects.items()],
            }
            for week in weeks.weeks
        ],
        "same_effect_p": dict(weeks.same_effect_p),
    }


def _newcomers(found: Newcomers) -> dict[str, Any]:
    return {
        "groups": [
            {
                "group": group,
                "values": [_value(variant, statistic) for variant, statistic in found.values[index].items()],
                "comparisons": [_effect(variant, pair[index], found.alpha) for variant, pair in found.effects.items()],
            }
            for index, group in enumerate(("new", "returning"))
        ],
        "same_effect_p": dict(found.same_effect_p),
    }


def _value(variant: str, statistic: Statistic) -> dict[str, Any]:
    return {"variant": variant, "visitors": statistic.visitors, "value": _number(statistic.value)}


def _effect(variant: str, found: WeekEffect | NotComputable, alpha: float) -> dict[str, Any]:
    if isinstance(found, NotComputable):
        return {"variant": variant, "not_computable": {"code": found.blocker.value, "detail": found.detail}}
    return {
        "variant": variant,
        "effect": _number(found.effect),
        "ci_low": _number(found.interval.low),
        "ci_high": _number(found.interval.high),
        "alpha": alpha,
    }


def _delays(delays: Delays) -> dict[str, Any]:
    return {
        "hours": list(delays.hours),
        "curves": [
            {"variant": variant, "visitors": delays.visitors[variant], "shares": list(shares)}
            for variant, shares in delays.shares.items()
        ],
        "checks": [
            {
                "variant": variant,
                "half_window_lift": check.half_lift,
                "full_window_lift": check.full_lift,
                "p_value": check.p_value,
                "crosses": check.crosses,
            }
            for variant, check in delays.checks.items()
        ],
    }


def _novelty(trend: Novelty) -> dict[str, Any]:
    return {
        "variant": trend.variant,
        "visitors": trend.visitors,
        "lifts": list(trend.lifts),
        "slope": trend.slope,
        "standard_error": trend.standard_error,
        "p_value": trend.p_value,
        "is_shrinking": trend.is_shrinking,
    }


def _before(one: Before) -> dict[str, Any]:
    return {
        "metric": one.metric,
        "variant": one.variant,
        "active": one.active_t,
        "visitors": one.visitors_t,
        "control_active": one.active_c,
        "control_visitors": one.visitors_c,
        "p_value": one.p_value,
        "adjusted_p_value": one.adjusted_p_value,
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
