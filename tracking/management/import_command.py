"""What the import commands share: their options, the two passes over the file, and the summary at the end."""

from __future__ import annotations

import gc
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from experiments.core.protocol import ApiError
from experiments.core.refusal import Refused
from tracking.core.intake import Judgement, judge
from tracking.core.refusals import FUTURE_SECONDS
from tracking.core.timestamps import SECOND_US, to_us
from tracking.importing.agreement import AUTO, Agreement
from tracking.importing.delivery import Delivered, Intake, deliver
from tracking.importing.failure import ImportFault
from tracking.importing.outgoing import SOURCE, Outgoing
from tracking.importing.profile import Profile, Question, profile, require_columns
from tracking.importing.rejections import Rejections
from tracking.importing.sources import Source, open_source
from tracking.importing.sources.base import Chunk
from tracking.importing.wishes import number_from, pairs_from
from tracking.management.import_setup import Setup
from tracking.selectors import event_store
from tracking.services import compact_due, ingest, take_over

BATCH = 10_000
TAKEN_OVER_EVERY = 1_000_000


@dataclass(frozen=True, slots=True)
class Reading:
    """The file, how to read it, and when the import began."""

    source: Source
    zone: tzinfo
    layout: str | None
    now: datetime

    @property
    def now_us(self) -> int:
        return to_us(self.now)

    @property
    def latest(self) -> int:
        return self.now_us + FUTURE_SECONDS * SECOND_US


class ImportCommand(BaseCommand):
    """Base of the import commands; each says which columns it needs and how a chunk becomes events."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="CSV, NDJSON or Parquet; also gzipped, or alone in a zip archive.")
        parser.add_argument("--site", required=True, help="Key of the site; made when there is none.")
        parser.add_argument(
            "--context",
            nargs="+",
            action="extend",
            default=[],
            metavar="NAME=COL",
            help="Columns that say how the visitor came, for example device=platform.",
        )
        parser.add_argument("--control", metavar="NAME", help="The variant that the others are compared with.")
        parser.add_argument(
            "--weights",
            metavar="NAME=SHARE,...",
            nargs="+",
            action="extend",
            help="Intended shares of the variants, for example control=0.9,new=0.1. Equal when not given.",
        )
        parser.add_argument(
            "--weights-from",
            nargs=2,
            action="append",
            default=[],
            metavar=("TIME", "NAME=SHARE,..."),
            help="The shares changed at this time; once for each change. What came before and after is then never added up.",
        )
        parser.add_argument(
            "--role",
            nargs="+",
            action="extend",
            default=[],
            metavar="METRIC=ROLE",
            help="Overrides the role of a metric: primary, proxy, guardrail[:MARGIN] or exploratory. Without it milestones "
            "are proxies and macro conversions their guardrails (margin 10 %%); with no milestone the first macro is primary.",
        )
        parser.add_argument(
            "--agrees",
            default=AUTO,
            metavar="COL",
            help="A second column that says which variant was met; rows where it contradicts --variant become conflicting "
            "exposures and their outcomes are set aside. By default such a column is looked for; 'none' switches that off.",
        )
        parser.add_argument(
            "--time-zone", default="UTC", metavar="ZONE", help="Where times without an offset were taken. Default: UTC."
        )
        parser.add_argument(
            "--time-format", metavar="FORMAT", help="For times that are not ISO 8601, e.g. %%d/%%m/%%Y."
        )
        parser.add_argument("--encoding", default="utf-8", help="Encoding of a text file. Default: utf-8.")
        parser.add_argument("--dry-run", action="store_true", help="Read and judge everything, change nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.run(options)
        except ImportFault as fault:
            raise CommandError(str(fault)) from fault
        except Refused as refused:
            raise CommandError(f"{refused.message} {refused.advice}") from refused
        except ApiError as error:
            raise CommandError(f"{error.message} {error.advice} Then run the same command again.") from error
        except ValidationError as invalid:
            raise CommandError(" ".join(invalid.messages)) from invalid

    def run(self, options: dict[str, Any]) -> None:
        raise NotImplementedError

    def open(self, options: dict[str, Any], columns: dict[str, str | None], now: datetime) -> Reading:
        """Open the file and check that it has the columns that the options name."""
        source = open_source(options["file"], encoding=options["encoding"])
        named = pairs_from("--context", options["context"])
        agrees = options["agrees"] if options["agrees"] not in (AUTO, "none") else None
        require_columns(source, {**columns, **{f"--context {n}": c for n, c in named.items()}, "--agrees": agrees})
        try:
            zone: tzinfo = UTC if options["time_zone"] == "UTC" else ZoneInfo(options["time_zone"])
        except (KeyError, ValueError, OSError):
            raise ImportFault(
                f"There is no time zone '{options['time_zone']}'; use for example Europe/Lisbon."
            ) from None
        return Reading(source, zone, options["time_format"], now)

    def look(self, reading: Reading, question: Question) -> Profile:
        """Read the file once, to know what it holds before anything is made or sent."""
        with self._progress("Looking", reading.source.rows) as bar:
            found = profile(reading.source, question, _counted(reading.source.chunks(), bar))
        if found.rows == 0:
            raise ImportFault(f"{reading.source.label} has a header and no rows.")
        return found

    def send(
        self,
        reading: Reading,
        options: dict[str, Any],
        *,
        rows: int,
        setup: Setup,
        events: Callable[[Iterable[Chunk], Rejections], Iterator[Outgoing]],
    ) -> None:
        """Read the file again and hand its events to the intake; then say what became of it all."""
        rejections, delivered = Rejections(), Delivered()
        is_dry_run, site = options["dry_run"], options["site"]
        intake = _judge_only(setup, reading) if is_dry_run else _ingest(site, setup, reading)
        before = 0 if is_dry_run else event_store().count_events(site=site)
        with self._progress("Importing", rows) as bar, fewer_collections():
            chunks = _counted(reading.source.chunks(), bar)
            deliver(events(chunks, rejections), intake, batch=BATCH, rejections=rejections, delivered=delivered)
        new = delivered.accepted
        if not is_dry_run:
            self.say("Taking the events over into the store ...")
            take_over()
            new = event_store().count_events(site=site) - before
        self._summary(rows, delivered, new, rejections, is_dry_run=is_dry_run)

    def say(self, text: str) -> None:
        self.stdout.write(text)

    def say_setup(self, setup: Setup, agreement: Agreement | None, variant: str | None, *, is_dry_run: bool) -> None:
        for sentence in setup.said:
            self.say(f"{'Would do: ' if is_dry_run else ''}{sentence}")
        if agreement is not None and agreement.contradicting:
            share = 100 * agreement.contradicting / agreement.rows
            self.say(
                self.style.WARNING(
                    f"Column '{agreement.column}' says the same as '{variant}' in all but {agreement.contradicting:,} of "
                    f"{agreement.rows:,} rows ({share:.2f} %). Those rows are taken as conflicting exposures and their "
                    "outcomes are set aside. To count them by the variant column alone, add --agrees none."
                )
            )

    def _summary(self, rows: int, delivered: Delivered, new: int, rejections: Rejections, *, is_dry_run: bool) -> None:
        known = delivered.accepted + delivered.duplicates - new
        self.say(f"{rows:,} rows read, {delivered.accepted + delivered.duplicates:,} events made of them.")
        if is_dry_run:
            self.say(f"Dry run: {new:,} events would be sent, nothing was changed.")
        else:
            self.say(
                self.style.SUCCESS(f"{new:,} events are new, {known:,} were there already (or repeat another row).")
            )
        if rejections.total == 0:
            self.say("Nothing was left out.")
            return
        self.say(self.style.WARNING(f"Left out: {rejections.total:,}."))
        for group in rejections:
            self.say(f"  {group.code}: {group.count:,}")
            for example in group.examples:
                where = f"line {example.line}: " if example.line else ""
                self.say(f"    {where}{example.message}")

    def _progress(self, label: str, rows: int | None) -> tqdm[Any]:
        # disable=None: a bar for people only, nothing in a log file or a pipe.
        return tqdm(desc=label, total=rows, unit=" rows", unit_scale=True, disable=None)


@contextmanager
def fewer_collections() -> Iterator[None]:
    """Let the garbage collector look less often: events hold no cycles, and its looking costs a fifth of an import."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def weights_of(options: dict[str, Any]) -> dict[str, float] | None:
    """Return the intended shares by the names in the file; None when none were given."""
    if not options["weights"]:
        return None
    pairs = pairs_from("--weights", options["weights"])
    return {name: number_from(f"--weights {name}", text) for name, text in pairs.items()}


