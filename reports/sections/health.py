"""The health strip: what every check found, worst first, each one a click from its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reports.sections import numbers
from reports.sections.base import ReportInput, Section

# Severity on the wire -> (rank, tone, mark, word read aloud).
SEVERITIES: dict[str, tuple[int, str, str, str]] = {
    "blocking": (0, "bad", "cross", "Blocks the verdict"),
    "warning": (1, "warn", "alert", "Warning"),
    "info": (2, "wait", "info", "Note"),
    "ok": (3, "good", "check", "Fine"),
}
# Of several like things, the field that says which one it is.
NAMING = ("variant", "metric", "day", "key", "name")
UNKNOWN_SEVERITY = (1, "warn", "alert", "Warning")


@dataclass(frozen=True, slots=True)
class Check:
    code: str
    title: str
    detail: str
    tone: str
    mark: str
    severity: str
    is_open: bool
    evidence: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Health:
    summary: str
    checks: tuple[Check, ...]


def build(report: ReportInput) -> Health | None:
    """Turn the findings of the document into a strip; None while nothing was checked yet."""
    if report.document is None:
        return None
    findings = sorted(report.document.get("health", ()), key=lambda f: _severity(f)[0])
    checks = tuple(_check(f) for f in findings)
    return Health(_summary(findings), checks)


def _severity(finding: Mapping[str, Any]) -> tuple[int, str, str, str]:
    return SEVERITIES.get(str(finding.get("severity")), UNKNOWN_SEVERITY)


def _check(finding: Mapping[str, Any]) -> Check:
    _, tone, mark, word = _severity(finding)
    return Check(
        code=str(finding["code"]),
        title=numbers.typeset(str(finding["title"])),
        detail=numbers.typeset(str(finding.get("detail", ""))),
        tone=tone,
        mark=mark,
        severity=word,
        is_open=tone == "bad",
        evidence=evidence_rows(finding.get("evidence")),
    )


def _summary(findings: list[Mapping[str, Any]]) -> str:
    blocking = sum(1 for f in findings if _severity(f)[0] == 0)
    warnings = sum(1 for f in findings if _severity(f)[0] == 1)
    if blocking:
        return f"{numbers.plural(blocking, 'problem')} must be mended before any number below can be trusted."
    if warnings:
        return f"{numbers.plural(warnings, 'warning')} to read; the numbers below can be used with that in mind."
    return "Nothing speaks against these numbers."


def evidence_rows(evidence: Any) -> tuple[tuple[str, str], ...]:
    """Flatten evidence of any shape into (label, text) pairs, numbers with sensible digits."""
    rows: list[tuple[str, str]] = []
    _flatten("", evidence, rows)
    return tuple(rows)


def _flatten(label: str, value: Any, rows: list[tuple[str, str]]) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            name = str(key).replace("_", " ")
            _flatten(f"{label}, {name}" if label else name, inner, rows)
    elif isinstance(value, list | tuple) and value and all(isinstance(v, Mapping) for v in value):
        for number, inner in enumerate(value, start=1):
            naming = next((k for k in NAMING if isinstance(inner.get(k), str)), None)
            title = str(inner[naming]) if naming else f"{label} {number}".strip()
            _flatten(title, {k: v for k, v in inner.items() if k != naming}, rows)
    elif value is not None and value != []:
        rows.append((label or "value", _text(label, value)))


def _text(label: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return numbers.whole(value)
    if isinstance(value, float):
        if label.split(", ")[-1] in {"p value", "p"}:
            return numbers.p_value(value)
        return numbers.whole(value) if value.is_integer() and abs(value) >= 1 else numbers.amount(value)
    if isinstance(value, list | tuple):
        return ", ".join(_text(label, v) for v in value)
    return str(value)


HEALTH = Section(key="health", title="Health", template="reports/sections/health.html", build=build)
