"""Visitor tables: one row per visitor, with the variant and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
            if needed.aggregate is Aggregate.SUM:
                reading = Reading.AMOUNT
            elif needed.aggregate is Aggregate.COUNT:
                reading = Reading.ONCE if kind.statistic is StatisticKind.PROPORTION else Reading.TIMES
            else:
                raise ImportFault(
                    f"Metric '{metric.key}' of kind '{metric.kind}' needs the time of each event, which a table with "
                    "one row per visitor does not have. Import an event log with import_events instead."
                )
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
    for line, *cells in _rows(chunk, table):
        try:
            yield from list(_events(line, table, *cells))
        except _Conflict as conflict:
            yield conflict.met
            rejections.add(Rejection(line, "conflicting_exposure", str(conflict)))
        except BadCell as bad:
            rejections.add(Rejection(line, bad.code, str(bad)))


class _Conflict(Exception):
    def __init__(self, message: str, met: Outgoing) -> None:
        super().__init__(message)
        self.met = met


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
    line: int,
    table: VisitorTable,
    visitor_cell: Any,
    variant_cell: Any,
    other_cell: Any,
    time_cell: Any,
    outcome_cells: Sequence[Any],
    context_cells: Sequence[Any],
) -> Iterator[Outgoing]:
    visitor = as_text(visitor_cell) if table.visitor else f"{table.experiment}-row-{line}"
    if not visitor:
        raise BadCell("missing_visitor", "The visitor is empty.")
    variant = as_text(variant_cell)
    if not variant:
        raise BadCell("missing_variant", "The variant is empty.")
    time = as_time(time_cell, table.zone, table.layout) if table.time else table.default_time
    names = zip(table.context, context_cells, strict=True)
    context = {name: cell if isinstance(cell, str) else as_text(cell) for name, cell in names if not is_empty(cell)}

    def met(key: str) -> Outgoing:
        return exposure(
            line,
            experiment=table.experiment,
            variant=key,
            visitor=visitor,
            time=time,
            now_us=table.now_us,
            context=context,
        )

    contradiction = table.agreement.contradiction(variant, as_text(other_cell)) if table.agreement else None
    if contradiction is not None:
        message = f"Visitor '{visitor}' met {contradiction}; the exposure is kept as conflicting, its outcomes are not."
        raise _Conflict(message, met(contradiction))
    yield met(table.variant_keys.get(variant, variant))
    for outcome, cell in zip(table.outcomes, outcome_cells, strict=True):
        for number, value in _values(outcome, cell):
            yield Outgoing(
                line,
                Event(
                    event_id=event_id(
                        "outcome", table.experiment, variant, visitor, str(time), outcome.event, str(number), str(value)
                    ),
                    name=outcome.event,
                    visitor_id=visitor,
                    time=time,
                    received=table.now_us,
                    value=value,
                    context=context,
                    source=SOURCE,
                ),
            )


def _values(outcome: Outcome, cell: Any) -> Iterator[tuple[int, float | None]]:
    """Yield the number and value of each event that a cell stands for; an amount of 0 stands for none."""
    try:
        if outcome.reading is Reading.AMOUNT:
            amount = as_number(cell)
            if amount:
                yield 0, amount
            return
        count = as_count(cell)
    except BadCell as bad:
        raise BadCell(bad.code, f"Column '{outcome.column}': {bad}") from None
    if outcome.reading is Reading.ONCE:
        count = min(count, 1)
    if count > MOST_TIMES:
        raise BadCell(
            "bad_value",
            f"Column '{outcome.column}': {shown(cell)} events of one visitor are more than {MOST_TIMES:,}; "
            "use the kind value_sum, which stores one number.",
        )
    for number in range(count):
        yield number, None
