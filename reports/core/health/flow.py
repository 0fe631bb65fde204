"""Do events still arrive, for every metric, and has the follow-up of the visitors had time to happen?"""

from __future__ import annotations

from datetime import timedelta

from reports.core.health.base import Finding, HealthContext, Severity
from reports.core.progress import moment

STALE_AFTER = timedelta(hours=24)
FEW_VISITORS = 100


def stale_events(context: HealthContext) -> tuple[Finding, ...]:
    """Say that a live experiment has not had an event for a day."""
    progress, last = context.progress, context.exposures.last_event
    if progress.is_single_look or last is None:
        return ()
    horizon = progress.horizon_at
    expected_until = min(progress.as_of, horizon) if horizon is not None else progress.as_of
    silent = expected_until - moment(last)
    if silent <= STALE_AFTER:
        return ()
    hours = silent / timedelta(hours=1)
    return (
        Finding(
            "stale_events",
            Severity.WARNING,
            "Events have stopped",
            f"The last event is {hours:,.0f} hours older than this analysis. If visitors still come, tracking is broken and "
            "every number below stands still.",
            {"last_event": moment(last).isoformat(), "hours": round(hours, 1)},
        ),
    )


def silent_metrics(context: HealthContext) -> tuple[Finding, ...]:
    """Say which metrics have no event at all, or none in one variant only."""
    findings = []
    for metric in context.metrics:
        if metric.matured < FEW_VISITORS:
            continue
        event = metric.planned.metric.event
        silent = [v.variant for v in metric.values if v.statistic.total == 0]
        if len(silent) == len(metric.values):
            findings.append(
                Finding(
                    "metric_without_events",
                    Severity.WARNING,
                    f"No event for '{metric.name}'",
                    f"None of {metric.matured:,} visitors has an event '{event}'. Check the event name in the metric against "
                    "what the site sends.",
                    {"metric": metric.key, "event": event, "visitors": metric.matured},
                )
            )
        elif silent and all(v.statistic.total >= 10 for v in metric.values if v.variant not in silent):
            findings.append(
                Finding(
                    "metric_silent_in_variant",
                    Severity.WARNING,
                    f"'{metric.name}' is silent in one variant",
                    f"Visitors of '{silent[0]}' have no event '{event}' at all while others do. Either the variant breaks "
                    "this step, or it does not send the event.",
                    {"metric": metric.key, "event": event, "variants": silent},
                )
            )
    return tuple(findings)


def immature_visitors(context: HealthContext) -> tuple[Finding, ...]:
    """Say how many visitors are left out because their conversion window has not passed at the latest look."""
    waiting = [m for m in context.metrics if m.matured < m.exposed]
    if not waiting:
        return ()
    slowest = min(waiting, key=lambda m: m.matured)
    hours = slowest.planned.metric.window_hours or 0.0
    # After the final look nobody joins any more, however much time passes.
    is_over = context.progress.final_day is not None
    rest = "came too late to be followed that long and stay out" if is_over else "join when their time has passed"
    return (
        Finding(
            "immature_visitors",
            Severity.INFO,
            "Some visitors came too late to be counted" if is_over else "Some visitors are still being followed",
            f"'{slowest.name}' counts what visitors do within {hours:g} hours of their first exposure, so it uses "
            f"{slowest.matured:,} of {slowest.exposed:,} visitors; the others {rest}.",
            {
                "metrics": [
                    {
                        "metric": m.key,
                        "matured": m.matured,
                        "exposed": m.exposed,
                        "window_hours": m.planned.metric.window_hours,
                    }
                    for m in waiting
                ]
            },
        ),
    )