def later_weights_of(options: dict[str, Any], zone: tzinfo) -> list[tuple[datetime, dict[str, float]]]:
    """Return the later shares with the time from which each holds, in the zone of the file where none is given.

    Raises: ImportFault for a time that cannot be read.
    """
    found = []
    for text, shares in options["weights_from"]:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ImportFault(f"--weights-from '{text}' is no time such as 2026-03-07T09:00+01:00.") from None
        pairs = pairs_from("--weights-from", [shares])
        numbers = {name: number_from(f"--weights-from {name}", share) for name, share in pairs.items()}
        found.append((moment if moment.tzinfo else moment.replace(tzinfo=zone), numbers))
    return found


def _counted(chunks: Iterable[Chunk], bar: tqdm[Any]) -> Iterator[Chunk]:
    for chunk in chunks:
        yield chunk
        bar.update(len(chunk) + len(chunk.rejected))


def _ingest(site: str, setup: Setup, reading: Reading) -> Intake:
    waiting = 0

    def send(events: Any) -> Judgement:
        nonlocal waiting
        judgement = ingest(
            site=site,
            events=events,
            sent_at=None,
            now_us=reading.now_us,
            retention_days=setup.retention_days,
            source=SOURCE,
        )
        waiting += len(judgement.accepted)
        if waiting >= TAKEN_OVER_EVERY:
            # So that a long file does not lie on the disk twice before it is in the store.
            compact_due()
            waiting = 0
        return judgement

    return send


def _judge_only(setup: Setup, reading: Reading) -> Intake:
    def look(events: Any) -> Judgement:
        return judge(
            events, now_us=reading.now_us, id_prefix="dry-run-", retention_days=setup.retention_days, source=SOURCE
        )

    return look
