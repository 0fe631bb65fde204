"""Ids of events this process accepted a moment ago, so that most repeats are recognised on arrival."""

from __future__ import annotations

from collections.abc import Iterable

_GENERATION = 20_000


class RecentIds:
    """Remembers the last 20,000 to 40,000 ids of all sites; the exact check is made when events enter the store."""

    def __init__(self) -> None:
        self._newer: set[tuple[str, int, str]] = set()
        self._older: set[tuple[str, int, str]] = set()

    def of(self, site: str) -> _OfSite:
        return _OfSite(self, site)

    def has(self, key: tuple[str, int, str]) -> bool:
        return key in self._newer or key in self._older

    def add(self, site: str, ids: Iterable[tuple[int, str]]) -> None:
        """Remember (day number, id) of events that are durable; one that is not must be free to come again."""
        # Two threads that turn the generations at once forget a little early, which costs nothing but a second look.
        self._newer.update([(site, *one) for one in ids])
        if len(self._newer) > _GENERATION:
            self._older, self._newer = self._newer, set()


class _OfSite:
    def __init__(self, recent: RecentIds, site: str) -> None:
        self._recent = recent
        self._site = site

    def __contains__(self, key: object) -> bool:
        return isinstance(key, tuple) and self._recent.has((self._site, *key))
