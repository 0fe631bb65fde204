"""Turning sealed segments into Parquet files. It may be killed at any point and done again; the outcome is the same.

The order makes it so: write, fsync and rename the files; record files and segments in one transaction of the manifest;
only then delete. Before the transaction the new files are unknown to readers, after it the segments are.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from tracking.core.timestamps import iso_day
from tracking.sealing import salvage, seal_orphans, sealed_segments
from tracking.segments import Folders, make_durable_folder, sync_folder
from tracking.stores.columns import DAY, FIRST, SORT, STORED, read_files_sql, read_segments_sql
from tracking.stores.duck import scalar, session, text, text_list
from tracking.stores.manifest import Claim, ConsumedSegmentEntry, FileEntry, Manifest
from tracking.stores.merging import days_to_tidy, files_to_merge

logger = logging.getLogger(__name__)

BATCH_BYTES = 128 * 1024 * 1024
# A reader holds a list of files for the length of one question; replaced files stay that long and more.
GRACE_SECONDS = 600.0
ROW_GROUP_ROWS = 61_440
_SITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(slots=True)
class CompactionSummary:
    """What one round did; `is_busy` when another process was at it and nothing was done."""

    segments: int = 0
    events: int = 0
    new_events: int = 0
    files_written: int = 0
    files_merged: int = 0
    lost_lines: int = 0
    is_busy: bool = False


class Compactor:
    """The writing half of the Parquet store. Every method needs the claim, which it renews as it goes."""

    def __init__(
        self,
        root: Path,
        manifest: Manifest,
        *,
        batch_bytes: int = BATCH_BYTES,
        grace_seconds: float = GRACE_SECONDS,
        at_step: Callable[[str], None] = lambda step: None,
    ) -> None:
        self.folders = Folders(root)
        self.manifest = manifest
        self._batch_bytes = batch_bytes
        self._grace_seconds = grace_seconds
        # Where a test may stop or kill us; a step is named after what has just been done.
        self._at_step = at_step

    def compact(self, claim: Claim, summary: CompactionSummary | None = None) -> CompactionSummary:
        """Take over every sealed segment and the segments of dead writers, then merge small files."""
        summary = summary or CompactionSummary()
        self.folders.make()
        seal_orphans(self.folders)
        self._delete_consumed()
        touched: set[tuple[str, int]] = set()
        for batch in self._batches(sealed_segments(self.folders)):
            claim.renew()
            touched |= self._consume(claim, batch, summary)
        if touched:
            files = self.manifest.files(days={day for _, day in touched})
            for group in files_to_merge(entry for entry in files if (entry.site, entry.day) in touched):
                self._merge(claim, group, summary)
            if summary.files_merged:
                self.delete_orphans()
        return summary

    def tidy(self, claim: Claim, *, before_day: int) -> CompactionSummary:
        """Merge the files of past days into one each, and delete what no reader can need."""
        summary = CompactionSummary()
        for group in days_to_tidy(self.manifest.files(), before_day=before_day):
            self._merge(claim, group, summary)
        self.delete_orphans()
        return summary

    def load(self, claim: Claim, segment: Path) -> int:
        """Take over one segment that lies outside the queue, and return how many of its events were new."""
        summary = CompactionSummary()
        self._consume(claim, [segment], summary)
        return summary.new_events

    def rewrite(self, claim: Claim, entries: Sequence[FileEntry], keep: str) -> int:
        """Write each file again with only the rows for which the SQL condition `keep` holds; return the rows left out."""
        removed = 0
        for entry in entries:
            claim.renew()
            with session(self.folders.scratch) as db:
                query = f"SELECT * FROM ({read_files_sql([self._path(entry)])}) WHERE {keep}"
                written = self._write(db, entry.site, entry.day, query)
            left = written.rows if written else 0
            claim.commit(added=[written] if written else [], removed=[entry.path])
            self._path(entry).unlink(missing_ok=True)
            removed += entry.rows - left
        return removed

    def drop(self, claim: Claim, entries: Sequence[FileEntry]) -> int:
        """Take files out of the store and delete them; return how many events they held."""
        claim.commit(removed=[entry.path for entry in entries])
        for entry in entries:
            self._path(entry).unlink(missing_ok=True)
        return sum(entry.rows for entry in entries)

    def delete_orphans(self, *, grace_seconds: float | None = None) -> int:
        """Delete files that the manifest does not know: replaced, or left by a compaction that was killed."""
        grace = self._grace_seconds if grace_seconds is None else grace_seconds
        known = {entry.path for entry in self.manifest.files()}
        deleted = 0
        for path in (self.folders.root / "files").glob("*/*/*.parquet"):
            if str(path.relative_to(self.folders.root)) not in known and _age(path) >= grace:
                path.unlink(missing_ok=True)
                deleted += 1
        for path in self.folders.scratch.glob("*"):
            if path.is_dir() and path.name.startswith("duckdb-"):
                if not _is_alive(int(path.name.removeprefix("duckdb-"))):
                    shutil.rmtree(path, ignore_errors=True)
            elif path.is_file() and _age(path) >= GRACE_SECONDS:
                path.unlink(missing_ok=True)
        return deleted

    def _batches(self, segments: Sequence[Path]) -> Iterator[list[Path]]:
        batch: list[Path] = []
        size = 0
        for path in segments:
            length = path.stat().st_size
            if batch and size + length > self._batch_bytes:
                yield batch
                batch, size = [], 0
            batch.append(path)
            size += length
        if batch:
            yield batch

    def _delete_consumed(self) -> None:
        names = {path.name: path for path in sealed_segments(self.folders)}
        for name in self.manifest.consumed(names):
            names[name].unlink(missing_ok=True)

    def _consume(self, claim: Claim, segments: Sequence[Path], summary: CompactionSummary) -> set[tuple[str, int]]:
        added: list[FileEntry] = []
        with session(self.folders.scratch) as db:
            per_segment = self._read(db, segments, summary)
            parts = db.execute(f"SELECT site, {DAY} AS day FROM incoming GROUP BY ALL ORDER BY ALL").fetchall()
            held: dict[tuple[str, int], list[FileEntry]] = defaultdict(list)
            for entry in self.manifest.files(days={day for _, day in parts}) if parts else []:
                held[entry.site, entry.day].append(entry)
            repeats = scalar(
                db, f"SELECT count(*) FROM (SELECT 1 FROM incoming GROUP BY site, {DAY}, event_id HAVING count(*) > 1)"
            )
            for site, day in parts:
                query = self._new_events_sql(site, day, held[site, day], has_repeats=bool(repeats))
                written = self._write(db, site, day, query)
                if written:
                    added.append(written)
        self._at_step("written")
        claim.commit(added=added, consumed=[ConsumedSegmentEntry(path.name, per_segment[path]) for path in segments])
        self._at_step("committed")
        for path in segments:
            path.unlink(missing_ok=True)
        self._at_step("deleted")
        summary.segments += len(segments)
        summary.events += sum(per_segment.values())
        summary.new_events += sum(entry.rows for entry in added)
        summary.files_written += len(added)
        return {(site, day) for site, day in parts}

    def _read(
        self, db: duckdb.DuckDBPyConnection, segments: Sequence[Path], summary: CompactionSummary
    ) -> dict[Path, int]:
        """Load the segments into the table `incoming`, and return how many lines each had."""
        try:
            _load(db, segments)
        except duckdb.InvalidInputException:
            for path in segments:
                try:
                    _load(db, [path])
                except duckdb.InvalidInputException:
                    summary.lost_lines += salvage(self.folders, path)
            _load(db, segments)
        return {path: _count_lines(path) for path in segments}

    def _new_events_sql(self, site: str, day: int, held: Sequence[FileEntry], *, has_repeats: bool) -> str:
        """Select the events of one day that the store does not hold yet, each id once."""
        here = f"site = {text(site)} AND {DAY} = {day}"
        known = ""
        if held:
            paths = text_list([str(self._path(entry)) for entry in held])
            known = f"ANTI JOIN (SELECT event_id FROM read_parquet({paths})) USING (event_id)"
        # Choosing among repeats takes as long as all the rest, and most batches have none.
        once = f"QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY {FIRST}) = 1" if has_repeats else ""
        return f"SELECT {STORED} FROM incoming {known} WHERE {here} {once}"

    def _write(self, db: duckdb.DuckDBPyConnection, site: str, day: int, query: str) -> FileEntry | None:
        """Write the rows of a query, which has the stored columns, as one durable file; None when there are no rows."""
        if not _SITE.fullmatch(site):
            raise ValueError(f"The site key {site!r} cannot be the name of a folder.")
        name = f"{uuid.uuid4().hex}.parquet"
        scratch = self.folders.scratch / name
        db.execute(
            f"COPY (SELECT {STORED} FROM ({query}) ORDER BY {SORT}) TO {text(str(scratch))} "
            f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
        )
        row = db.execute(f"SELECT count(*), min(time), max(time) FROM read_parquet({text(str(scratch))})").fetchone()
        if row is None or row[0] == 0:
            scratch.unlink()
            return None
        with scratch.open("rb") as file:
            os.fsync(file.fileno())
        relative = Path("files") / site / iso_day(day) / name
        target = self.folders.root / relative
        make_durable_folder(target.parent)
        scratch.rename(target)
        sync_folder(target.parent)
        size = target.stat().st_size
        return FileEntry(site, day, str(relative), row[0], size, first_time=row[1], last_time=row[2])

    def _merge(self, claim: Claim, group: Sequence[FileEntry], summary: CompactionSummary) -> None:
        claim.renew()
        with session(self.folders.scratch) as db:
            merged = self._write(db, group[0].site, group[0].day, read_files_sql([self._path(e) for e in group]))
        expected = sum(entry.rows for entry in group)
        if merged is None or merged.rows != expected:
            raise RuntimeError(
                f"Merging {expected} events of {group[0].path} and others gave {merged}; nothing changed."
            )
        for entry in group:
            # The grace of a replaced file counts from now, not from when it was written.
            os.utime(self._path(entry))
        claim.commit(added=[merged], removed=[entry.path for entry in group])
        self._at_step("merged")
        summary.files_merged += len(group)

    def _path(self, entry: FileEntry) -> Path:
        return self.folders.root / entry.path


def _load(db: duckdb.DuckDBPyConnection, segments: Sequence[Path]) -> None:
    db.execute(f"CREATE OR REPLACE TEMP TABLE incoming AS {read_segments_sql(segments)}")


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(piece.count(b"\n") for piece in iter(lambda: file.read(1024 * 1024), b""))


def _age(path: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime
    return 0.0


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
