"""Event logs: each row is something that a visitor did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from itertools import repeat
from typing import Any, NamedTuple

from tracking.core.events import Event
from tracking.importing.agreement import Agreement
from tracking.importing.cells import BadCell, as_number, as_text, as_time, is_empty
from tracking.importing.first_meetings import FirstMeetings
from tracking.importing.outgoing import SOURCE, Outgoing, event_id, exposure
from tracking.importing.rejections import Rejection, Rejections
from tracking.importing.sources.base import Chunk

PLAIN = (str, int, float, bool)  # what JSON carries as it is


@dataclass(frozen=True, slots=True)
class ExperimentColumns:
    """Where a log says which variant a visitor met. `variant_keys` turns names of the file into keys.

    With `expose_on` each row of that event is an exposure; without it the first row of each visitor and variant is one.
    """

    experiment: str
    variant: str
    variant_keys: Mapping[str, str]
    expose_on: str | None = None
    agreement: Agreement | None = None


@dataclass(frozen=True, slots=True)
class EventLog:
    """Which column means what. `context` and `properties` map names of the event to columns of the file.

    Units: `now_us`, the time of the import, in microseconds since 1970 UTC.
    """

    visitor: str
    time: str
    event: str
    value: str | None = None
    session: str | None = None
    event_id: str | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    experiment: ExperimentColumns | None = None
    zone: tzinfo = UTC
    layout: str | None = None
    now_us: int = 0


class _Row(NamedTuple):
    line: int
    identity: bytes
    visitor: Any
    time: Any
    event: Any
    value: Any
    session: Any
    event_id: Any
    variant: Any
    other: Any
    context: Sequence[Any]
    properties: Sequence[Any]


def events_of(
    chunk: Chunk, log: EventLog, rejections: Rejections, meetings: FirstMeetings | None
) -> Iterator[Outgoing]:
    """Turn rows into events; rows that cannot be one are added to `rejections`, first meetings to `meetings`."""
    for rejection in chunk.rejected:
        rejections.add(rejection)
    for row in _rows(chunk, log):
        try:
            yield from _events(row, log, rejections, meetings)
        except BadCell as bad:
            rejections.add(Rejection(row.line, bad.code, str(bad)))


def _rows(chunk: Chunk, log: EventLog) -> Iterator[_Row]:
    def column(name: str | None) -> Iterator[Any]:
        return repeat(None) if name is None else iter(chunk.columns[name])

    def several(names: Mapping[str, str]) -> Iterator[Sequence[Any]]:
        return zip(*(chunk.columns[name] for name in names.values()), strict=True) if names else repeat(())

    experiment = log.experiment
    agreement = experiment.agreement if experiment else None
    for cells in zip(
        chunk.lines,
        chunk.identities,
        column(log.visitor),
        column(log.time),
        column(log.event),
        column(log.value),
        column(log.session),
        column(log.event_id),
        column(experiment.variant if experiment else None),
        column(agreement.column if agreement else None),
        several(log.context),
        several(log.properties),
        strict=False,
    ):
        yield _Row(*cells)


def _events(row: _Row, log: EventLog, rejections: Rejections, meetings: FirstMeetings | None) -> Sequence[Outgoing]:
    visitor = as_text(row.visitor)
    if not visitor:
        raise BadCell("missing_visitor", "The visitor is empty.")
    name = as_text(row.event)
    if not name:
        raise BadCell("missing_event", "The event name is empty.")
    if name.startswith("$"):
        raise BadCell(
            "reserved_name", f"The event name '{name}' begins with $, which is kept for Inkling's own events."
        )
    time = as_time(row.time, log.zone, log.layout)
    value = as_number(row.value)
    context = _named(log.context, row.context)
    exposures: list[Outgoing] = []
    if log.experiment is not None and not is_empty(row.variant):
        variant = as_text(row.variant)
        key = log.experiment.variant_keys.get(variant, variant)
        agreement = log.experiment.agreement
        met = agreement.contradiction(variant, as_text(row.other)) if agreement else None
        if met is not None:
            message = f"Visitor '{visitor}' met {met}; the exposure is kept as conflicting, the event is not."
            rejections.add(Rejection(row.line, "conflicting_exposure", message))
            return [_exposure(row, log, log.experiment, met, visitor, time, context)]
        if log.experiment.expose_on is None:
            assert meetings is not None
            meetings.add(visitor, key, time, context)
        elif name == log.experiment.expose_on:
            exposures.append(_exposure(row, log, log.experiment, key, visitor, time, context))
    own_id = as_text(row.event_id)
    event = Event(
        event_id=event_id("given", own_id) if own_id else event_id("row", row=row.identity),
        name=name,
        visitor_id=visitor,
        time=time,
        received=log.now_us,
        session_id=as_text(row.session),
        value=value,
        properties=_named(log.properties, row.properties),
        context=context,
        source=SOURCE,
    )
    return [*exposures, Outgoing(row.line, event)]


def _exposure(
    row: _Row, log: EventLog, columns: ExperimentColumns, variant: str, visitor: str, time: int, context: dict[str, Any]
) -> Outgoing:
    return exposure(
        row.line,
        experiment=columns.experiment,
        variant=variant,
        visitor=visitor,
        time=time,
        now_us=log.now_us,
        context=context,
    )


def _named(names: Mapping[str, str], cells: Sequence[Any]) -> dict[str, Any]:
    if not cells:
        return {}
    return {
        name: cell if isinstance(cell, PLAIN) else str(cell)
        for name, cell in zip(names, cells, strict=True)
        if not is_empty(cell)
    }


def exposures_of(meetings: FirstMeetings, columns: ExperimentColumns, now_us: int) -> Iterator[Outgoing]:
    """Turn first meetings into exposures; they belong to no single line, so their line is 0."""
    for met in meetings.first():
        yield exposure(
            0,
            experiment=columns.experiment,
            variant=met.variant,
            visitor=met.visitor,
            time=met.time,
            now_us=now_us,
            context=met.context,
        )
