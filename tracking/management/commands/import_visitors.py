"""Import a table of visitors: each row is one, with the variant and what came of it."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from typing import Any

from django.utils import timezone

from experiments.core.metrics import MetricDefinition
from tracking.importing.failure import ImportFault
from tracking.importing.outgoing import Outgoing
from tracking.importing.profile import Question
from tracking.importing.rejections import Rejections
from tracking.importing.sources.base import Chunk
from tracking.importing.visitor_table import VisitorTable, events_of, outcomes_of
from tracking.importing.wishes import MetricWish, metric_from, pairs_from, roles_from, with_funnel_order
from tracking.management.import_command import ImportCommand, later_weights_of, weights_of
from tracking.management.import_setup import ExperimentWish, prepare


class Command(ImportCommand):
    help = (
        "Import a finished experiment as a table with one row per visitor, through the ordinary intake. Importing the "
        "same file again changes nothing. Without --visitor each row is a visitor, known by its line in the file."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--experiment", required=True, metavar="KEY", help="Made as imported when there is none.")
        parser.add_argument("--variant", required=True, metavar="COL", help="Which variant the visitor met.")
        parser.add_argument("--visitor", metavar="COL", help="Who it is. Without it every row is a visitor of its own.")
        parser.add_argument(
            "--time",
            metavar="COL",
            help="When the visitor met the variant. Without it: all at once, before the import.",
        )
        parser.add_argument(
            "--metric",
            required=True,
            nargs="+",
            action="extend",
            metavar="NAME:KIND:CONVERSION",
            help="A column of outcomes, what kind of metric it is and what it means, for example visit:conversion:milestone "
            "or spend:value_sum:macro. A ratio names two columns: revenue/orders:ratio:secondary. Milestones are given in order.",
        )

    def run(self, options: dict[str, Any]) -> None:
        wishes = _ordered([metric_from(text) for text in options["metric"]])
        columns = {f"--{option}": options[option] for option in ("variant", "visitor", "time")}
        for wish in wishes:
            columns |= {f"--metric {wish.name}": wish.column}
            if wish.below:
                columns |= {f"--metric {wish.name} (below the line)": wish.below}
        reading = self.open(options, columns, timezone.now())
        found = self.look(
            reading,
            Question(
                variant=options["variant"],
                time=options["time"],
                agrees=options["agrees"],
                mapped=frozenset(column for column in columns.values() if column),
                zone=reading.zone,
                layout=reading.layout,
                latest=reading.latest,
            ),
        )
        setup = prepare(
            site_key=options["site"],
            metrics=wishes,
            experiment=ExperimentWish(
                key=options["experiment"],
                variants=list(found.variants),
                control=options["control"],
                first_time=found.first_time,
                last_time=found.last_time,
                now=reading.now,
                weights=weights_of(options),
                later_weights=later_weights_of(options, reading.zone),
                roles=roles_from(options["role"]),
            ),
            is_dry_run=options["dry_run"],
        )
        self.say_setup(setup, found.agreement, options["variant"], is_dry_run=options["dry_run"])
        table = VisitorTable(
            experiment=options["experiment"],
            variant=options["variant"],
            variant_keys=setup.variant_keys,
            outcomes=outcomes_of(setup.metrics, _event_columns(wishes, setup.metrics)),
            default_time=setup.default_time,
            visitor=options["visitor"],
            time=options["time"],
            context=pairs_from("--context", options["context"]),
            agreement=found.agreement,
            zone=reading.zone,
            layout=reading.layout,
            now_us=reading.now_us,
        )

        def events(chunks: Iterable[Chunk], rejections: Rejections) -> Iterator[Outgoing]:
            for chunk in chunks:
                yield from events_of(chunk, table, rejections)

        self.send(reading, options, rows=found.rows, setup=setup, events=events)


def _ordered(wishes: list[MetricWish]) -> list[MetricWish]:
    """Number the milestones in the order given. Raises: ImportFault when two metrics would have one key."""
    keys = [wish.key for wish in wishes]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ImportFault(f"--metric gives {', '.join(twice)} twice; each column can be one metric.")
    return with_funnel_order(wishes)


def _event_columns(wishes: list[MetricWish], metrics: tuple[MetricDefinition, ...]) -> dict[str, str]:
    """Return which column holds each event; an existing metric may know the event by another name than its key."""
    columns: dict[str, str] = {}
    for wish, metric in zip(wishes, metrics, strict=True):
        needed = {metric.event: wish.column}
        if wish.below and metric.denominator_event:
            needed[metric.denominator_event] = wish.below
        for event, column in needed.items():
            if columns.setdefault(event, column) != column:
                raise ImportFault(
                    f"The columns '{columns[event]}' and '{column}' both feed the event '{event}' on this site. "
                    "Rename one, or import into another site."
                )
    return columns
