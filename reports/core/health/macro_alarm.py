"""Is the macro conversion drying up in a treatment? An exact alarm that works from the first conversions on."""

from __future__ import annotations

import math

from experiments.core.metrics import Direction
from reports.core.event_times import EventTimes
from reports.core.health.base import Finding, HealthContext, Severity
from reports.core.results import MetricResult
from reports.core.sequential.eprocess import log_worsening_e, rare_event_concentration
from reports.core.statistics import Proportion

ALARMS_AT = 100.0
LEAST_RATIO = 0.7  # the alarm is quickest for a drop by about a third, which nobody wants to wait a week for
RARE_BELOW = 0.1


def macro_alarm(context: HealthContext) -> tuple[Finding, ...]:
    """Warn of a treatment in which far fewer visitors reach the goal, at any time, also before the first look.

    It reads which variant each conversion came from, so it holds for very few conversions and at every refresh, and raises
    a false alarm in at most 1 of 100 experiments. It says nothing of frequent conversions, where it would be slow.
    """
    if context.progress.is_single_look:
        return ()
    return tuple(
        finding
        for metric in context.metrics
        if metric.is_macro and metric.planned.metric.direction is Direction.INCREASE
        for variant in context.plan.treatments
        if (finding := _alarm(context, metric, variant.key)) is not None
    )


def _alarm(context: HealthContext, metric: MetricResult, variant: str) -> Finding | None:
    t, c = metric.value_of(variant).statistic, metric.value_of(context.plan.control.key).statistic
    if not isinstance(t, Proportion | EventTimes) or not isinstance(c, Proportion | EventTimes):
        return None
    # Of times the conversions so far: the variants race, and both have been followed for as long.
    converted_t, converted_c = int(t.total), int(c.total)
    visitors, converted = t.visitors + c.visitors, converted_t + converted_c
    weights = {v.key: v.weight for v in context.plan.variants}
    if not converted or converted / visitors > RARE_BELOW or not weights[variant] or not context.plan.control.weight:
        return None
    share = weights[variant] / (weights[variant] + context.plan.control.weight)
    concentration = rare_event_concentration(share, LEAST_RATIO)
    log_e = log_worsening_e(converted_t, converted_c, share, concentration=concentration)
    if log_e < math.log(ALARMS_AT):
        return None
    return Finding(
        "macro_alarm",
        Severity.WARNING,
        f"'{metric.name}' is drying up in '{variant}'",
        f"{converted_t:,} of {converted:,} conversions came from '{variant}', which has {100 * share:.3g} % of these visitors. "
        "Chance hardly does this. Look whether the variant works at all, and consider stopping it.",
        {
            "metric": metric.key,
            "variant": variant,
            "converted": converted_t,
            "converted_in_control": converted_c,
            "e_value": math.exp(min(log_e, 700.0)),
        },
    )
