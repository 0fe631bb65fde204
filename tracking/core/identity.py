"""Which identities are one visitor, worked out from `$alias` events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MAX_LINKS = 50


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """A statement that two identities are one visitor. Units: `time` in microseconds since 1970 UTC."""

    time: int
    event_id: str
    visitor_id: str
    alias: str


@dataclass(frozen=True, slots=True)
class Identities:
    """The result: each linked id with the id that stands for its group.

    `ignored` counts the links left out because one of their ids already had `MAX_LINKS` (a shared device, a test account).
    """

    representative: Mapping[str, str] = field(default_factory=dict)
    ignored: int = 0

    def of(self, visitor_id: str) -> str:
        return self.representative.get(visitor_id, visitor_id)

    def group(self, visitor_id: str) -> frozenset[str]:
        """Return every id of this visitor, the given one included."""
        stands = self.of(visitor_id)
        return frozenset({visitor_id, stands} | {one for one, other in self.representative.items() if other == stands})


def resolve(links: Iterable[Link], *, max_links: int = MAX_LINKS) -> Identities:
    """Join identities by union-find.

    The same links give the same groups in whatever order they are passed: they are taken by time, then by event id. The
    id that stands for a group is its smallest. A link that would give one id more than `max_links` partners is ignored.
    """
    parent: dict[str, str] = {}
    partners: dict[str, set[str]] = {}
    ignored = 0

    def find(one: str) -> str:
        root = one
        while parent[root] != root:
            root = parent[root]
        while parent[one] != root:
            parent[one], one = root, parent[one]
        return root

    for link in sorted(links):
        first, second = link.visitor_id, link.alias
        if first == second or second in partners.get(first, ()):
            continue
        if any(len(partners.get(one, ())) >= max_links for one in (first, second)):
            ignored += 1
            continue
        for one, other in ((first, second), (second, first)):
            partners.setdefault(one, set()).add(other)
            parent.setdefault(one, one)
        roots = sorted((find(first), find(second)))
        parent[roots[1]] = roots[0]
    return Identities({one: find(one) for one in parent}, ignored)
