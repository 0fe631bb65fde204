"""The metrics by role: values per variant, the lift with its interval drawn on a shared axis, and how each was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.core.metrics import Direction
from experiments.core.plan import PlannedMetric
from reports.sections import numbers
from reports.sections.base import ReportInput, Section
from reports.sections.outcomes import Outcome, outcome_of
from reports.sections.scale import Scale, scale_for
from reports.sections.working import Working, working_of

# Order, title and meaning of each role, as a product person reads it.
ROLES: tuple[tuple[str, str, str], ...] = (
    ("primary", "Primary", "What this experiment sets out to move."),
    ("proxy", "Proxies", "Micro conversions that may decide early, as long as no guardrail suffers."),
    (
        "guardrail",
        "Guardrails",
        "Must not get worse than the margin agreed beforehand: the dashed line. Judged one-sided.",
    ),
    ("exploratory", "Exploratory", "For learning only: they never enter the verdict."),
)
CONVERSIONS = {"macro": "Macro conversion", "milestone": "Milestone", "secondary": "Secondary action"}
KINDS = {
    "conversion": "share of visitors",
    "event_count": "events per visitor",
    "value_sum": "value per visitor",
    "ratio": "ratio",
}


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
    """One variant of one metric."""

    variant: str
    is_control: bool
    visitors: str
    made_of: str
    value: str
    lift: str = ""
    lift_interval: str = ""
    effect: str = ""
    p_value: str = ""
    outcome: Outcome | None = None
    plot: Plot | None = None
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """One metric with its variants."""

    key: str
    name: str
    facts: tuple[str, ...]
    lines: tuple[Line, ...]
    working: Working


@dataclass(frozen=True, slots=True)
class Table:
    """The metrics of one role, on one axis."""

    role: str
    title: str
    meaning: str
    scale: Scale
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Metrics:
    tables: tuple[Table, ...]
    level: str


def build(report: ReportInput) -> Metrics | None:
    """Turn the metrics of the document into one table per role; None while there is no answer."""
    if report.document is None:
        return None
    planned = {m.metric.key: m for m in report.plan.metrics} if report.plan else {}
    controls = {str(v["key"]) for v in report.document["variants"] if v.get("is_control")}
    known = {role for role, _, _ in ROLES}
    tables = []
    for role, title, meaning in ROLES:
        metrics = [
            m
            for m in report.document["metrics"]
            if m["role"] == role or (role == "exploratory" and m["role"] not in known)
        ]
        if metrics:
            tables.append(_table(role, title, meaning, metrics, planned, controls))
    alpha = report.plan.alpha if report.plan else 0.05
    return Metrics(tuple(tables), f"{100 * (1 - alpha):g}{numbers.NARROW}%")


def _table(
    role: str,
    title: str,
    meaning: str,
    metrics: Sequence[Mapping[str, Any]],
    planned: Mapping[str, PlannedMetric],
    controls: set[str],
) -> Table:
    comparisons = [c for m in metrics for c in m.get("comparisons", ()) if c.get("lift") is not None]
    margins = [
        _worst(m) for key in (str(m["key"]) for m in metrics) if (m := planned.get(key)) and m.margin is not None
    ]
    scale = scale_for([(c.get("lift_ci_low"), c.get("lift"), c.get("lift_ci_high")) for c in comparisons], also=margins)
    blocks = tuple(_block(m, planned.get(str(m["key"])), controls, scale) for m in metrics)
    return Table(role, title, meaning, scale, blocks)


def _block(metric: Mapping[str, Any], planned: PlannedMetric | None, controls: set[str], scale: Scale) -> Block:
    compared = {str(c["variant"]): c for c in metric.get("comparisons", ())}
    lines = tuple(
        _line(metric, v, compared.get(str(v["variant"])), planned, str(v["variant"]) in controls, scale)
        for v in metric["values"]
    )
    name = str(metric.get("name") or (planned.metric.name if planned else metric["key"]))
    return Block(str(metric["key"]), name, _facts(metric, planned), lines, working_of(metric, planned, controls))


def _facts(metric: Mapping[str, Any], planned: PlannedMetric | None) -> tuple[str, ...]:
    facts = [CONVERSIONS.get(str(metric["conversion"]), str(metric["conversion"]))]
    facts.append(KINDS.get(str(metric["kind"]), str(metric["kind"]).replace("_", " ")))
    if planned is None:
        return tuple(facts)
    if planned.metric.window_hours is not None:
        facts.append(f"within {window(planned.metric.window_hours)} of the first exposure")
    if planned.metric.cap is not None:
        facts.append(f"cut at {numbers.amount(planned.metric.cap)} a visitor")
    if planned.metric.direction is Direction.DECREASE:
        facts.append("lower is better")
    if planned.margin is not None:
        facts.append(f"margin {planned.margin * 100:g}{numbers.NARROW}%")
    if planned.added_after_start:
        facts.append("added after the start")
    return tuple(facts)


def window(hours: float) -> str:
    """Write a window in days when it is whole days."""
    if hours % 24 == 0:
        return numbers.plural(int(hours // 24), "day")
    return f"{hours:g}{numbers.NO_BREAK}hour{'' if hours == 1 else 's'}"


def is_share(metric: Mapping[str, Any]) -> bool:
    """Say whether a metric's value is a share of visitors, written as per cent."""
    return metric.get("statistic") == "proportion" or metric["kind"] == "conversion"


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


