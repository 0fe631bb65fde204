"""The metrics by role: values per variant, the lift with its interval drawn on a shared axis, and how each was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from experiments.core.metric_kinds.quantile import QuantileKind, quantile_words
from experiments.core.metric_kinds.retention import PERIOD, RetentionKind
from experiments.core.metrics import Direction
from experiments.core.plan import Monitoring, PlannedMetric
from reports.sections import numbers
from reports.sections.base import ReportInput, Section, variant_names
from reports.sections.estimates import estimate_of
from reports.sections.metric_lines import Line, line_of, worst_lift
from reports.sections.scale import Scale, scale_for
from reports.sections.working import Working, working_of

# Order, title and meaning of each role, as a product person reads it.
ROLES: tuple[tuple[str, str, str], ...] = (
    ("primary", "Primary", "What this experiment sets out to move."),
    (
        "proxy",
        "Proxies",
        "Micro conversions that may decide early, as long as no guardrail suffers; beside a primary metric only after it.",
    ),
    (
        "guardrail",
        "Guardrails",
        "Must not get worse than the margin agreed beforehand: the dashed line. Judged one-sided.",
    ),
    (
        "exploratory",
        "Exploratory, not a decision basis",
        "For learning only: they never enter the verdict. A hint stands out among all of them at a false discovery rate of 10 %, "
        "and its interval is widened for having been picked.",
    ),
)
CONVERSIONS = {"macro": "Macro conversion", "milestone": "Milestone", "secondary": "Secondary action"}
KINDS = {
    "conversion": "share of visitors",
    "event_count": "events per visitor",
    "value_sum": "value per visitor",
    "ratio": "ratio",
    "retention": "share of visitors who came back",
    "time_to_event": "share of visitors, by Kaplan-Meier",
    "quantile": "quantile",
}


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

    @property
    def has_lifts(self) -> bool:
        return any(line.lift for block in self.blocks for line in block.lines)


@dataclass(frozen=True, slots=True)
class Metrics:
    """`warning` is set when a health check blocks the verdict: then no reading is offered."""

    tables: tuple[Table, ...]
    meaning: str
    warning: str = ""


def build(report: ReportInput) -> Metrics | None:
    """Turn the metrics of the document into one table per role; None while there is no answer."""
    document = report.document
    if document is None:
        return None
    known = {role for role, _, _ in ROLES}
    tables = []
    for role, title, meaning in ROLES:
        metrics = [
            m for m in document["metrics"] if m["role"] == role or (role == "exploratory" and m["role"] not in known)
        ]
        if metrics:
            tables.append(_table(role, title, meaning, metrics, report))
    warning = "" if _is_trusted(report) else "Read nothing into these numbers while a health check blocks them."
    return Metrics(tuple(tables), _shared_sentence(report) or _meaning(report), warning)


def _shared_sentence(report: ReportInput) -> str:
    """Return the one reason why nothing can be compared; empty when something can, or when the reasons differ."""
    assert report.document is not None
    comparisons = [c for m in report.document["metrics"] for c in m.get("comparisons", ())]
    details = {str((c.get("not_computable") or {}).get("detail", "")) for c in comparisons}
    return numbers.typeset(details.pop()) if len(details) == 1 and len(comparisons) > 1 else ""


def _meaning(report: ReportInput) -> str:
    assert report.document is not None
    comparisons = [c for m in report.document["metrics"] for c in m.get("comparisons", ())]
    lift = "Lift is the change against the control, the bar its interval: the lifts that these visitors do not speak against."
    if report.document.get("monitoring") == Monitoring.CONFIDENCE_SEQUENCE:
        return (
            f"{lift} There is no planned end: it is widened so that it holds at every look, however long the experiment runs, and "
            "needs no correction whenever one stops."
        )
    if any(estimate_of(c).is_sequential for c in comparisons):
        return (
            f"{lift} It is widened so that looking every day does no harm, and narrows as the planned end comes near; once a "
            "metric is decided, its lift stays that of the day, which the reading names, corrected for having been decided then, while "
            "counts and values go on. A guardrail's lift is of all data."
        )
    alpha = report.plan.alpha if report.plan else report.document.get("alpha", 0.05)
    return f"{lift} Its level is {100 * (1 - alpha):g}{numbers.NARROW}%."


def _is_trusted(report: ReportInput) -> bool:
    assert report.document is not None
    return not any(f["severity"] == "blocking" for f in report.document.get("health", ()))


def _table(role: str, title: str, meaning: str, metrics: Sequence[Mapping[str, Any]], report: ReportInput) -> Table:
    planned = {m.metric.key: m for m in report.plan.metrics} if report.plan else {}
    shown = [estimate_of(c) for m in metrics for c in m.get("comparisons", ())]
    margins = [worst_lift(p) for m in metrics if (p := planned.get(str(m["key"]))) and p.margin is not None]
    scale = scale_for([(e.lift_ci_low, e.lift, e.lift_ci_high) for e in shown if e.lift is not None], also=margins)
    blocks = tuple(_block(m, planned.get(str(m["key"])), report, scale) for m in metrics)
    return Table(role, title, meaning, scale, blocks)


def _block(metric: Mapping[str, Any], planned: PlannedMetric | None, report: ReportInput, scale: Scale) -> Block:
    assert report.document is not None
    controls = {str(v["key"]) for v in report.document["variants"] if v.get("is_control")}
    is_trusted = _is_trusted(report)
    names = variant_names(report.document)
    lines = tuple(
        line_of(
            metric,
            v,
            planned,
            scale,
            is_control=str(v["variant"]) in controls,
            is_trusted=is_trusted,
            name=names.get(str(v["variant"]), ""),
        )
        for v in metric["values"]
    )
    if _shared_sentence(report):
        lines = tuple(replace(line, sentence="") for line in lines)
    name = str(metric.get("name") or (planned.metric.name if planned else metric["key"]))
    return Block(str(metric["key"]), name, _facts(metric, planned), lines, working_of(metric, planned, controls))


def _facts(metric: Mapping[str, Any], planned: PlannedMetric | None) -> tuple[str, ...]:
    facts = [CONVERSIONS.get(str(metric["conversion"]), str(metric["conversion"]))]
    facts.append(KINDS.get(str(metric["kind"]), str(metric["kind"]).replace("_", " ")))
    if planned is None:
        return tuple(facts)
    if planned.metric.kind == QuantileKind.key:
        facts[-1] = quantile_words(planned.metric)
    if planned.metric.kind == RetentionKind.key:
        first, last = (planned.metric.options[name] for name in PERIOD)
        facts.append(f"from day {first:g} until day {last:g} after the first exposure")
    elif planned.metric.window_hours is not None:
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


METRICS = Section(key="metrics", title="Metrics", template="reports/sections/metrics.html", build=build)
