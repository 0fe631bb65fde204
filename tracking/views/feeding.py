"""Which metrics an event feeds, and whether an exposure counts anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.core.assign import CompiledRuleset
from experiments.core.metrics import MetricDefinition


def metrics_fed(metrics: Sequence[MetricDefinition], name: str, properties: Mapping[str, Any]) -> list[str]:
    """Return the names of the metrics that count an event of this name with these properties."""
    return [
        metric.name or metric.key
        for metric in metrics
        if (metric.event == name and all(test.holds(properties) for test in metric.where))
        or metric.denominator_event == name
    ]


def exposure_note(ruleset: CompiledRuleset | None, properties: Mapping[str, Any]) -> str:
    """Say what an exposure counts for, or why for nothing."""
    experiment, variant = str(properties.get("experiment", "")), str(properties.get("variant", ""))
    if ruleset is None or experiment not in ruleset.experiments:
        return f"counts nothing: there is no experiment '{experiment}'"
    if not ruleset.has_variant(experiment, variant):
        known = ", ".join(ruleset.experiments[experiment].previews)
        return f"counts nothing: '{experiment}' has no variant '{variant}', it has {known}"
    return f"{experiment}: {variant}"