def _line(
    metric: Mapping[str, Any],
    values: Mapping[str, Any],
    comparison: Mapping[str, Any] | None,
    planned: PlannedMetric | None,
    is_control: bool,
    scale: Scale,
) -> Line:
    total = values.get("total")
    made_of = (
        numbers.whole(values["converted"])
        if "converted" in values
        else ("" if total is None else numbers.amount(total))
    )
    line = Line(
        variant=str(values["variant"]),
        is_control=is_control,
        visitors=numbers.whole(values["visitors"]),
        made_of=made_of,
        value=value_text(metric, values.get("value")),
    )
    if comparison is None:
        return line
    return _compared(line, metric, comparison, planned, scale)


def _compared(
    line: Line, metric: Mapping[str, Any], comparison: Mapping[str, Any], planned: PlannedMetric | None, scale: Scale
) -> Line:
    base = {
        "variant": line.variant,
        "is_control": False,
        "visitors": line.visitors,
        "made_of": line.made_of,
        "value": line.value,
    }
    blocked = comparison.get("not_computable")
    if blocked is not None:
        return Line(**base, sentence=numbers.typeset(str(blocked["detail"])))  # type: ignore[arg-type]
    lift = comparison.get("lift")
    outcome = outcome_of(comparison, planned)
    return Line(
        **base,  # type: ignore[arg-type]
        lift=numbers.lift(lift) if lift is not None else "",
        lift_interval=numbers.interval(comparison.get("lift_ci_low"), comparison.get("lift_ci_high"))
        if lift is not None
        else "",
        effect=effect_text(metric, comparison.get("effect")),
        p_value=numbers.p_value(comparison["p_value"]) if comparison.get("p_value") is not None else "",
        outcome=outcome,
        plot=_plot(line, comparison, planned, scale) if lift is not None else None,
        sentence="" if lift is not None else _no_lift(comparison),
    )


def _no_lift(comparison: Mapping[str, Any]) -> str:
    reason = comparison.get("lift_not_computable")
    return (
        str(reason["detail"]) if isinstance(reason, Mapping) else "No relative lift, because the control's value is 0."
    )


def _plot(line: Line, comparison: Mapping[str, Any], planned: PlannedMetric | None, scale: Scale) -> Plot:
    low, high, lift = comparison.get("lift_ci_low"), comparison.get("lift_ci_high"), comparison["lift"]
    margin = scale.at(_worst(planned)) if planned is not None and planned.margin is not None else None
    return Plot(
        low=scale.at(low if low is not None else scale.low),
        high=scale.at(high if high is not None else scale.high),
        at=scale.at(lift),
        zero=scale.at(0),
        margin=margin,
        cut_low=scale.cuts_low(low),
        cut_high=scale.cuts_high(high),
        label=f"{line.variant}: {numbers.lift(lift)}, {numbers.interval(low, high)}",
    )


def _worst(planned: PlannedMetric) -> float:
    """Return the lift at which a guardrail's margin lies: on the left, or on the right where lower is better."""
    margin = planned.margin or 0.0
    return -margin if planned.metric.direction is Direction.INCREASE else margin


METRICS = Section(key="metrics", title="Metrics", template="reports/sections/metrics.html", build=build)
