"""Visitor tables: one row per visitor, with the variant and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from enum import StrEnum
from itertools import repeat
from typing import Any

from experiments.core.metric_kinds import METRIC_KINDS, StatisticKind
from experiments.core.metrics import Aggregate, MetricDefinition
from tracking.core.events import Event
from tracking.importing.agreement import Agreement
from tracking.importing.cells import BadCell, as_count, as_number, as_text, as_time, is_empty, shown
from tracking.importing.failure import ImportFault
from tracking.importing.outgoing import SOURCE, Outgoing, event_id, exposure
from tracking.importing.rejections import Rejection, Rejections
from tracking.importing.sources.base import Chunk

MOST_TIMES = 100_000


class Reading(StrEnum):
    """How a cell becomes events: at most one (ONCE), as many as it says (TIMES), or one that carries it (AMOUNT)."""

    ONCE = "once"
    TIMES = "times"
    AMOUNT = "amount"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One column of outcomes and the event that it stands for."""

    column: str
    event: str
    reading: Reading


@dataclass(frozen=True, slots=True)
class VisitorTable:
    """Which column means what. Without `visitor` each row is a visitor of its own, known by its line.

    Without `time` everything happened at `default_time`. Units: `default_time` and `now_us` in microseconds since 1970.
    """

    experiment: str
    variant: str
    variant_keys: Mapping[str, str]
    outcomes: tuple[Outcome, ...]
    default_time: int
    visitor: str | None = None
    time: str | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    agreement: Agreement | None = None
    zone: tzinfo = UTC
    layout: str | None = None
    now_us: int = 0


def outcomes_of(metrics: Sequence[MetricDefinition], columns: Mapping[str, str]) -> tuple[Outcome, ...]:
    """Return what must be read for these metrics; `columns` gives the file's column for each event.

    Raises: ImportFault when a metric needs what one row per visitor cannot say.
    """
    found: dict[str, Outcome] = {}
    for metric in metrics:
        kind = METRIC_KINDS[metric.kind]
        for needed in kind.columns(metric):
            is_placed = needed.start_hours != 0 or needed.aggregate not in {Aggregate.SUM, Aggregate.COUNT}
            if is_placed:
                raise ImportFault(
                    f"Metric '{metric.key}' of kind '{metric.kind}' needs the time of each event, which a table with "
                    "one row per visitor does not have. Import an event log with import_events instead."
                )
            if needed.aggregate is Aggregate.SUM:
                reading = Reading.AMOUNT
            else:
                reading = Reading.ONCE if kind.statistic is StatisticKind.PROPORTION else Reading.TIMES
            before = found.get(needed.event)
            if before is not None and before.reading is not reading:
                raise ImportFault(
                    f"Event '{needed.event}' is needed both as '{before.reading}' and as '{reading}'; "
                    "give the two metrics columns of their own."
                )
            found[needed.event] = Outcome(columns[needed.event], needed.event, reading)
    return tuple(found.values())


def events_of(chunk: Chunk, table: VisitorTable, rejections: Rejections) -> Iterator[Outgoing]:
    """Turn rows into an exposure each and the events of its outcomes; a row with one bad cell is left out as a whole."""
    for rejection in chunk.rejected:
        rejections.add(rejection)
    for cells in _rows(chunk, table):
        try:
            yield from _events(table, rejections, *cells)
        except BadCell as bad:
            rejections.add(Rejection(cells[0], bad.code, str(bad)))


def _rows(chunk: Chunk, table: VisitorTable) -> Iterator[tuple[Any, ...]]:
    def column(name: str | None) -> Iterator[Any]:
        return repeat(None) if name is None else iter(chunk.columns[name])

    def several(names: Sequence[str]) -> Iterator[Sequence[Any]]:
        return zip(*(chunk.columns[name] for name in names), strict=True) if names else repeat(())

    return zip(
        chunk.lines,
        column(table.visitor),
        column(table.variant),
        column(table.agreement.column if table.agreement else None),
        column(table.time),
        several([outcome.column for outcome in table.outcomes]),
        several(list(table.context.values())),
        strict=False,
    )


def _events(
    table: VisitorTable,
    rejections: Rejections,
    line: int,
    visitor_cell: Any,
    variant_cell: Any,
    other_cell: Any,
    time_cell: Any,
    outcome_cells: Sequence[Any],
    context_cells: Sequence[Any],
) -> list[Outgoing]:
    visitor = as_text(visitor_cell) if table.visitor else f"{table.experiment}-row-{line}"
    if not visitor:
        raise BadCell("missing_visitor", "The visitor is empty.")
    variant = as_text(variant_cell)
    if not variant:
        raise BadCell("missing_variant", "The variant is empty.")
    time = as_time(time_cell, table.zone, table.layout) if table.time else table.default_time
    context = _context(table, context_cells) if context_cells else {}
    contradiction = table.agreement.contradiction(variant, as_text(other_cell)) if table.agreement else None
    met = exposure(
        line,
        experiment=table.experiment,
        variant=contradiction or table.variant_keys.get(variant, variant),
        visitor=visitor,
        time=time,
        now_us=table.now_us,
        context=context,
    )
    if contradiction is not None:
        message = f"Visitor '{visitor}' met {contradiction}; the exposure is kept as conflicting, its outcomes are not."
        rejections.add(Rejection(line, "conflicting_exposure", message))
        return [met]
    events = [met]
    for outcome, cell in zip(table.outcomes, outcome_cells, strict=True):
        for number, value in _values(outcome, cell):
            parts = (table.experiment, variant, visitor, str(time), outcome.event, str(number), str(value))
            event = Event(
                event_id=event_id("outcome", *parts),
                name=outcome.event,
                visitor_id=visitor,
                time=time,
                received=table.now_us,
                value=value,
                context=context,
                source=SOURCE,
            )
            events.append(Outgoing(line, event))
    return events


def _context(table: VisitorTable, cells: Sequence[Any]) -> dict[str, Any]:
    return {name: as_text(cell) for name, cell in zip(table.context, cells, strict=True) if not is_empty(cell)}


def _values(outcome: Outcome, cell: Any) -> Iterable[tuple[int, float | None]]:
    """Return the number and value of each event that a cell stands for; an amount of 0 stands for none."""
    try:
        if outcome.reading is Reading.AMOUNT:
            amount = as_number(cell)
            return ((0, amount),) if amount else ()
        count = as_count(cell)
    except BadCell as bad:
        raise BadCell(bad.code, f"Column '{outcome.column}': {bad}") from None
    if outcome.reading is Reading.ONCE:
        return ((0, None),) if count else ()
    if count > MOST_TIMES:
        raise BadCell(
            "bad_value",
            f"Column '{outcome.column}': {shown(cell)} events of one visitor are more than {MOST_TIMES:,}; "
            "use the kind value_sum, which stores one number.",
        )
    return ((number, None) for number in range(count))
