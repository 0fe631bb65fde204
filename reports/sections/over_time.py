"""What time does: the effect by exposure week, and how long conversions take. For learning, never for deciding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.sections import numbers
from reports.sections.base import ReportInput, Section, variant_names
from reports.sections.metric_lines import effect_text, value_text

DELAY_POINTS = (1, 4, 9, 14, 19)  # of twenty: a tenth, a quarter, half, three quarters, all of the window


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: its heading and one cell per column."""

    label: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a sentence on how to read it."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    reading: str


@dataclass(frozen=True, slots=True)
class Curves:
    """The share converted by each hour, to be drawn. Shapes: `shares` (variants, hours)."""

    hours: tuple[float, ...]
    variants: tuple[str, ...]
    shares: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Block:
    """One metric; a table is None where the data say nothing of it."""

    key: str
    name: str
    weeks: Table | None
    days: Table | None
    delays: Table | None
    curves: Curves | None
    newcomers: Table | None = None


@dataclass(frozen=True, slots=True)
class OverTime:
    blocks: tuple[Block, ...]
    meaning: str


def build(report: ReportInput) -> OverTime | None:
    """Turn the document's `timing` into tables; None where there is nothing to show."""
    timing = (report.document or {}).get("timing")
    if report.document is None or not isinstance(timing, Mapping):
        return None
    known = {str(m["key"]): m for m in report.document["metrics"]}
    names = variant_names(report.document)
    zone = report.experiment.time_zone
    blocks = tuple(
        Block(
            str(entry["key"]),
            str(known[entry["key"]].get("name") or entry["key"]),
            _weeks(entry["weeks"], known[entry["key"]], names, zone) if entry.get("weeks") else None,
            _days(entry["novelty"], names) if entry.get("novelty") else None,
            _delays(entry["delays"], names) if entry.get("delays") else None,
            _curves(entry["delays"], names) if entry.get("delays") else None,
            _newcomers(entry["newcomers"], known[entry["key"]], names) if entry.get("newcomers") else None,
        )
        for entry in timing["metrics"]
        if entry["key"] in known and any(entry.get(part) for part in ("weeks", "novelty", "delays", "newcomers"))
    )
    if not blocks:
        return None
    meaning = (
        "Exploratory: many looks at parts of the visitors, each interval made for one look. With so many, one looks strange by "
        "chance; the verdict rests on none of them."
    )
    return OverTime(blocks, meaning)


def _weeks(weeks: Mapping[str, Any], metric: Mapping[str, Any], names: Mapping[str, str], zone: str) -> Table:
    variants = [names[v["variant"]] for v in weeks["weeks"][0]["values"]]
    treatments = [names[c["variant"]] for c in weeks["weeks"][0]["comparisons"]]
    rows = []
    for week in weeks["weeks"]:
        starts_at = numbers.parse_time(week["starts_at"])
        assert starts_at is not None
        values = [_value(metric, v) for v in week["values"]]
        effects = [_effect(metric, c) for c in week["comparisons"]]
        rows.append(Row(f"Week of {numbers.day(starts_at, zone)}", (*values, *effects)))
    return Table(
        (*variants, *(f"{t}, effect" for t in treatments)),
        tuple(rows),
        _same_effect({names[key]: p for key, p in weeks["same_effect_p"].items()}),
    )


def _newcomers(found: Mapping[str, Any], metric: Mapping[str, Any], names: Mapping[str, str]) -> Table:
    new = found["groups"][0]
    rows = tuple(
        Row(
            "New visitors" if group["group"] == "new" else "Returning visitors",
            (*(_value(metric, v) for v in group["values"]), *(_effect(metric, c) for c in group["comparisons"])),
        )
        for group in found["groups"]
    )
    told = [f"{names[key]}: p = {numbers.p_value(p)}" for key, p in found["same_effect_p"].items() if p is not None]
    test = f"Test of one effect in both groups: {', '.join(told)}." if told else "Too little for a test of one effect."
    return Table(
        (
            *(names[v["variant"]] for v in new["values"]),
            *(f"{names[c['variant']]}, effect" for c in new["comparisons"]),
        ),
        rows,
        f"{test} Returning: seen in the 28 days before their first exposure. An effect on returning visitors alone may be "
        "curiosity about something new.",
    )


def _value(metric: Mapping[str, Any], value: Mapping[str, Any]) -> str:
    if not value["visitors"]:
        return "none through their window yet"
    return f"{value_text(metric, value['value'])} of {numbers.whole(value['visitors'])}"


def _effect(metric: Mapping[str, Any], comparison: Mapping[str, Any]) -> str:
    if "not_computable" in comparison:
        return numbers.UNKNOWN
    ends = numbers.interval(comparison["ci_low"], comparison["ci_high"], lambda end: effect_text(metric, end))
    return f"{effect_text(metric, comparison['effect'])} ({ends})"


def _same_effect(p_values: Mapping[str, float | None]) -> str:
    told = [f"{variant}: p = {numbers.p_value(p)}" for variant, p in p_values.items() if p is not None]
    return f"Test of one effect in all weeks: {', '.join(told)}." if told else "Too little for a test of one effect."


def _days(trends: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> Table:
    rows = tuple(
        Row(f"Day {day + 1}", tuple(_lift(trend["lifts"][day]) for trend in trends))
        for day in range(len(trends[0]["lifts"]))
    )
    slopes = [f"{names[t['variant']]}: p = {numbers.p_value(t['p_value'])}" for t in trends]
    reading = (
        f"The lift on each day since a visitor met the variant, among {numbers.plural(trends[0]['visitors'], 'visitor')} followed for "
        f"all of them. Test of a trend: {', '.join(slopes)}."
    )
    return Table(tuple(f"{names[t['variant']]}, lift" for t in trends), rows, reading)


def _lift(lift: float | None) -> str:
    return numbers.UNKNOWN if lift is None else numbers.lift(lift)


def _delays(delays: Mapping[str, Any], names: Mapping[str, str]) -> Table:
    curves: Sequence[Mapping[str, Any]] = delays["curves"]
    rows = tuple(
        Row(f"within {_length(delays['hours'][k])}", tuple(numbers.share(c["shares"][k]) for c in curves))
        for k in DELAY_POINTS
    )
    checks = [
        f"'{names[c['variant']]}' is at {numbers.lift(c['half_window_lift'])} by half of the window and at "
        f"{numbers.lift(c['full_window_lift'])} by its end (the same lift: p = {numbers.p_value(c['p_value'])})"
        for c in delays["checks"]
    ]
    reading = f"{'; '.join(checks)}." if checks else "Too few conversions to compare the lift at half of the window."
    return Table(
        tuple(names[c["variant"]] for c in curves), rows, f"Visitors followed to the end of the window. {reading}"
    )


def _curves(delays: Mapping[str, Any], names: Mapping[str, str]) -> Curves:
    curves: Sequence[Mapping[str, Any]] = delays["curves"]
    return Curves(
        tuple(float(hour) for hour in delays["hours"]),
        tuple(names[curve["variant"]] for curve in curves),
        tuple(tuple(float(share) for share in curve["shares"]) for curve in curves),
    )


def _length(hours: float) -> str:
    return f"{hours / 24:g}{numbers.NO_BREAK}days" if hours > 48 else f"{hours:g}{numbers.NO_BREAK}h"


OVER_TIME = Section(key="over-time", title="Over time", template="reports/sections/over_time.html", build=build)
