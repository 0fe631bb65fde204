"""What an event looks like in a segment, in DuckDB and in Parquet: one list of columns for all who read and write."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from tracking.core.events import EXPOSURE
from tracking.core.timestamps import DAY_US
from tracking.stores.duck import text, text_list

_SEGMENT = {
    "site": "VARCHAR",
    "event_id": "VARCHAR",
    "name": "VARCHAR",
    "visitor_id": "VARCHAR",
    "time": "BIGINT",
    "received": "BIGINT",
    "session_id": "VARCHAR",
    "value": "DOUBLE",
    "properties": "JSON",
    "context": "JSON",
    "source": "VARCHAR",
}
_STORED = {
    "event_id": "VARCHAR",
    "name": "VARCHAR",
    "visitor": "UBIGINT",
    "visitor_id": "VARCHAR",
    "time": "BIGINT",
    "received": "BIGINT",
    "session_id": "VARCHAR",
    "value": "DOUBLE",
    "properties": "VARCHAR",
    "context": "VARCHAR",
    "source": "VARCHAR",
    "experiment": "VARCHAR",
    "variant": "VARCHAR",
}
STORED = ", ".join(_STORED)
STORED_TYPES = ", ".join(f"{name} {kind}" for name, kind in _STORED.items())
# By name first, so that a question about one event reads few row groups; then by visitor, for the same reason.
SORT = "name, visitor, time, event_id"
DAY = f"time // {DAY_US}"
# Which of several events with one id stays, when they arrive together: the first received, then by content.
FIRST = "received, name, visitor_id, time, value, properties, context, session_id, source"


def visitor_hash(visitor_id: str) -> int:
    """Return the 64-bit key of a visitor: the second half of MD5, read little-endian.

    It is stored in files, so it must never change; DuckDB's own `hash()` changes between versions.
    """
    digest = hashlib.md5(visitor_id.encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[8:], "little")


def visitor_hash_sql(column: str) -> str:
    return f"md5_number_lower({column})"


def read_segments_sql(paths: Sequence[Path]) -> str:
    """Return the SELECT that reads segments as `site` plus the stored columns."""
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in _SEGMENT.items())
    exposure = f"name = {text(EXPOSURE)}"
    return f"""
        SELECT site, event_id, name, {visitor_hash_sql("visitor_id")} AS visitor, visitor_id, time, received,
            coalesce(session_id, '') AS session_id, value, properties::VARCHAR AS properties,
            context::VARCHAR AS context, coalesce(source, '') AS source,
            CASE WHEN {exposure} THEN json_extract_string(properties, '/experiment') END AS experiment,
            CASE WHEN {exposure} THEN json_extract_string(properties, '/variant') END AS variant
        FROM read_json({text_list([str(path) for path in paths])}, format = 'newline_delimited',
            columns = {{{columns}}})
    """


def read_files_sql(paths: Sequence[Path]) -> str:
    return f"SELECT {STORED} FROM read_parquet({text_list([str(path) for path in paths])})"
