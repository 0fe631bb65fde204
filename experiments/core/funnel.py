"""The steps from the first milestone to the macro conversion, as an experiment's metrics declare them."""

from __future__ import annotations

from collections.abc import Iterable

from experiments.core.metrics import Conversion, MetricDefinition
from experiments.core.plan import PlannedMetric

CONVERSION_KIND = "conversion"
PROXY_ENGINE, METRIC_RULE = "proxy_engine", "metric_rule"


def funnel_steps(metrics: Iterable[MetricDefinition], *, needs_windows: bool = True) -> tuple[MetricDefinition, ...]:
    """Return the declared funnel, the macro conversion last; empty when the metrics declare none.

    A funnel has one or more milestones with a place on the way and a macro conversion, all of them yes or no per visitor. While
    an experiment runs each needs a conversion window: otherwise nobody could say which visitors have had their time.
    """
    usable = [m for m in metrics if m.kind == CONVERSION_KIND and (m.window_hours is not None or not needs_windows)]
    milestones = [m for m in usable if m.conversion is Conversion.MILESTONE and m.funnel_order is not None]
    macros = [m for m in usable if m.conversion is Conversion.MACRO]
    if not milestones or not macros:
        return ()
    milestones.sort(key=lambda m: (m.funnel_order or 0, m.key))
    return (*milestones, macros[0])


def decision_rule_for(metrics: Iterable[PlannedMetric], *, is_imported: bool) -> tuple[str, str]:
    """Return which rule decides an experiment with these metrics, and why."""
    frozen = [m.metric for m in metrics if not m.added_after_start]
    steps = funnel_steps(frozen, needs_windows=not is_imported)
    if steps:
        path = " → ".join(step.name or step.key for step in steps)
        return PROXY_ENGINE, f"The metrics declare a funnel: {path}."
    return METRIC_RULE, (
        "The metrics declare no funnel, which takes milestones with a place on the way and a macro conversion, each with a window."
    )
