"""Ids of events this process accepted a moment ago, so that most repeats are recognised on arrival."""

from __future__ import annotations

from collections.abc import Collection, Container

_GENERATION = 20_000

DayAndId = tuple[int, str]


class RecentIds:
    """Remembers the last 20,000 to 40,000 ids of each site; the exact check is made when events enter the store."""

    def __init__(self) -> None:
        self._newer: dict[str, set[DayAndId]] = {}
        self._older: dict[str, set[DayAndId]] = {}

    def of(self, site: str) -> Container[DayAndId]:
        """Return what is known of a site, for asking only."""
        newer, older = self._newer.get(site), self._older.get(site)
        if older:
            return _Either(newer or set(), older)
        return newer if newer is not None else ()

    def add(self, site: str, ids: Collection[DayAndId]) -> None:
        """Remember (day number, id) of events that are durable; one that is not must be free to come again."""
        if not ids:
            return
        # Two threads that turn the generations at once forget a little early, which costs nothing but a second look.
        newer = self._newer.setdefault(site, set())
        newer.update(ids)
        if len(newer) > _GENERATION:
            self._older[site], self._newer[site] = newer, set()


class _Either:
    def __init__(self, newer: set[DayAndId], older: set[DayAndId]) -> None:
        self._newer = newer
        self._older = older

    def __contains__(self, key: object) -> bool:
        return key in self._newer or key in self._older
