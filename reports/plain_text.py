"""A report in plain text, for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from reports.sections import numbers
from reports.sections.estimates import estimate_of
from reports.sections.headline import reason_text
from reports.sections.metric_lines import value_text
from reports.sections.verdicts import look_of

WIDTH = 100


def report_lines(document: Mapping[str, Any], *, name: str, time_zone: str) -> Iterator[str]:
    """Yield the lines of a report: verdict, health, metrics, in the order of the page."""
    run = document["run"]
    verdict = document["verdict"]
    as_of = numbers.parse_time(document["as_of"])
    assert as_of is not None
    yield f"{name} ({document['experiment']}), as of {numbers.moment(as_of, time_zone)}"
    yield ""
    yield f"{look_of(str(verdict['state'])).title}  [{verdict['state']}]"
    yield from textwrap.wrap(str(verdict["summary"]), WIDTH)
    for reason in verdict.get("reasons", ()):
        yield from textwrap.wrap(f"- {reason_text(reason)}", WIDTH, subsequent_indent="  ")
    yield ""
    yield "Visitors: " + ", ".join(
        f"{v['key']} {numbers.whole(v['visitors'])}{' (control)' if v.get('is_control') else ''}"
        for v in document["variants"]
    )
    for finding in document.get("health", ()):
        yield f"{str(finding['severity']).upper()}: {finding['title']}"
    for metric in document["metrics"]:
        yield ""
        yield f"{metric['key']}  ({metric['role']}, {metric['conversion']}, {metric['kind']})"
        yield from _metric_lines(metric)
    yield ""
    yield f"Run {run['id']}, plan {run['plan_hash'][:12]}, code {run['code_version']}"


def _metric_lines(metric: Mapping[str, Any]) -> Iterator[str]:
    compared = {c["variant"]: c for c in metric.get("comparisons", ())}
    width = max((len(str(v["variant"])) for v in metric["values"]), default=0)
    for values in metric["values"]:
        head = f"  {values['variant']:<{width}}  {value_text(metric, values.get('value')):>12}"
        yield head + _comparison(compared.get(values["variant"]))


def _comparison(comparison: Mapping[str, Any] | None) -> str:
    if comparison is None:
        return ""
    if comparison.get("not_computable") is not None:
        return f"  {comparison['not_computable']['detail']}"
    shown = estimate_of(comparison)
    p_value = "" if shown.p_value is None else f"p {_equals(numbers.p_value(shown.p_value))}"
    if shown.lift is None:
        ends = numbers.interval(comparison.get("ci_low"), comparison.get("ci_high"), numbers.signed_amount)
        why = (comparison.get("lift_not_computable") or {}).get("detail", "")
        return f"  {numbers.signed_amount(comparison['effect'])} ({ends}), {p_value}. {numbers.typeset(why)}".rstrip()
    ends = numbers.interval(shown.lift_ci_low, shown.lift_ci_high)
    decided = f", decided on day {shown.decided_on_day}" if shown.decided_on_day is not None else ""
    return f"  {numbers.lift(shown.lift)} ({ends}), {p_value}{decided}"


def _equals(p_value: str) -> str:
    return p_value if p_value.startswith("<") else f"= {p_value}"
