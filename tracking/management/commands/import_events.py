"""Import an event log: each row is something that a visitor did."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

from django.utils import timezone

from experiments.core.metrics import Conversion
from tracking.importing.event_log import EventLog, ExperimentColumns, events_of, exposures_of
from tracking.importing.failure import ImportFault
from tracking.importing.first_meetings import FirstMeetings
from tracking.importing.outgoing import Outgoing
from tracking.importing.profile import Profile, Question
from tracking.importing.rejections import Rejections
from tracking.importing.sources.base import Chunk
from tracking.importing.wishes import MOST_AUTOMATIC_METRICS, MetricWish, metrics_from_events, pairs_from, roles_from
from tracking.management.import_command import ImportCommand, Reading, later_weights_of, weights_of
from tracking.management.import_setup import ExperimentWish, Setup, prepare


class Command(ImportCommand):
    help = (
        "Import an event log (one row per event) through the ordinary intake. Importing the same file again changes "
        "nothing. Rows that are equal in every column are one event; give --event-id when the log has ids of its own."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--visitor", required=True, metavar="COL", help="Who did it.")
        parser.add_argument("--time", required=True, metavar="COL", help="When: ISO 8601, a date, or a Unix time.")
        parser.add_argument("--event", required=True, metavar="COL", help="What: the name of the event.")
        parser.add_argument("--value", metavar="COL", help="An amount that comes with the event.")
        parser.add_argument("--session", metavar="COL", help="The session it belongs to.")
        parser.add_argument("--event-id", metavar="COL", help="The log's own id of each event.")
        parser.add_argument(
            "--property",
            nargs="+",
            action="extend",
            default=[],
            metavar="NAME=COL",
            help="Columns to keep as properties of the event, for filters of metrics.",
        )
        parser.add_argument("--experiment", metavar="KEY", help="Key of the experiment; made as imported when new.")
        parser.add_argument("--variant", metavar="COL", help="Which variant the visitor met.")
        parser.add_argument(
            "--expose-on",
            metavar="EVENT",
            help="The event by which a visitor meets the variant. Without it a visitor's first row with a variant is.",
        )
        parser.add_argument(
            "--conversion",
            nargs="+",
            action="extend",
            default=[],
            metavar="EVENT=WHAT",
            help="What an event is: macro (the goal), milestone (a step on the way, given in order) or secondary. "
            "Without a macro, a name such as 'purchase' or 'order' is taken as the macro; the rest is secondary.",
        )

    def run(self, options: dict[str, Any]) -> None:
        if bool(options["experiment"]) != bool(options["variant"]):
            raise ImportFault(
                "--experiment and --variant belong together: which experiment, and which column says the variant."
            )
        if not options["experiment"]:
            only = [o for o in ("control", "expose_on", "weights", "weights_from", "role") if options[o]]
            if only:
                raise ImportFault(f"--{only[0].replace('_', '-')} needs --experiment and --variant.")
        conversions = _conversions(options["conversion"])
        properties = pairs_from("--property", options["property"])
        columns = {f"--{o.replace('_', '-')}": options[o] for o in _COLUMN_OPTIONS}
        columns |= {f"--property {name}": column for name, column in properties.items()}
        reading = self.open(options, columns, timezone.now())
        found = self.look(reading, _question(options, reading))
        metrics = metrics_from_events(found.events, conversions, options["expose_on"])
        setup = prepare(
            site_key=options["site"],
            metrics=metrics,
            experiment=_experiment(options, found, reading),
            is_dry_run=options["dry_run"],
        )
        self.say_setup(setup, found.agreement, options["variant"], is_dry_run=options["dry_run"])
        self._say_goal(found, metrics, conversions)
        log = _log(options, reading, setup, found, properties)
        with ExitStack() as stack:
            experiment = log.experiment
            spools = experiment is not None and experiment.expose_on is None
            meetings = stack.enter_context(FirstMeetings()) if spools else None

            def events(chunks: Iterable[Chunk], rejections: Rejections) -> Iterator[Outgoing]:
                for chunk in chunks:
                    yield from events_of(chunk, log, rejections, meetings)
                if experiment is not None and meetings is not None:
                    yield from exposures_of(meetings, experiment, reading.now_us)

            self.send(reading, options, rows=found.rows, setup=setup, events=events)

    def _say_goal(self, found: Profile, metrics: list[MetricWish], conversions: dict[str, Conversion]) -> None:
        macros = [m.name for m in metrics if m.conversion is Conversion.MACRO]
        if not macros:
            self.say(
                self.style.WARNING(
                    "No event was taken as the macro conversion (the business goal). Name it with --conversion EVENT=macro, "
                    "or set it on the metric in the admin."
                )
            )
        elif not any(name in conversions for name in macros):
            self.say(
                f"Taken as the macro conversion by its name: {macros[0]}. Say otherwise with --conversion EVENT=macro."
            )
        if len(found.events) > len(metrics) >= MOST_AUTOMATIC_METRICS:
            self.say(
                self.style.WARNING(
                    f"The log has {len(found.events):,} event names; the {MOST_AUTOMATIC_METRICS} most frequent became "
                    "metrics. The events of all are imported; make further metrics in the admin."
                )
            )


_COLUMN_OPTIONS = ("visitor", "time", "event", "value", "session", "event_id", "variant")


def _conversions(texts: list[str]) -> dict[str, Conversion]:
    conversions = {}
    for name, word in pairs_from("--conversion", texts).items():
        if word not in list(Conversion):
            raise ImportFault(f"--conversion {name}={word}: use one of {', '.join(Conversion)}.")
        conversions[name] = Conversion(word)
    return conversions


def _question(options: dict[str, Any], reading: Reading) -> Question:
    mapped = {options[o] for o in _COLUMN_OPTIONS if options[o]}
    mapped |= set(pairs_from("--property", options["property"]).values())
    return Question(
        event=options["event"],
        variant=options["variant"],
        time=options["time"],
        agrees=options["agrees"],
        mapped=frozenset(mapped),
        zone=reading.zone,
        layout=reading.layout,
        latest=reading.latest,
    )


def _experiment(options: dict[str, Any], found: Profile, reading: Reading) -> ExperimentWish | None:
    if not options["experiment"]:
        return None
    return ExperimentWish(
        key=options["experiment"],
        variants=list(found.variants),
        control=options["control"],
        first_time=found.first_time,
        last_time=found.last_time,
        now=reading.now,
        weights=weights_of(options),
        later_weights=later_weights_of(options, reading.zone),
        roles=roles_from(options["role"]),
    )


def _log(
    options: dict[str, Any], reading: Reading, setup: Setup, found: Profile, properties: dict[str, str]
) -> EventLog:
    experiment = None
    if options["experiment"]:
        experiment = ExperimentColumns(
            experiment=options["experiment"],
            variant=options["variant"],
            variant_keys=setup.variant_keys,
            expose_on=options["expose_on"],
            agreement=found.agreement,
        )
    return EventLog(
        visitor=options["visitor"],
        time=options["time"],
        event=options["event"],
        value=options["value"],
        session=options["session"],
        event_id=options["event_id"],
        context=pairs_from("--context", options["context"]),
        properties=properties,
        experiment=experiment,
        zone=reading.zone,
        layout=reading.layout,
        now_us=reading.now_us,
    )
