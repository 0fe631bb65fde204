"""Show the working: what went into each comparison of a metric, by which method, after whom."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.core.plan import PlannedMetric
from reports.core.methods import NAMED
from reports.sections import numbers
from reports.sections.health import evidence_rows

# Fields of a comparison that have a line, a column or a table of their own.
TOLD = frozenset(
    {
        "variant",
        "effect",
        "ci_low",
        "ci_high",
        "lift",
        "lift_ci_low",
        "lift_ci_high",
        "p_value",
        "method",
        "method_label",
    }
    | {"not_computable", "lift_not_computable", "guardrail", "unbounded", "standard_error", "degrees_of_freedom"}
    | {"adjusted_p_value", "alpha", "z", "claim", "is_unlikely_to_win", "looks", "stopped", "single_look"}
    | {"waits_for_primary", "discovery", "unadjusted", "adjusted"}
)

# What a field is called on the page, where its own name would say little.
CALLED = {
    "guardrail, ruled out worsening": "Guardrail, worsening beyond which all is ruled out",
    "guardrail, is small drop likely": "Guardrail, a small drop is likely",
    "guardrail, power": "Guardrail, chance to show safety so far",
    "guardrail, power at horizon": "Guardrail, chance to show safety at the planned end",
    "bayes, prior, a": "Bayes, prior Beta(a, b): a",
    "bayes, prior, b": "Bayes, prior Beta(a, b): b",
    "bayes, p better": "Bayes, probability of being better",
    "bayes, expected loss shipping": "Bayes, expected loss by shipping",
    "bayes, expected loss keeping": "Bayes, expected loss by keeping the control",
    "bayes, ci low": "Bayes, effect at least",
    "bayes, ci high": "Bayes, effect at most",
}


@dataclass(frozen=True, slots=True)
class Row:
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class LookRow:
    """One look of a sequential test, as text."""

    day: str
    information: str
    z: str
    bound: str
    futility: str


@dataclass(frozen=True, slots=True)
class Compared:
    """One comparison, line by line, with every look that was taken at it."""

    title: str
    rows: tuple[Row, ...]
    looks: tuple[LookRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Working:
    """`inputs` names what was counted, per variant; `rule` says how events became the value."""

    rule: tuple[Row, ...]
    inputs: tuple[Compared, ...]
    comparisons: tuple[Compared, ...]


def working_of(metric: Mapping[str, Any], planned: PlannedMetric | None, controls: set[str]) -> Working:
    """Lay open everything that the document and the plan know about one metric."""
    control = next(iter(sorted(controls)), "control")
    return Working(
        rule=_rule(planned),
        inputs=tuple(Compared(str(v["variant"]), _input_rows(v)) for v in metric["values"]),
        comparisons=tuple(
            Compared(f"{c['variant']} against {control}", _comparison_rows(c), _looks(c))
            for c in metric.get("comparisons", ())
        ),
    )


def _rule(planned: PlannedMetric | None) -> tuple[Row, ...]:
    if planned is None:
        return ()
    definition = planned.metric
    rows = [Row("Event", definition.event)]
    if definition.denominator_event:
        rows.append(Row("Divided by event", definition.denominator_event))
    if definition.where:
        rows.append(
            Row("Only where", " and ".join(f"{t.name} {t.comparator.value} {t.value}" for t in definition.where))
        )
    if definition.value_property:
        rows.append(Row("Value from", definition.value_property))
    rows.append(Row("Definition", f"version {definition.version}"))
    return tuple(rows)


def _input_rows(values: Mapping[str, Any]) -> tuple[Row, ...]:
    visitors, exposed = values["visitors"], values.get("exposed")
    rows = []
    if exposed is not None:
        rows.append(Row("Visitors exposed", numbers.whole(exposed)))
        if exposed > visitors:
            rows.append(Row("Not followed long enough", numbers.whole(exposed - visitors)))
    rows.append(Row("Visitors counted", numbers.whole(visitors)))
    if "converted" in values:
        rows.append(Row("Converted", numbers.whole(values["converted"])))
    if values.get("total") is not None:
        rows.append(Row("Total", numbers.amount(values["total"])))
    if values.get("value") is not None:
        rows.append(Row("Value, unrounded", f"{values['value']:.8g}"))
    if values.get("ci_low") is not None and values.get("ci_high") is not None:
        rows.append(Row("Interval of the value", f"{values['ci_low']:.6g} to {values['ci_high']:.6g}"))
    rows.extend(
        Row(f"{key.replace('_', ' ').capitalize()}", f"{value:.8g}")
        for key, value in (values.get("working") or {}).items()
        if key not in {"visitors", "converted"} and value is not None
    )
    return tuple(rows)


def _comparison_rows(comparison: Mapping[str, Any]) -> tuple[Row, ...]:
    blocked = comparison.get("not_computable")
    if blocked is not None:
        return (Row("Not computable", f"{numbers.typeset(str(blocked['detail']))} ({blocked['code']})"),)
    method = str(comparison.get("method_label") or comparison.get("method", "")).replace("_", " ")
    rows = [Row("Method", method)]
    source = source_of(str(comparison.get("method", "")))
    if source:
        rows.append(Row("After", source))
    stopped = comparison.get("stopped")
    if isinstance(stopped, Mapping):
        rows.append(Row("Decided", f"on day {stopped['day']}, when the test crossed its bound"))
        rows.extend(_estimate_rows(stopped, " when decided, corrected for stopping there"))
        rows.extend(_estimate_rows(comparison, " of all data, not corrected"))
    else:
        rows.extend(_estimate_rows(comparison, ""))
    rows.extend(_numbers(comparison))
    guardrail = comparison.get("guardrail")
    if isinstance(guardrail, Mapping):
        told = {k: v for k, v in guardrail.items() if k != "worsening"}
        rows.extend(_called(evidence_rows({"guardrail": told})))
        rows.extend(_worsening_rows(guardrail.get("worsening")))
    rows.extend(_beside_rows(comparison.get("unadjusted"), "without covariates"))
    rows.extend(_beside_rows(comparison.get("adjusted"), "with covariates"))
    extra = {k: v for k, v in comparison.items() if k not in TOLD}
    bayes = extra.get("bayes")
    if isinstance(bayes, Mapping):
        extra["bayes"] = {**bayes, "p_better": numbers.probability(bayes["p_better"])}
    rows.extend(_called(evidence_rows(extra)))
    return tuple(rows)


def _beside_rows(beside: Any, which: str) -> list[Row]:
    """Return the comparison that does not count, and how much the covariates explained."""
    if not isinstance(beside, Mapping):
        return []
    blocked = beside.get("not_computable")
    if isinstance(blocked, Mapping):
        return [Row(which.capitalize(), numbers.typeset(str(blocked["detail"])))]
    rows = [Row("Why no regression", numbers.typeset(str(beside["detail"])))] if beside["detail"] else []
    rows.extend(_estimate_rows(beside, f" {which}, which does not count"))
    if beside.get("variance_left") is not None:
        rows.append(Row("Variance left by the covariates", numbers.share(beside["variance_left"])))
    return rows


def _called(rows: Iterable[tuple[str, str]]) -> list[Row]:
    return [Row(CALLED.get(label, label[:1].upper() + label[1:]), text) for label, text in rows]


def _worsening_rows(seen: Any) -> list[Row]:
    """Return the numbers with which a guardrail crossed its harm bound, where that may have been at an earlier look."""
    if not isinstance(seen, Mapping) or seen.get("day") is None:
        return []
    return _estimate_rows(seen, f" on day {seen['day']}, when the harm bound was crossed")


def _estimate_rows(source: Mapping[str, Any], when: str) -> list[Row]:
    rows = []
    for label, name, low, high in (
        ("Effect in its own unit", "effect", "ci_low", "ci_high"),
        ("Relative lift", "lift", "lift_ci_low", "lift_ci_high"),
    ):
        if source.get(name) is not None:
            ends = numbers.interval(source.get(low), source.get(high), _exact)
            rows.append(Row(label + when, f"{_exact(source[name])} ({ends})"))
    blocked = source.get("lift_not_computable")
    if isinstance(blocked, Mapping):
        rows.append(Row("Relative lift", numbers.typeset(str(blocked["detail"]))))
    if source.get("p_value") is not None:
        rows.append(Row("p-value" + when, f"{source['p_value']:.6g}"))
    return rows


def _numbers(comparison: Mapping[str, Any]) -> list[Row]:
    rows = []
    for key, label in (
        ("adjusted_p_value", "p-value over every look and every test of the family"),
        ("z", "z"),
        ("standard_error", "Standard error of the effect"),
        ("degrees_of_freedom", "Degrees of freedom"),
    ):
        if comparison.get(key) is not None:
            rows.append(Row(label, f"{comparison[key]:.6g}".replace("-", numbers.MINUS)))
    if comparison.get("alpha") is not None:
        label = "Level of the intervals over all looks" if comparison.get("looks") else "Level of the intervals"
        rows.append(Row(label, _level(comparison["alpha"])))
    discovery = comparison.get("discovery")
    if isinstance(discovery, Mapping):
        rows.append(Row("Exploratory, not a decision basis", _discovery(discovery)))
    look = comparison.get("single_look")
    if isinstance(look, Mapping):
        rows.append(Row("p-value of this look alone", f"{look['p_value']:.6g}"))
        rows.append(Row("Level of this look alone", _level(look["alpha"])))
    return rows


def _discovery(discovery: Mapping[str, Any]) -> str:
    among = f"at a false discovery rate of {100 * discovery['rate']:g}{numbers.NARROW}%"
    count = f"{discovery['selected']} of {numbers.plural(discovery['tests'], 'exploratory test')}"
    if not discovery["is_selected"]:
        return f"does not stand out: {count} do {among}"
    return f"one of {count} that stand out {among}; its intervals are at the level for those picked"


def _level(alpha: float) -> str:
    return f"{100 * (1 - alpha):.4g}{numbers.NARROW}%"


def _looks(comparison: Mapping[str, Any]) -> tuple[LookRow, ...]:
    return tuple(
        LookRow(
            day=str(look["day"]),
            information=numbers.share(look["information"]),
            z=_bound(look.get("z")),
            bound=_bound(look.get("bound")),
            futility=_bound(look.get("futility")),
        )
        for look in comparison.get("looks") or ()
    )


def _bound(value: float | None) -> str:
    return numbers.UNKNOWN if value is None else f"{value:.3f}".replace("-", numbers.MINUS)


def source_of(method: str) -> str:
    """Return the literature that a method's docstring names under `Source:`; empty for one that is not known here."""
    known = NAMED.get(method)
    text = inspect.getdoc(known) if known is not None else None
    if not text or "Source:" not in text:
        return ""
    return " ".join(text.split("Source:", 1)[1].split("Checked against:", 1)[0].split())


def _exact(value: float) -> str:
    text = f"{abs(value):.6g}"
    return text if value == 0 else (numbers.MINUS if value < 0 else "+") + text
