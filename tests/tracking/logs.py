"""Event logs for tests: short ways to write events, and stores of every kind to put them in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tracking.core.events import ALIAS, EXPOSURE, Event
from tracking.core.timestamps import DAY_US, HOUR_US
from tracking.core.totals import VisitorTotals
from tracking.segments import SegmentWriter, encode_lines
from tracking.stores.base import EventStore
from tracking.stores.manifest import MemoryManifest
from tracking.stores.memory import MemoryStore
from tracking.stores.parquet import ParquetStore

SITE = "shop"
EXPERIMENT = "button"
DAY_0 = 20_500 * DAY_US  # midnight UTC, 2026-02-16

_numbers = iter(range(10**9))


def event(name: str = "buy", visitor: str = "v1", hours: float = 0.0, **fields: Any) -> Event:
    """Return an event that many hours after DAY_0, with an id of its own unless one is given."""
    time = fields.pop("time", DAY_0 + round(hours * HOUR_US))
    defaults = {"event_id": f"e{next(_numbers)}", "received": time}
    return Event(name=name, visitor_id=visitor, time=time, **{**defaults, **fields})


def exposure(visitor: str = "v1", variant: str = "new", hours: float = 0.0, **fields: Any) -> Event:
    properties = {"experiment": fields.pop("experiment", EXPERIMENT), "variant": variant}
    return event(EXPOSURE, visitor, hours, properties=properties, **fields)


def alias(visitor: str, other: str, hours: float = 0.0, **fields: Any) -> Event:
    return event(ALIAS, visitor, hours, properties={"alias": other}, **fields)


def rows(totals: VisitorTotals) -> list[tuple[Any, ...]]:
    """Return the totals as comparable rows (variant, first exposure, columns, traits, seen before), sorted; none reads None."""
    names = sorted(totals.columns)
    numbers = [totals.columns[name] for name in names]
    found = [
        (
            totals.variants[totals.variant[i]],
            int(totals.first_exposure[i]),
            *(None if np.isnan(column[i]) else float(column[i]) for column in numbers),
            *(None if t.codes[i] < 0 else t.labels[t.codes[i]] for _, t in sorted(totals.traits.items())),
            *(() if totals.seen_before is None else (bool(totals.seen_before[i]),)),
        )
        for i in range(len(totals.variant))
    ]
    return sorted(found, key=repr)


def memory_store(root: Path) -> EventStore:
    return MemoryStore()


def parquet_store(root: Path) -> ParquetStore:
    return ParquetStore(root, MemoryManifest())


class WaitingStore(ParquetStore):
    """The Parquet store whose events are acknowledged and never taken over: all it says comes from open segments."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, MemoryManifest())
        self.writer = SegmentWriter(root)

    def load(self, site: str, events: Iterable[Event]) -> int:
        before = self.count_events(site=site)
        if lines := encode_lines(site, events):
            self.writer.append(lines)
        return self.count_events(site=site) - before

    def erase_visitor(self, *, site: str, visitor: str) -> int:
        self.writer.seal()
        return super().erase_visitor(site=site, visitor=visitor)

    def drop_before(self, *, site: str, day: str) -> int:
        self.writer.seal()
        return super().drop_before(site=site, day=day)


STORES = {"memory": memory_store, "parquet": parquet_store, "waiting": WaitingStore}
