"""What an import left out, and why: a count and the first examples for each reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Rejection:
    """One row that was left out. `line` is where it stands in the file, counted from 1, the header included."""

    line: int
    code: str
    message: str


@dataclass(slots=True)
class RejectionGroup:
    """All rejections with one code."""

    code: str
    count: int = 0
    examples: list[Rejection] = field(default_factory=list)


class Rejections:
    """Counts rejections by code; keeps the first few of each, so memory stays bounded however bad a file is."""

    def __init__(self) -> None:
        self._groups: dict[str, RejectionGroup] = {}

    def add(self, rejection: Rejection) -> None:
        group = self._groups.setdefault(rejection.code, RejectionGroup(rejection.code))
        group.count += 1
        if len(group.examples) < EXAMPLES:
            group.examples.append(rejection)

    @property
    def total(self) -> int:
        return sum(group.count for group in self._groups.values())

    def __iter__(self) -> Iterator[RejectionGroup]:
        """Yield the groups, largest first."""
        return iter(sorted(self._groups.values(), key=lambda group: (-group.count, group.code)))
