"""The manifest in Django's database, so that files, consumed segments and the claim change in one transaction."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db import connection, transaction
from django.db.models import Q

from tracking.core.timestamps import day_from_iso, iso_day
from tracking.models import ConsumedSegment, EventFile, Lease
from tracking.stores.manifest import Claim, ClaimLost, ConsumedSegmentEntry, FileEntry, StoreBusy

WORK = "event_store"
# Each step of a compaction is bounded by bytes and takes seconds; a killed holder blocks the others for this long.
LEASE_SECONDS = 90.0
_POLL_SECONDS = 0.2
_NAMES_PER_QUERY = 500


class DatabaseManifest:
    def __init__(self, *, clock: Callable[[], float] = time.time, lease_seconds: float | None = None) -> None:
        self._clock = clock
        self._lease_seconds = LEASE_SECONDS if lease_seconds is None else lease_seconds

    def files(self, *, site: str | None = None, days: Collection[int] | None = None) -> list[FileEntry]:
        rows = EventFile.objects.all()
        if site is not None:
            rows = rows.filter(site=site)
        if days is not None:
            rows = rows.filter(day__in=[iso_day(day) for day in days])
        columns = ("site", "day", "path", "rows", "size_bytes", "first_time", "last_time")
        return [FileEntry(row[0], _day_number(row[1]), *row[2:]) for row in rows.values_list(*columns)]

    def consumed(self, names: Collection[str]) -> set[str]:
        every = list(names)
        found: set[str] = set()
        for start in range(0, len(every), _NAMES_PER_QUERY):
            some = every[start : start + _NAMES_PER_QUERY]
            found.update(ConsumedSegment.objects.filter(name__in=some).values_list("name", flat=True))
        return found

    @contextmanager
    def claim(self, *, wait_seconds: float = 0.0) -> Iterator[Claim]:
        holder = f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(8)}"
        Lease.objects.bulk_create(
            [Lease(work=WORK, holder="", expires_at=datetime.fromtimestamp(0, UTC))], ignore_conflicts=True
        )
        give_up = time.monotonic() + wait_seconds
        while not self._take(holder, Q(expires_at__lte=self._now())):
            if time.monotonic() >= give_up:
                raise StoreBusy(f"The event store is being written by {self._holder()}.")
            time.sleep(_POLL_SECONDS)
        try:
            yield _DatabaseClaim(self, holder)
        finally:
            Lease.objects.filter(work=WORK, holder=holder).update(holder="", expires_at=self._now())

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def _holder(self) -> str:
        return Lease.objects.filter(work=WORK).values_list("holder", flat=True).first() or "nobody any more"

    def _take(self, holder: str, condition: Q) -> bool:
        """Claim in one conditional UPDATE, which no two processes can both win."""
        until = self._now() + timedelta(seconds=self._lease_seconds)
        rows = Lease.objects.filter(condition, work=WORK)
        return rows.update(holder=holder, expires_at=until) == 1


@dataclass(frozen=True, slots=True)
class _DatabaseClaim:
    manifest: DatabaseManifest
    holder: str

    def renew(self) -> None:
        if not self.manifest._take(self.holder, Q(holder=self.holder)):
            raise ClaimLost("Another process has taken over the event store.")

    def commit(
        self,
        *,
        added: Sequence[FileEntry] = (),
        removed: Collection[str] = (),
        consumed: Sequence[ConsumedSegmentEntry] = (),
    ) -> None:
        _make_commits_durable()
        with transaction.atomic(durable=True):
            # The row lock holds until the end of the transaction: nobody can take over between check and commit.
            if not Lease.objects.select_for_update().filter(work=WORK, holder=self.holder):
                raise ClaimLost("Another process has taken over the event store.")
            if removed:
                deleted, _ = EventFile.objects.filter(path__in=removed).delete()
                if deleted != len(removed):
                    raise ClaimLost("Files that were to be replaced are no longer in the manifest.")
            EventFile.objects.bulk_create([_row(entry) for entry in added])
            ConsumedSegment.objects.bulk_create(
                [ConsumedSegment(name=segment.name, events=segment.events) for segment in consumed]
            )


def _make_commits_durable() -> None:
    """Segments are deleted right after this commit, so it must survive a power loss; SQLite's default in WAL does not."""
    if connection.vendor == "sqlite" and not connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous=FULL")


def _row(entry: FileEntry) -> EventFile:
    return EventFile(
        site=entry.site,
        day=date.fromisoformat(iso_day(entry.day)),
        path=entry.path,
        rows=entry.rows,
        size_bytes=entry.size_bytes,
        first_time=entry.first_time,
        last_time=entry.last_time,
    )


def _day_number(day: date) -> int:
    return day_from_iso(day.isoformat())
