"""What waits to be taken over: listing segments, sealing those of dead writers, saving what can be read of a damaged one."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tracking.core.events import Event
from tracking.segments import Folders, sync_folder

logger = logging.getLogger(__name__)

_CHUNK = 1024 * 1024
_NAMELESS_GRACE_SECONDS = 60


class Line(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One line of a segment: an event and its site."""

    site: str


def waiting_segments(folders: Folders) -> dict[str, Path]:
    """Return the segments by name, oldest first; one that is sealed while we look is found all the same."""
    found = {path.name: path for folder in (folders.open, folders.sealed) for path in folder.glob("*.ndjson")}
    return dict(sorted(found.items()))


def sealed_segments(folders: Folders) -> list[Path]:
    return sorted(folders.sealed.glob("*.ndjson"))


def seal_orphans(folders: Folders) -> int:
    """Seal the segments whose writer is dead, without their torn last line, and return how many."""
    sealed = 0
    for path in sorted(folders.open.glob("*.ndjson")):
        try:
            fd = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The writer may have sealed it between our open and our lock; then the name leads elsewhere.
            if os.fstat(fd).st_ino != path.stat().st_ino:
                continue
            _cut_torn_line(fd, path)
            path.rename(folders.sealed / path.name)
            sealed += 1
        except (BlockingIOError, FileNotFoundError):
            continue
        finally:
            os.close(fd)
    _remove_nameless(folders)
    return sealed


def _remove_nameless(folders: Folders) -> None:
    """Remove files whose writer died before it had named them: nothing was ever written there."""
    for path in folders.open.glob("*.new"):
        try:
            if time.time() - path.stat().st_mtime > _NAMELESS_GRACE_SECONDS:
                path.unlink()
        except FileNotFoundError:
            continue


def _cut_torn_line(fd: int, path: Path) -> None:
    size = os.fstat(fd).st_size
    whole = whole_lines_size(fd, size)
    if whole < size:
        logger.warning(
            "Segment %s ended in the middle of a line: its writer died while writing. %s bytes that were never "
            "acknowledged are cut off.",
            path.name,
            size - whole,
        )
        os.ftruncate(fd, whole)
    os.fsync(fd)


def whole_lines_size(fd: int, size: int) -> int:
    """Return the length of the file up to and including its last newline within the first `size` bytes."""
    end = size
    while end > 0:
        start = max(0, end - _CHUNK)
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def read_whole_lines(path: Path) -> Iterator[bytes]:
    """Yield pieces of a segment that may still grow, up to its last whole line at the time of the call."""
    with path.open("rb", buffering=0) as file:
        left = whole_lines_size(file.fileno(), os.fstat(file.fileno()).st_size)
        while left > 0:
            piece = file.read(min(left, _CHUNK))
            if not piece:
                return
            left -= len(piece)
            yield piece


def salvage(folders: Folders, path: Path) -> int:
    """Replace a segment that cannot be read by its readable lines and return how many lines were lost.

    The original is kept under `damaged/`. Only a fault of the disk or another program's hand can damage a sealed segment.
    """
    decode = msgspec.json.Decoder(Line).decode
    lost = 0
    repaired = folders.scratch / f"{path.name}.repaired"
    with path.open("rb") as source, repaired.open("wb") as target:
        for line in source:
            try:
                decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                lost += 1
            else:
                target.write(line.rstrip(b"\n") + b"\n")
        target.flush()
        os.fsync(target.fileno())
    kept = folders.damaged / path.name
    if not kept.exists():
        os.link(path, kept)
        sync_folder(folders.damaged)
    repaired.replace(path)
    sync_folder(path.parent)
    logger.error("Segment %s is damaged: %s lines cannot be read. The original is kept as %s.", path.name, lost, kept)
    return lost
