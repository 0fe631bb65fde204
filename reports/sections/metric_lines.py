"""One variant of one metric as a line of the table: its value, and how it compares with the control."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from experiments.core.metrics import Direction
from experiments.core.plan import PlannedMetric
from reports.sections import numbers
from reports.sections.estimates import Estimate, estimate_of
from reports.sections.outcomes import NOT_TRUSTED, Outcome, outcome_of
from reports.sections.scale import Scale


@dataclass(frozen=True, slots=True)
class Plot:
    """Where an interval is drawn. Units: places in per cent of the width; an end that is cut gets an arrow."""

    low: float
    high: float
    at: float
    zero: float
    margin: float | None
    cut_low: bool
    cut_high: bool
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """What one variant's line says; `sentence` stands where a comparison has no numbers."""

    variant: str
    is_control: bool
    counted: str
    value: str
    lift: str = ""
    lift_interval: str = ""
    effect: str = ""
    p_value: str = ""
    outcome: Outcome | None = None
    plot: Plot | None = None
    sentence: str = ""
    name: str = ""


def line_of(
    metric: Mapping[str, Any],
    values: Mapping[str, Any],
    planned: PlannedMetric | None,
    scale: Scale,
    *,
    is_control: bool,
    is_trusted: bool,
    name: str = "",
) -> Line:
    """Return the line of one variant; `is_trusted` is False while a health check blocks, and then nothing is read into it."""
    line = Line(
        str(values["variant"]),
        is_control,
        _counted(values),
        value_text(metric, values.get("value")),
        name=name or str(values["variant"]),
    )
    comparison = next((c for c in metric.get("comparisons", ()) if str(c["variant"]) == line.variant), None)
    if comparison is None:
        return line
    blocked = comparison.get("not_computable")
    if blocked is not None:
        return replace(line, sentence=numbers.typeset(str(blocked["detail"])))
    shown = estimate_of(comparison)
    line = replace(line, effect=effect_text(metric, shown.effect))
    if shown.lift is None:
        return replace(line, sentence=_no_lift(comparison))
    return replace(
        line,
        lift=numbers.lift(shown.lift),
        lift_interval=numbers.interval(shown.lift_ci_low, shown.lift_ci_high),
        p_value=numbers.p_value(shown.p_value) if shown.p_value is not None else "",
        outcome=_dated(outcome_of(comparison, planned), shown) if is_trusted else NOT_TRUSTED,
        plot=_plot(line.name, shown, planned, scale),
    )


def _dated(outcome: Outcome, shown: Estimate) -> Outcome:
    """Name the day of the decision: lift and interval are of that day, while counts and values beside them are of all data."""
    if shown.decided_on_day is None:
        return outcome
    return replace(outcome, word=f"{outcome.word} (lift of day {shown.decided_on_day})")


def is_share(metric: Mapping[str, Any]) -> bool:
    """Say whether a metric's value is a share of visitors, written as per cent."""
    return metric.get("statistic") in {"proportion", "time_to_event"} or metric["kind"] == "conversion"


def value_text(metric: Mapping[str, Any], value: float | None) -> str:
    """Write a metric's value: per cent for a share of visitors, a plain number otherwise."""
    if value is None:
        return numbers.UNKNOWN
    return numbers.share(value) if is_share(metric) else numbers.amount(value)


def effect_text(metric: Mapping[str, Any], effect: float | None) -> str:
    """Write an effect in the metric's own unit."""
    if effect is None:
        return numbers.UNKNOWN
    return numbers.points(effect) if is_share(metric) else numbers.signed_amount(effect)


def worst_lift(planned: PlannedMetric) -> float:
    """Return the lift at which a guardrail's margin lies: on the left, or on the right where lower is better."""
    margin = planned.margin or 0.0
    return -margin if planned.metric.direction is Direction.INCREASE else margin


def _counted(values: Mapping[str, Any]) -> str:
    if not values["visitors"] and values.get("exposed"):
        return "none through their window yet"
    visitors = numbers.whole(values["visitors"])
    if "converted" in values:
        return f"{numbers.whole(values['converted'])} of {visitors}"
    total = values.get("total")
    return visitors if total is None else f"{numbers.whole(total)} from {visitors}"


def _no_lift(comparison: Mapping[str, Any]) -> str:
    reason = comparison.get("lift_not_computable")
    if isinstance(reason, Mapping):
        return numbers.typeset(str(reason["detail"]))
    return "No relative lift, because the control's value is 0."


def _plot(variant: str, shown: Estimate, planned: PlannedMetric | None, scale: Scale) -> Plot:
    low, high, lift = shown.lift_ci_low, shown.lift_ci_high, shown.lift or 0.0
    return Plot(
        low=scale.at(low if low is not None else scale.low),
        high=scale.at(high if high is not None else scale.high),
        at=scale.at(lift),
        zero=scale.at(0),
        margin=scale.at(worst_lift(planned)) if planned is not None and planned.margin is not None else None,
        cut_low=scale.cuts_low(low),
        cut_high=scale.cuts_high(high),
        label=f"{variant}: {numbers.lift(lift)}, {numbers.interval(low, high)}",
    )
