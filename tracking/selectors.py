"""Reading what happened: the event store that the settings choose, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Max

from tracking.models import ConsumedSegment

if TYPE_CHECKING:
    from tracking.stores.base import EventStore
    from tracking.stores.parquet import ParquetStore

DEFAULT_STORE = "parquet"


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is acknowledged and not in the store yet. Every count and analysis sees these events all the same."""

    segments: int
    bytes: int
    last_taken_over: datetime | None


def events_root() -> Path:
    """Return the folder of segments and event files."""
    return Path(settings.DATA_DIR) / "events"


def parquet_store() -> ParquetStore:
    # DuckDB is loaded on first use: a web process that only takes events in does without its 40 MB.
    from tracking.manifest import DatabaseManifest
    from tracking.stores.parquet import ParquetStore

    return ParquetStore(events_root(), DatabaseManifest())


STORES: dict[str, Callable[[], EventStore]] = {"parquet": parquet_store}


def event_store() -> EventStore:
    """Return the event store that INKLING_EVENT_STORE names."""
    address = str(getattr(settings, "INKLING_EVENT_STORE", "") or DEFAULT_STORE)
    scheme = address.split(":", 1)[0]
    if scheme not in STORES:
        known = ", ".join(sorted(STORES))
        raise ImproperlyConfigured(f"INKLING_EVENT_STORE is '{address}'; known stores are {known}.")
    return STORES[scheme]()


def backlog() -> Backlog:
    """Return how much waits to be taken over into the store."""
    from tracking.sealing import waiting_segments
    from tracking.segments import Folders

    names = waiting_segments(Folders(events_root()))
    sizes = [path.stat().st_size for path in names.values() if path.exists()]
    last = ConsumedSegment.objects.aggregate(last=Max("consumed_at"))["last"]
    return Backlog(segments=len(names), bytes=sum(sizes), last_taken_over=last)
