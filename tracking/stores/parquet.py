"""The embedded store: Parquet files by site and UTC day, found through a manifest and read with DuckDB."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import numpy as np

from tracking.core.days import daily_counts
from tracking.core.events import ALIAS, EXPOSURE, Event
from tracking.core.history import HistoryRequest, VisitorHistory
from tracking.core.timestamps import day_from_iso
from tracking.core.totals import EventNameSummary, ExposureCounts, PropertySummary, TotalsRequest, VisitorTotals
from tracking.sealing import seal_orphans, waiting_segments
from tracking.segments import Folders, encode_lines, writer_for
from tracking.stores import history_sql, totals_sql
from tracking.stores.columns import read_files_sql, visitor_hash
from tracking.stores.compaction import CompactionSummary, Compactor
from tracking.stores.duck import scalar, session, text
from tracking.stores.manifest import Claim, ClaimLost, Manifest, StoreBusy
from tracking.stores.snapshot import Snapshot, read

T = TypeVar("T")

_WAIT_SECONDS = 120.0
_POLL_SECONDS = 0.25
_LINES_AT_ONCE = 10_000


# What DuckDB calls the kinds of JSON values; all others are numbers.
JSON_KINDS = {"VARCHAR": "text", "BOOLEAN": "boolean", "ARRAY": "list", "OBJECT": "object", "NULL": "null"}


class ParquetStore:
    """Events in immutable Parquet files. It keeps no state of its own: the manifest and the folder are all there is."""

    def __init__(self, root: Path, manifest: Manifest, *, compactor: Compactor | None = None) -> None:
        self.root = root
        self.manifest = manifest
        self.compactor = compactor or Compactor(root, manifest)
        self._folders = Folders(root)

    def load(self, site: str, events: Iterable[Event]) -> int:
        self._folders.make()
        segment = self._folders.scratch / f"load-{uuid.uuid4().hex}.ndjson"
        rest = iter(events)
        with segment.open("wb") as file:
            while some := list(islice(rest, _LINES_AT_ONCE)):
                file.write(encode_lines(site, some))
        with self.manifest.claim(wait_seconds=_WAIT_SECONDS) as claim:
            return self.compactor.load(claim, segment)

    def compact(self, *, wait_seconds: float = 0.0) -> CompactionSummary:
        """Take over what is sealed. When another process is at it, wait that long and then report `is_busy`.

        So is a claim that ran out on the way: whoever took it over does the rest, and what was committed stays.
        """
        try:
            with self.manifest.claim(wait_seconds=wait_seconds) as claim:
                return self.compactor.compact(claim)
        except (StoreBusy, ClaimLost):
            return CompactionSummary(is_busy=True)

    def tidy(self, *, before_day: int) -> CompactionSummary:
        with self.manifest.claim(wait_seconds=_WAIT_SECONDS) as claim:
            return self.compactor.tidy(claim, before_day=before_day)

    def count_events(self, *, site: str, event: str | None = None, visitor: str | None = None) -> int:
        def question(snapshot: Snapshot) -> int:
            tests = ["true"]
            if event is not None:
                tests.append(f"name = {text(event)}")
            if visitor is not None:
                tests.append(_is_one_of(snapshot.identities().group(visitor)))
            return int(
                scalar(snapshot.db, f"SELECT count(*) FROM {snapshot.events()} WHERE {' AND '.join(tests)}") or 0
            )

        return self._read(site, question)

    def count_exposures(
        self, *, site: str, experiment: str, visitor: str | None = None, variant: str | None = None
    ) -> int:
        def question(snapshot: Snapshot) -> int:
            identities = snapshot.identities()
            tests = [f"name = {text(EXPOSURE)}", f"experiment = {text(experiment)}"]
            if variant is not None:
                tests.append(f"variant = {text(variant)}")
            if visitor is not None:
                tests.append(_is_one_of(identities.group(visitor)))
            events = snapshot.keyed_events(identities)
            distinct = f"SELECT DISTINCT key, variant FROM {events} WHERE {' AND '.join(tests)}"
            return int(scalar(snapshot.db, f"SELECT count(*) FROM ({distinct})") or 0)

        return self._read(site, question)

    def exposure_counts(self, request: TotalsRequest) -> ExposureCounts:
        return self._read(request.site, lambda snapshot: _exposure_counts(snapshot, request))

    def visitor_totals(self, request: TotalsRequest) -> VisitorTotals:
        return self._read(request.site, lambda snapshot: totals_sql.visitor_totals(snapshot, request))

    def visitor_history(self, request: HistoryRequest) -> VisitorHistory:
        return self._read(request.site, lambda snapshot: history_sql.visitor_history(snapshot, request))

    def event_names(self, *, site: str) -> Sequence[EventNameSummary]:
        def question(snapshot: Snapshot) -> list[EventNameSummary]:
            rows = snapshot.db.execute(
                "SELECT name, count(*) AS n, count(DISTINCT key), min(time), max(time), "
                "coalesce(list_sort(list(DISTINCT source) FILTER (source <> '')), []) "
                f"FROM {snapshot.keyed_events(snapshot.identities())} GROUP BY name ORDER BY n DESC, name"
            ).fetchall()
            return [
                EventNameSummary(name, events, visitors, first, last, tuple(sources))
                for name, events, visitors, first, last, sources in rows
            ]

        return self._read(site, question)

    def event_properties(self, *, site: str, since: int | None = None) -> Sequence[PropertySummary]:
        def question(snapshot: Snapshot) -> list[PropertySummary]:
            asked = "" if since is None else f"WHERE time >= {since}"
            # A pointer, in which a key may hold anything: `~` and `/` are the only marks of its own.
            pointer = "'/' || replace(replace(key, '~', '~0'), '/', '~1')"
            rows = snapshot.db.execute(
                f"SELECT name, key, json_type(properties, {pointer}) AS kind, count(*) FROM "
                f"(SELECT name, properties, unnest(json_keys(properties)) AS key FROM {snapshot.events(from_time=since)} {asked}) "
                "GROUP BY ALL"
            ).fetchall()
            sums: Counter[tuple[str, str, str]] = Counter()
            for name, key, kind, count in rows:
                sums[name, key, JSON_KINDS.get(kind, "number")] += count
            return [PropertySummary(*key, count) for key, count in sorted(sums.items())]

        return self._read(site, question)

    def erase_visitor(self, *, site: str, visitor: str) -> int:
        with self.manifest.claim(wait_seconds=_WAIT_SECONDS) as claim:
            self._drain(claim)
            group = self._read(site, lambda snapshot: snapshot.identities().group(visitor))
            # An alias that was not followed names the visitor too.
            names = ", ".join(text(one) for one in sorted(group))
            alias = f"name = {text(ALIAS)} AND json_extract_string(properties, '/alias') IN ({names})"
            gone = f"({_is_one_of(group)} OR coalesce({alias}, false))"
            affected = []
            for entry in self.manifest.files(site=site):
                with session(self._folders.scratch) as db:
                    source = read_files_sql([self.root / entry.path])
                    if scalar(db, f"SELECT count(*) FROM ({source}) WHERE {gone}"):
                        affected.append(entry)
            erased = self.compactor.rewrite(claim, affected, keep=f"NOT {gone}")
            self.compactor.delete_orphans(grace_seconds=0.0)
        return erased

    def drop_before(self, *, site: str, day: str) -> int:
        first_kept = day_from_iso(day)
        with self.manifest.claim(wait_seconds=_WAIT_SECONDS) as claim:
            self.compactor.compact(claim)
            old = [entry for entry in self.manifest.files(site=site) if entry.day < first_kept]
            return self.compactor.drop(claim, old) if old else 0

    def _read(self, site: str, question: Callable[[Snapshot], T]) -> T:
        return read(self.root, self.manifest, site, question)

    def _drain(self, claim: Claim) -> None:
        """Take over every segment that exists now, also those that other processes are still writing.

        Raises: StoreBusy when a writer does not let go of one in time.
        """
        writer_for(self.root).seal()
        seal_orphans(self._folders)
        there = set(waiting_segments(self._folders))
        give_up = time.monotonic() + _WAIT_SECONDS
        while True:
            self.compactor.compact(claim)
            left = there & set(waiting_segments(self._folders))
            if not left - self.manifest.consumed(left):
                return
            if time.monotonic() >= give_up:
                raise StoreBusy(f"Segment {min(left)} is still being written.")
            claim.renew()
            time.sleep(_POLL_SECONDS)


def _is_one_of(visitors: Iterable[str]) -> str:
    """Return the condition for these ids: the hash finds the place in the files, the id makes sure."""
    every = sorted(visitors)
    hashes = ", ".join(f"{visitor_hash(one)}::UBIGINT" for one in every)
    return f"(visitor IN ({hashes}) AND visitor_id IN ({', '.join(text(one) for one in every)}))"


def _exposure_counts(snapshot: Snapshot, request: TotalsRequest) -> ExposureCounts:
    db = snapshot.db
    exposed = totals_sql.find_exposed(snapshot, request)
    several, conflicting, only, first, last = db.execute(
        "SELECT count(*) FILTER (in_several), count(*) FILTER (is_conflicting), "
        "count(*) FILTER (packed IS NULL), min(first), max(last) FROM exposed"
    ).fetchall()[0]
    linked = 0
    if exposed.identities.representative:
        linked = scalar(db, "SELECT count(*) FROM exposed WHERE key IN (SELECT stands FROM links)")
    unknown = db.execute(
        f"SELECT variant, count(DISTINCT key) FROM {exposed.exposures()} "
        "WHERE rank IS NULL AND key IN (SELECT key FROM exposed) GROUP BY variant ORDER BY variant"
    ).fetchall()
    rows = db.execute("SELECT packed FROM exposed WHERE packed IS NOT NULL").fetchnumpy()
    packed = np.asarray(rows["packed"], dtype=np.int64)
    variant = exposed.variants_of(packed).astype(np.int64)
    per_variant = np.bincount(variant, minlength=len(request.variants))
    return ExposureCounts(
        visitors={key: int(per_variant[index]) for index, key in enumerate(request.variants)},
        in_several_variants=several,
        conflicting=conflicting,
        only_conflicting=only,
        linked_identities=linked,
        daily=daily_counts(packed // totals_sql.PACK, variant, len(request.variants), ZoneInfo(request.time_zone)),
        first_exposure=first,
        last_exposure=last,
        last_event=_last_event(snapshot, request.as_of),
        unknown_variants=dict(unknown),
        links_ignored=exposed.identities.ignored,
        users_kept_apart=exposed.identities.kept_apart,
        robots=exposed.robots,
    )


def _last_event(snapshot: Snapshot, as_of: int) -> int | None:
    """Return the time of the site's last event up to `as_of`, reading only the files that could hold it."""
    known = [entry.last_time for entry in snapshot.files if entry.last_time <= as_of]
    floor = max(known, default=None)
    events = snapshot.events(from_time=floor, to_time=as_of)
    found = scalar(snapshot.db, f"SELECT max(time) FROM {events} WHERE time <= {as_of}")
    return None if found is None else int(found)
