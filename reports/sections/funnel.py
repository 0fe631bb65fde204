"""The funnel: how far visitors came, every step against all who were exposed, and where a gain vanishes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.sections import numbers
from reports.sections.base import ReportInput, Section, variant_names
from reports.sections.over_time import Row, Table


@dataclass(frozen=True, slots=True)
class Funnel:
    """`reach` counts against all exposed; `onward` against those who made the step before; `places` tests the milestones."""

    reach: Table
    onward: Table
    places: Table
    vanishes: str


def build(report: ReportInput) -> Funnel | None:
    """Turn the document's funnel into tables; None without one."""
    document = report.document
    funnel = (document or {}).get("funnel")
    if document is None or not isinstance(funnel, Mapping) or not funnel["steps"]:
        return None
    names = variant_names(document)
    variants = [str(v["variant"]) for v in funnel["steps"][0]["variants"]]
    columns = tuple(names.get(v, v) for v in variants)
    rates = {v: _rates(funnel["steps"], v) for v in variants}
    steps = [str(step["name"]) for step in funnel["steps"]]
    reach = tuple(Row(step, tuple(_per_thousand(rates[v], n) for v in variants)) for n, step in enumerate(steps))
    onward = tuple(Row(step["name"], tuple(_count(c) for c in step["variants"])) for step in funnel["steps"])
    return Funnel(
        reach=Table(columns, reach, "Of 1,000 exposed visitors, how many came so far. Compare variants here."),
        onward=Table(
            columns,
            onward,
            "Of those who made the step before and have had their time, how many made this one. Who made a step is itself an "
            "effect of the variant, so a smaller share here may only mean that more of the curious came along.",
        ),
        places=_places(funnel["places"]),
        vanishes=_vanishes(document, names),
    )


def _rates(steps: Sequence[Mapping[str, Any]], variant: str) -> list[float | None]:
    """Return the share of those at risk who made each step."""
    found: list[float | None] = []
    for step in steps:
        count = next(c for c in step["variants"] if c["variant"] == variant)
        found.append(count["reached"] / count["at_risk"] if count["at_risk"] else None)
    return found


def _per_thousand(rates: Sequence[float | None], step: int) -> str:
    share = 1.0
    for rate in rates[: step + 1]:
        if rate is None:
            return numbers.UNKNOWN
        share *= rate
    return f"{1000 * share:,.1f}"


def _count(count: Mapping[str, Any]) -> str:
    if not count["at_risk"]:
        return numbers.UNKNOWN
    share = numbers.share(count["reached"] / count["at_risk"])
    return f"{share} ({numbers.whole(count['reached'])} of {numbers.whole(count['at_risk'])})"


def _places(places: Sequence[Mapping[str, Any]]) -> Table:
    rows = tuple(
        Row(
            str(place["name"]),
            (
                numbers.share(place["reach"]),
                numbers.UNKNOWN if place["gateway"] is None else numbers.share(place["gateway"]),
                numbers.UNKNOWN if place["out_of_order"] is None else numbers.share(place["out_of_order"]),
                ("Left out. " if place["is_demoted"] else "") + str(place["detail"]),
            ),
        )
        for place in places
    )
    columns = ("Reached by", "Of those with the goal", "After the goal", "")
    return Table(columns, rows, "Whether each milestone stands where it was declared to, measured on all variants.")


def _vanishes(document: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Name the step at which a treatment's gain is lost again, where one clearly is."""
    texts = []
    for treatment in (document.get("proxy") or {}).get("treatments", ()):
        diluted = [q for q in treatment["quality"] if q["state"] == "dilution"]
        if diluted:
            steps = {str(s["key"]): str(s["name"]) for s in document["funnel"]["steps"]}
            effects = treatment["step_effects"]
            gained = [e["key"] for e in effects].index(diluted[0]["key"])
            lost = min(effects[gained + 1 :], key=lambda e: e["log_lift"] / e["variance"] ** 0.5)
            name = names.get(str(treatment["variant"]), str(treatment["variant"]))
            texts.append(
                f"What “{name}” gains up to “{steps[diluted[0]['key']]}” is lost again, most of it at “{steps[lost['key']]}”."
            )
    return " ".join(texts)


FUNNEL = Section(key="funnel", title="Funnel", template="reports/sections/funnel.html", build=build)
