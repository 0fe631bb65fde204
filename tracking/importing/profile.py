"""The first look at a file: how many rows, which events and variants, from when to when. Nothing is sent yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from difflib import get_close_matches

from tracking.importing.agreement import Agreement, AgreementSearch, counted
from tracking.importing.cells import BadCell, as_text, as_time
from tracking.importing.failure import ImportFault
from tracking.importing.sources.base import Chunk, Source

MOST_EVENT_NAMES = 100_000
MOST_VARIANTS = 50


@dataclass(frozen=True, slots=True)
class Question:
    """Which columns to look at. `agrees` is a column, `auto` or `none`; `mapped` are columns that mean something else.

    Units: `latest`, the last moment that a row can have, in microseconds since 1970 UTC; later times are mistakes.
    """

    event: str | None = None
    variant: str | None = None
    time: str | None = None
    agrees: str = "none"
    mapped: frozenset[str] = frozenset()
    zone: tzinfo = UTC
    layout: str | None = None
    latest: int | None = None


@dataclass(slots=True)
class Profile:
    """What a file holds.

    Units: `first_time` and `last_time` in microseconds since 1970 UTC, None when no time could be read.
    """

    rows: int = 0
    events: Counter[str] = field(default_factory=Counter)
    variants: Counter[str] = field(default_factory=Counter)
    first_time: int | None = None
    last_time: int | None = None
    agreement: Agreement | None = None


def require_columns(source: Source, wanted: Mapping[str, str | None]) -> None:
    """Check that the columns named by each option exist.

    Raises: ImportFault that names the nearest column.
    """
    for option, column in wanted.items():
        if column is None or column in source.columns:
            continue
        by_lower = {name.lower(): name for name in source.columns}
        near = [by_lower[n] for n in get_close_matches(column.lower(), by_lower, n=3, cutoff=0.5)]
        hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
        listed = ", ".join(map(repr, source.columns[:50]))
        raise ImportFault(
            f"{option} names the column '{column}', which is not in {source.label}. {hint}It has {listed}."
        )


def profile(source: Source, question: Question, chunks: Iterable[Chunk]) -> Profile:
    """Read a file once.

    Raises: ImportFault when the event column has more than 100,000 names or the variant column more than 50 values.
    """
    found = Profile()
    search = AgreementSearch(question, source.columns) if question.variant else None
    for chunk in chunks:
        found.rows += len(chunk) + len(chunk.rejected)
        if question.event:
            _count(found.events, chunk, question.event)
            _refuse_above(MOST_EVENT_NAMES, len(found.events), question.event, source, "--event", "event names")
        if question.variant:
            _count(found.variants, chunk, question.variant)
            _refuse_above(MOST_VARIANTS, len(found.variants), question.variant, source, "--variant", "variants")
        if question.time:
            _widen(found, chunk, question)
        if search is not None:
            search.add(chunk)
    for counter in (found.events, found.variants):
        del counter[""]
    found.agreement = search.result() if search is not None else None
    return found


def _count(counter: Counter[str], chunk: Chunk, column: str) -> None:
    for value, count in counted(chunk.columns[column]).items():
        counter[as_text(value)] += count


def _refuse_above(most: int, found: int, column: str, source: Source, option: str, what: str) -> None:
    if found > most:
        raise ImportFault(
            f"Column '{column}' of {source.label} has more than {most:,} different values, "
            f"so these are not {what}. Check {option}."
        )


def _widen(found: Profile, chunk: Chunk, question: Question) -> None:
    times = list(_times(chunk.columns[question.time or ""], question))
    if times:
        first, last = min(times), max(times)
        found.first_time = first if found.first_time is None else min(found.first_time, first)
        found.last_time = last if found.last_time is None else max(found.last_time, last)


def _times(values: Iterable[object], question: Question) -> Iterator[int]:
    for value in values:
        try:
            time = as_time(value, question.zone, question.layout)
        except BadCell:
            continue
        if time >= 0 and (question.latest is None or time <= question.latest):
            yield time
