"""When each visitor first met each variant, kept on disk so that a log of any length fits."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import duckdb
import msgspec
import pyarrow as pa

BUFFERED = 50_000
MEMORY_LIMIT = "256MB"


class Meeting(NamedTuple):
    """A visitor's first row with a variant, and its context. Units: `time` in microseconds since 1970 UTC."""

    visitor: str
    variant: str
    time: int
    context: dict[str, Any]


class FirstMeetings:
    """The earliest meeting for each pair of visitor and variant. A context manager: what it keeps on disk goes with it."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="inkling-import-")
        self._database = duckdb.connect(str(Path(self._folder.name) / "meetings.duckdb"))
        self._database.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        self._database.execute("SET threads = 2")
        self._database.execute("CREATE TABLE met (visitor VARCHAR, variant VARCHAR, time BIGINT, context VARCHAR)")
        self._rows: list[tuple[str, str, int, str]] = []
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._database.close()
        self._folder.cleanup()

    def add(self, visitor: str, variant: str, time: int, context: Mapping[str, Any]) -> None:
        self._rows.append((visitor, variant, time, msgspec.json.encode(context).decode()))
        if len(self._rows) >= BUFFERED:
            self._flush()

    def first(self) -> Iterator[Meeting]:
        """Yield the earliest meetings, in no promised order."""
        self._flush()
        found = self._database.execute(
            "SELECT visitor, variant, min(time), arg_min(context, (time, context)) FROM met GROUP BY visitor, variant"
        )
        while rows := found.fetchmany(BUFFERED):
            for visitor, variant, time, context in rows:
                yield Meeting(visitor, variant, time, msgspec.json.decode(context, type=dict[str, Any]))

    def _flush(self) -> None:
        if not self._rows:
            return
        columns = zip(*self._rows, strict=True)
        rows = pa.table(dict(zip(("visitor", "variant", "time", "context"), map(list, columns), strict=True)))
        self._database.register("rows", rows)
        # Reduced at once: a visitor's many rows of a chunk become one.
        self._database.execute(
            "INSERT INTO met SELECT visitor, variant, min(time), arg_min(context, (time, context)) "
            "FROM rows GROUP BY visitor, variant"
        )
        self._database.unregister("rows")
        self._rows = []
