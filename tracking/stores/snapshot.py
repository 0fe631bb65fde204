"""What a reader sees: every acknowledged event exactly once, whether it is in a file yet or still waits in a segment.

The order of looking makes it so: first the segments, then which of them are consumed, then the files. A segment consumed
in between is found in the files, and its events are matched by id with what was read from it. A file or segment that is
deleted before it was read makes the whole question start again.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import duckdb

from tracking.core.events import ALIAS
from tracking.core.identity import Identities, Link, resolve
from tracking.sealing import read_whole_lines, waiting_segments
from tracking.segments import Folders
from tracking.stores.columns import (
    DAY,
    FIRST,
    STORED,
    STORED_TYPES,
    read_files_sql,
    read_segments_sql,
    visitor_hash_sql,
)
from tracking.stores.duck import session, text, text_list
from tracking.stores.manifest import FileEntry, Manifest

T = TypeVar("T")

_ATTEMPTS = 6


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of a site's events. `waiting` is the table of those that no file holds yet."""

    db: duckdb.DuckDBPyConnection
    root: Path
    files: tuple[FileEntry, ...]

    def events(self, *, from_time: int | None = None, to_time: int | None = None) -> str:
        """Return the SELECT of the stored columns, over those files only that can hold a time in the range."""
        files = [
            self.root / entry.path
            for entry in self.files
            if (from_time is None or entry.last_time >= from_time) and (to_time is None or entry.first_time <= to_time)
        ]
        waiting = f"SELECT {STORED} FROM waiting"
        return f"({read_files_sql(files)} UNION ALL {waiting})" if files else f"({waiting})"

    def identities(self, *, as_of: int | None = None) -> Identities:
        """Resolve the site's aliases up to and including `as_of`."""
        until = "" if as_of is None else f"AND time <= {as_of}"
        rows = self.db.execute(
            "SELECT time, event_id, visitor_id, json_extract_string(properties, '/alias'), "
            "coalesce(json_extract_string(properties, '/user'), '') "
            f"FROM {self.events(to_time=as_of)} WHERE name = {text(ALIAS)} {until}"
        ).fetchall()
        return resolve(Link(*row) for row in rows if row[3] is not None)

    def keyed_events(
        self,
        identities: Identities,
        *,
        by_id: bool = False,
        from_time: int | None = None,
        to_time: int | None = None,
    ) -> str:
        """Return the SELECT of the stored columns plus `key`, which is the same for all identities of a visitor.

        The key is the visitor's hash, or with `by_id` the id itself: slower, and never shared by two visitors.
        """
        events = self.events(from_time=from_time, to_time=to_time)
        column = "visitor_id" if by_id else "visitor"
        if not identities.representative:
            return f"(SELECT *, {column} AS key FROM {events})"
        one, other = ("one", "other") if by_id else (visitor_hash_sql("one"), visitor_hash_sql("other"))
        self.db.execute(
            f"CREATE OR REPLACE TEMP TABLE links AS SELECT {one} AS linked, {other} AS stands "
            "FROM (SELECT unnest(?) AS one, unnest(?) AS other)",
            [list(identities.representative), list(identities.representative.values())],
        )
        joined = f"{events} e LEFT JOIN links l ON l.linked = e.{column}"
        return f"(SELECT e.*, coalesce(l.stands, e.{column}) AS key FROM {joined})"


def read(root: Path, manifest: Manifest, site: str, question: Callable[[Snapshot], T]) -> T:
    """Answer a question on one consistent snapshot of a site's events."""
    for attempt in range(1, _ATTEMPTS + 1):
        with session(Folders(root).scratch) as db:
            try:
                with _waiting(root, manifest, site) as segments:
                    files = tuple(manifest.files(site=site))
                    _load_waiting(db, root, site, segments, files)
                return question(Snapshot(db, root, files))
            except (duckdb.IOException, FileNotFoundError):
                # A file that was replaced, or a segment that was consumed, since we looked: look again.
                if attempt == _ATTEMPTS:
                    raise
    raise AssertionError("unreachable")


@contextmanager
def _waiting(root: Path, manifest: Manifest, site: str) -> Iterator[list[Path]]:
    """Give the segments that are not in the store; those that may still grow as copies of their whole lines."""
    folders = Folders(root)
    segments = waiting_segments(folders)
    consumed = manifest.consumed(segments) if segments else set()
    copies: list[Path] = []
    paths: list[Path] = []
    try:
        for name, path in segments.items():
            if name in consumed:
                continue
            if path.parent == folders.sealed:
                paths.append(path)
                continue
            copy = folders.scratch / f"read-{uuid.uuid4().hex}.ndjson"
            copies.append(copy)
            if _copy_whole_lines(folders, path, copy):
                paths.append(copy)
        yield paths
    finally:
        for copy in copies:
            copy.unlink(missing_ok=True)


def _copy_whole_lines(folders: Folders, path: Path, copy: Path) -> int:
    with copy.open("wb") as target:
        try:
            return sum(target.write(piece) for piece in read_whole_lines(path))
        except FileNotFoundError:
            with (folders.sealed / path.name).open("rb") as sealed:
                shutil.copyfileobj(sealed, target)
            return target.tell()


def _load_waiting(
    db: duckdb.DuckDBPyConnection, root: Path, site: str, segments: Sequence[Path], files: Sequence[FileEntry]
) -> None:
    if not segments:
        db.execute(f"CREATE OR REPLACE TEMP TABLE waiting ({STORED_TYPES})")
        return
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE arrived AS SELECT {STORED}, {DAY} AS day FROM ({read_segments_sql(segments)}) "
        f"WHERE site = {text(site)} QUALIFY row_number() OVER (PARTITION BY day, event_id ORDER BY {FIRST}) = 1"
    )
    days = {row[0] for row in db.execute("SELECT DISTINCT day FROM arrived").fetchall()}
    held = [str(root / entry.path) for entry in files if entry.day in days]
    known = ""
    if held:
        known = (
            f"ANTI JOIN (SELECT {DAY} AS day, event_id FROM read_parquet({text_list(held)})) held USING (day, event_id)"
        )
    db.execute(f"CREATE OR REPLACE TEMP TABLE waiting AS SELECT {STORED} FROM arrived {known}")
    db.execute("DROP TABLE arrived")
