"""What a file format promises: its columns, and its rows in chunks of bounded size, in file order, as often as asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tracking.importing.rejections import Rejection

CHUNK_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows, by column.

    Shapes: `lines`, `identities` and every column have one entry per row. `lines` says where each row stands in the file
    (from 1, header included); `identities` holds each row's whole content, so equal rows have equal identities.
    `rejected` are rows at this place that are no rows at all.
    """

    lines: Sequence[int]
    identities: Sequence[bytes]
    columns: Mapping[str, Sequence[Any]]
    rejected: Sequence[Rejection] = field(default_factory=tuple)

    def __len__(self) -> int:
        return len(self.lines)


class Source(Protocol):
    """An opened file."""

    label: str
    columns: tuple[str, ...]
    rows: int | None

    def chunks(self) -> Iterator[Chunk]:
        """Read the file from its beginning. Memory is bounded by `CHUNK_ROWS` rows, whatever the size of the file."""
        ...
