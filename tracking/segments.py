"""Segments: the files in which accepted events become durable, one writer per process and no lock between processes.

A segment is NDJSON, one event and its site per line. It lives in `open/` while its writer holds an flock on it, and is
sealed by a rename into `sealed/`, from where the store takes it over. Whether a writer lives is told by the flock and not
by its process id, which a zombie keeps and the next process inherits.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from experiments.core.protocol import ApiError
from tracking.core.events import Event

logger = logging.getLogger(__name__)

MAX_BYTES = 16 * 1024 * 1024
MAX_AGE_SECONDS = 5.0

_encode = msgspec.json.Encoder().encode
_encode_into = msgspec.json.Encoder().encode_into
_COMMA = ord(",")
_sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class IntakeUnavailable(ApiError):
    """The events could not be made durable, so none of them is acknowledged."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "intake_unavailable",
            "The server cannot store events at the moment.",
            "Nothing of this request was acknowledged: send the same events again later, with the same event ids.",
        )


def encode_lines(site: str, events: Iterable[Event]) -> bytes:
    """Return the segment lines of these events: each is the event's JSON object with `site` as its first member."""
    head = b'{"site":' + _encode(site)
    lines = bytearray()
    for event in events:
        lines += head
        joint = len(lines)
        _encode_into(event, lines, -1)
        lines[joint] = _COMMA  # the event's own opening brace
        lines += b"\n"
    return bytes(lines)


@dataclass(frozen=True, slots=True)
class Folders:
    """Where segments are. Reading order matters: list `open` before `sealed`, so that a rename between hides nothing."""

    root: Path

    @property
    def open(self) -> Path:
        return self.root / "segments" / "open"

    @property
    def sealed(self) -> Path:
        return self.root / "segments" / "sealed"

    @property
    def damaged(self) -> Path:
        return self.root / "segments" / "damaged"

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"

    def make(self) -> None:
        for folder in (self.open, self.sealed, self.damaged, self.scratch):
            make_durable_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make names created, renamed or removed in a folder survive a power loss."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_durable_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    make_durable_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


@dataclass(slots=True)
class _Segment:
    name: str
    fd: int
    opened: float
    idle_timer: threading.Timer
    size: int = 0


@dataclass(slots=True)
class _Group:
    """Lines that become durable together. `error` is set when they did not."""

    chunks: list[bytes] = field(default_factory=list)
    is_done: bool = False
    error: OSError | None = None


class SegmentWriter:
    """Appends lines durably for all threads of this process.

    Group commit: the first waiting thread writes and syncs for all that came while the sync before was under way.
    """

    def __init__(self, root: Path, *, max_bytes: int = MAX_BYTES, max_age_seconds: float = MAX_AGE_SECONDS) -> None:
        self._folders = Folders(root)
        self._max_bytes = max_bytes
        self._max_age_seconds = max_age_seconds
        self._segment: _Segment | None = None
        self._reset_locks()

    def _reset_locks(self) -> None:
        self._turn = threading.Condition()
        self._waiting = _Group()
        self._is_busy = False
        self._file_lock = threading.RLock()

    def append(self, lines: bytes) -> None:
        """Return when the lines are on disk. Raises: IntakeUnavailable when they are not."""
        with self._turn:
            group = self._waiting
            group.chunks.append(lines)
            while self._is_busy and not group.is_done:
                self._turn.wait()
            if not group.is_done:
                self._is_busy = True
                self._waiting = _Group()
                is_leader = True
            else:
                is_leader = False
        if is_leader:
            # Until the write has returned the others must not believe it, whatever ends it.
            group.error = OSError("The write was interrupted.")
            try:
                self._write(b"".join(group.chunks))
                group.error = None
            except OSError as error:
                group.error = error
            finally:
                with self._turn:
                    group.is_done = True
                    self._is_busy = False
                    self._turn.notify_all()
        if group.error is not None:
            logger.error("Events could not be stored in %s: %s", self._folders.open, group.error)
            raise IntakeUnavailable from group.error

    def seal(self) -> None:
        """Close the current segment, so that the store can take it over."""
        with self._file_lock:
            if self._segment is not None:
                self._seal(self._segment)

    def abandon(self) -> None:
        """Forget the segment after a fork: it belongs to the parent process, whose lock ends with the last open handle."""
        segment, self._segment = self._segment, None
        self._reset_locks()
        if segment is not None:
            os.close(segment.fd)

    def _write(self, lines: bytes) -> None:
        with self._file_lock:
            segment = self._segment or self._open()
            try:
                view = memoryview(lines)
                while view:
                    view = view[os.write(segment.fd, view) :]
                _sync(segment.fd)
                if os.fstat(segment.fd).st_nlink == 0:
                    raise FileNotFoundError(errno.ENOENT, "The segment was deleted under its writer", segment.name)
            except BaseException:
                self._give_up(segment)
                raise
            segment.size += len(lines)
            if segment.size >= self._max_bytes or time.monotonic() - segment.opened >= self._max_age_seconds:
                self._seal(segment)

    def _open(self) -> _Segment:
        self._folders.make()
        name = f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(6)}.ndjson"
        path = self._folders.open / name
        # Locked before it has its name: otherwise the compactor could take it for a dead writer's in between.
        nameless = path.with_suffix(".new")
        fd = os.open(nameless, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            nameless.rename(path)
            sync_folder(self._folders.open)
        except OSError:
            os.close(fd)
            raise
        timer = threading.Timer(self._max_age_seconds, self._seal_when_idle, (name,))
        timer.daemon = True
        timer.start()
        self._segment = _Segment(name, fd, time.monotonic(), timer)
        return self._segment

    def _seal_when_idle(self, name: str) -> None:
        with self._file_lock:
            if self._segment is not None and self._segment.name == name:
                self._seal(self._segment)

    def _seal(self, segment: _Segment) -> None:
        self._segment = None
        segment.idle_timer.cancel()
        try:
            (self._folders.open / segment.name).rename(self._folders.sealed / segment.name)
        except OSError as error:
            logger.warning("Segment %s could not be sealed and is left to the compactor: %s", segment.name, error)
        finally:
            os.close(segment.fd)

    def _give_up(self, segment: _Segment) -> None:
        """Cut off what was not acknowledged and use the file no more: after a failed sync the kernel may have dropped data."""
        self._segment = None
        segment.idle_timer.cancel()
        try:
            os.ftruncate(segment.fd, segment.size)
            _sync(segment.fd)
        except OSError as error:
            logger.warning("Segment %s keeps an unacknowledged end: %s", segment.name, error)
        finally:
            os.close(segment.fd)


_writers: dict[Path, SegmentWriter] = {}
_writers_lock = threading.Lock()


def writer_for(root: Path) -> SegmentWriter:
    """Return this process's writer under `root`."""
    writer = _writers.get(root)
    if writer is None:
        with _writers_lock:
            writer = _writers.setdefault(root, SegmentWriter(root))
    return writer


def _after_fork() -> None:
    global _writers_lock
    _writers_lock = threading.Lock()
    for writer in _writers.values():
        writer.abandon()


os.register_at_fork(after_in_child=_after_fork)
