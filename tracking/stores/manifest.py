"""The manifest of a file store: which files hold the events, which segments are in them, and whose turn it is to write."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol


class StoreBusy(Exception):
    """Another process holds the claim to write; whatever it is doing, it is safe to try again later."""


class ClaimLost(Exception):
    """The claim ran out and somebody else took it: nothing of this commit was recorded."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One immutable file of events. Units: `day` in days since 1970-01-01 UTC, times in microseconds since 1970 UTC."""

    site: str
    day: int
    path: str
    rows: int
    size_bytes: int
    first_time: int
    last_time: int


@dataclass(frozen=True, slots=True)
class ConsumedSegmentEntry:
    name: str
    events: int


class Claim(Protocol):
    """The right to change the store, held by one process at a time."""

    def renew(self) -> None:
        """Hold the claim for its full time again. Raises: ClaimLost."""
        ...

    def commit(
        self,
        *,
        added: Sequence[FileEntry] = (),
        removed: Collection[str] = (),
        consumed: Sequence[ConsumedSegmentEntry] = (),
    ) -> None:
        """Record all of this or nothing, durably. Raises: ClaimLost when the claim is no longer held."""
        ...


class Manifest(Protocol):
    def files(self, *, site: str | None = None, days: Collection[int] | None = None) -> list[FileEntry]:
        """Return the files as of one moment, by site, day and age."""
        ...

    def consumed(self, names: Collection[str]) -> set[str]:
        """Return which of these segments are in the store already."""
        ...

    def claim(self, *, wait_seconds: float = 0.0) -> AbstractContextManager[Claim]:
        """Take the claim to write. Raises: StoreBusy when it is not free within `wait_seconds`."""
        ...


class MemoryManifest:
    """A manifest for one process and one run, for tests and benchmarks."""

    def __init__(self) -> None:
        self._files: dict[str, FileEntry] = {}
        self._consumed: dict[str, int] = {}

    def files(self, *, site: str | None = None, days: Collection[int] | None = None) -> list[FileEntry]:
        chosen = [
            entry
            for entry in self._files.values()
            if (site is None or entry.site == site) and (days is None or entry.day in days)
        ]
        return sorted(chosen, key=lambda entry: (entry.site, entry.day))

    def consumed(self, names: Collection[str]) -> set[str]:
        return {name for name in names if name in self._consumed}

    @contextmanager
    def claim(self, *, wait_seconds: float = 0.0) -> Iterator[Claim]:
        yield self

    def renew(self) -> None:
        return

    def commit(
        self,
        *,
        added: Sequence[FileEntry] = (),
        removed: Collection[str] = (),
        consumed: Sequence[ConsumedSegmentEntry] = (),
    ) -> None:
        for path in removed:
            del self._files[path]
        self._files |= {entry.path: entry for entry in added}
        self._consumed |= {segment.name: segment.events for segment in consumed}
