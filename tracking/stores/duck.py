"""DuckDB as a library: one engine per process, with a ceiling on memory, that keeps nothing of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

MEMORY_LIMIT = "600MB"
THREADS = 2
_MOST_ENGINES = 4  # one is enough for a process; tests have a folder each

_engines: dict[tuple[int, Path], duckdb.DuckDBPyConnection] = {}
_lock = threading.Lock()


@contextmanager
def session(scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a session with temporary tables of its own; what does not fit in memory goes to `scratch`.

    All sessions of a process share one engine and so one memory limit. A forked child starts its own: the threads of its
    parent's engine did not come along.
    """
    key = (os.getpid(), scratch)
    with _lock:
        engine = _engines.get(key)
        if engine is None:
            while len(_engines) >= _MOST_ENGINES:
                _engines.pop(next(iter(_engines)))
            scratch.mkdir(parents=True, exist_ok=True)
            engine = _engines[key] = duckdb.connect(
                ":memory:",
                config={
                    "memory_limit": MEMORY_LIMIT,
                    "threads": THREADS,
                    "temp_directory": str(scratch / f"duckdb-{os.getpid()}"),
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                },
            )
        cursor = engine.cursor()
    try:
        cursor.execute("SET enable_progress_bar = false")
        yield cursor
    finally:
        cursor.close()


def text(value: str) -> str:
    """Return a string as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def text_list(values: list[str]) -> str:
    return "[" + ", ".join(text(value) for value in values) + "]"


def scalar(connection: duckdb.DuckDBPyConnection, sql: str, parameters: list[Any] | None = None) -> Any:
    """Run a query and return the first column of its first row."""
    row = connection.execute(sql, parameters or []).fetchone()
    return None if row is None else row[0]
