"""Exposures a day: whether visitors really met the variants, evenly and without a gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from reports.sections import numbers
from reports.sections.base import ReportInput, Section, variant_names


@dataclass(frozen=True, slots=True)
class DayRow:
    label: str
    counts: tuple[str, ...]
    total: str


@dataclass(frozen=True, slots=True)
class Exposures:
    """`days` and `counts` are the whole days, to be drawn; `rows` has every day, for the table under the chart.

    Shapes: `counts` is (days, variants).
    """

    days: tuple[str, ...]
    variants: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    rows: tuple[DayRow, ...]
    summary: str
    time_zone: str


def build(report: ReportInput) -> Exposures | None:
    """Return the daily first exposures of the document; None while there is no answer."""
    document = report.document
    if document is None:
        return None
    daily = document.get("exposures") or {}
    names = variant_names(document)
    variants = tuple(names.get(str(v), str(v)) for v in daily.get("variants") or names)
    days, counts = without_gaps(daily.get("days", ()), daily.get("counts", ()), len(variants))
    # The day of the analysis is not over: drawn beside whole days it would look like a collapse.
    whole = len(days) - 1 if len(days) > 1 and days[-1] == _day_of_analysis(report) else len(days)
    return Exposures(
        days=days[:whole],
        variants=variants,
        counts=counts[:whole],
        rows=tuple(
            DayRow(day_label(day), tuple(numbers.whole(n) for n in row), numbers.whole(sum(row)))
            for day, row in zip(days, counts, strict=True)
        ),
        summary=_summary(days, counts, whole),
        time_zone=report.experiment.time_zone,
    )


def without_gaps(
    days: Sequence[str], counts: Sequence[Sequence[int]], variants: int
) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Return every calendar day from the first to the last; a day that is not listed had no new visitor."""
    known = {day: tuple(int(n) for n in row) for day, row in zip(days, counts, strict=True)}
    if not known:
        return (), ()
    first, last = date.fromisoformat(min(known)), date.fromisoformat(max(known))
    every = tuple((first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1))
    return every, tuple(known.get(day, (0,) * variants) for day in every)


def day_label(day: str) -> str:
    """Write an ISO day as `Mon 3 Mar`; weekdays matter, because traffic follows them."""
    value = date.fromisoformat(day)
    return f"{value:%a} {value.day} {value:%b}"


def _day_of_analysis(report: ReportInput) -> str:
    as_of = report.run.as_of if report.run is not None else report.now
    return as_of.astimezone(ZoneInfo(report.experiment.time_zone)).date().isoformat()


def _summary(days: Sequence[str], counts: Sequence[Sequence[int]], whole: int) -> str:
    if not days:
        return "No visitor has met a variant yet."
    totals = [sum(row) for row in counts]
    usual = sorted(totals[:whole])[whole // 2]
    text = f"{numbers.plural(sum(totals), 'visitor')} over {numbers.plural(len(days), 'day')}, about {numbers.whole(usual)} on a usual day."
    empty = sum(1 for t in totals if t == 0)
    if empty:
        text += f" {numbers.plural(empty, 'day')} in between had no new visitor."
    if whole < len(days):
        text += " Today is not over; it is in the table and not in the drawing."
    return text


EXPOSURES = Section(key="exposures", title="Exposures a day", template="reports/sections/exposures.html", build=build)
