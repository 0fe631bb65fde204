"""The list of reports as the page shows it: filters, search, one view model per line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.urls import reverse

from experiments.core.lifecycle import Status
from reports.sections import numbers
from reports.sections.headline import Progress
from reports.sections.verdicts import VerdictLook, look_of
from reports.selectors import ReportRow

if TYPE_CHECKING:
    from experiments.selectors.experiments import Experiment

FILTERS = (Status.RUNNING, Status.PAUSED, Status.STOPPED, Status.ARCHIVED)


@dataclass(frozen=True, slots=True)
class Choice:
    label: str
    query: str
    count: int
    is_current: bool


@dataclass(frozen=True, slots=True)
class ListRow:
    key: str
    name: str
    site: str
    status: str
    url: str
    look: VerdictLook
    summary: str
    progress: tuple[Progress, ...]
    variants: int
    age: str
    latest_failed: bool


def narrow(experiments: Iterable[Experiment], *, status: str, query: str) -> list[Experiment]:
    """Keep the experiments of a status (archived ones only when asked for) whose name or key holds every word."""
    words = query.casefold().split()
    return [
        e
        for e in experiments
        if (e.status == status if status else e.status != Status.ARCHIVED)
        and all(word in f"{e.name} {e.key}".casefold() for word in words)
    ]


def status_choices(experiments: Sequence[Experiment], *, status: str, query: str) -> list[Choice]:
    """Return the filters that lead somewhere, with how many they show."""
    kept = {"q": query} if query else {}
    choices = [Choice("All", urlencode(kept), len(narrow(experiments, status="", query=query)), not status)]
    for value in FILTERS:
        count = len(narrow(experiments, status=value, query=query))
        if count or value == status:
            choices.append(
                Choice(value.capitalize(), urlencode({**kept, "status": value.value}), count, value == status)
            )
    return choices


def list_rows(rows: Iterable[ReportRow], *, now: datetime) -> list[ListRow]:
    """Turn rows into what the page shows."""
    return [_list_row(row, now) for row in rows]


def _list_row(row: ReportRow, now: datetime) -> ListRow:
    facts = row.experiment
    state = str(row.verdict["state"]) if row.verdict else ("no_answer" if row.latest_failed else "waiting")
    return ListRow(
        key=facts.key,
        name=facts.name,
        site=facts.site_name,
        status="imported" if facts.is_imported else facts.status.value,
        url=f"{reverse('report', args=[facts.key])}?{urlencode({'site': facts.site})}",
        look=look_of(state),
        summary=numbers.typeset(str(row.verdict["summary"])) if row.verdict else "",
        progress=_progress(row, now),
        variants=row.variants,
        age=numbers.age(row.run.as_of, now) if row.run else "",
        latest_failed=row.latest_failed,
    )


def _progress(row: ReportRow, now: datetime) -> tuple[Progress, ...]:
    facts, parts = row.experiment, []
    if facts.started_at is not None and not facts.is_imported:
        days = max(((facts.ended_at or now) - facts.started_at) // timedelta(days=1), 0)
        percent = min(100.0, 100 * days / row.horizon_days) if row.horizon_days else None
        of = f"of {row.horizon_days}" if row.horizon_days else ""
        if row.horizon_days and days > row.horizon_days:
            of = f"({row.horizon_days} were planned)"
        parts.append(Progress("Days", numbers.whole(days), of, percent))
    if row.visitors is not None:
        parts.append(Progress("Visitors", numbers.whole(row.visitors)))
    return tuple(parts)
