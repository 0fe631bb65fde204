"""Which identities are one visitor, worked out from `$alias` events.

Two people who use one device must not become one visitor, so an alias may say which of its two ids is a known user (`user`): what
somebody is after a login. A device belongs to the first known user it was linked to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MAX_LINKS = 50


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """A statement that two identities are one visitor; `user` is the one of them that is a known user, "" where nobody said.

    Units: `time` in microseconds since 1970 UTC.
    """

    time: int
    event_id: str
    visitor_id: str
    alias: str
    user: str = ""


@dataclass(frozen=True, slots=True)
class Identities:
    """The result: each linked id with the id that stands for its group.

    `ignored` counts the links left out because one of their ids already had `MAX_LINKS` (a shared device, a test account),
    `kept_apart` those left out because they would have joined two known users through a device.
    """

    representative: Mapping[str, str] = field(default_factory=dict)
    ignored: int = 0
    kept_apart: int = 0

    def of(self, visitor_id: str) -> str:
        return self.representative.get(visitor_id, visitor_id)

    def group(self, visitor_id: str) -> frozenset[str]:
        """Return every id of this visitor, the given one included."""
        stands = self.of(visitor_id)
        return frozenset({visitor_id, stands} | {one for one, other in self.representative.items() if other == stands})


def resolve(links: Iterable[Link], *, max_links: int = MAX_LINKS) -> Identities:
    """Join identities by union-find.

    The same links give the same groups in whatever order they are passed: they are taken by time, then by event id. The
    id that stands for a group is its smallest. A link that would give one id more than `max_links` partners is ignored, and one
    that would join two known users as well, unless it names them both: somebody who changed a user id says so.
    """
    ordered = sorted(links)
    known = {link.user for link in ordered if link.user in (link.visitor_id, link.alias)}
    parent: dict[str, str] = {}
    partners: dict[str, set[str]] = {}
    users: dict[str, set[str]] = {}  # the known users of a group, by the id that stands for it
    ignored = kept_apart = 0

    def find(one: str) -> str:
        root = one
        while parent[root] != root:
            root = parent[root]
        while parent[one] != root:
            parent[one], one = root, parent[one]
        return root

    for link in ordered:
        first, second = link.visitor_id, link.alias
        if first == second or second in partners.get(first, ()):
            continue
        if any(len(partners.get(one, ())) >= max_links for one in (first, second)):
            ignored += 1
            continue
        for one in (first, second):
            if one not in parent:
                parent[one], users[one] = one, {one} & known
        roots = sorted((find(first), find(second)))
        both = users[roots[0]] | users[roots[1]]
        is_said = first in known and second in known
        if roots[0] != roots[1] and not is_said and users[roots[0]] and users[roots[1]]:
            kept_apart += 1
            continue
        for one, other in ((first, second), (second, first)):
            partners.setdefault(one, set()).add(other)
        parent[roots[1]] = roots[0]
        users[roots[0]] = both
    return Identities({one: find(one) for one in parent}, ignored, kept_apart)
