"""The reference store: everything in a dict, every answer by looking at every event. Slow, and right by looking at it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any, TypeGuard
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from experiments.core.metrics import MOST_DAYS, Aggregate, Column
from tracking.core.days import local_date
from tracking.core.events import ALIAS, EXPOSURE, ROBOT, Event
from tracking.core.history import HistoryRequest, VisitorHistory
from tracking.core.identity import Identities, Link, resolve
from tracking.core.timestamps import DAY_US, HOUR_US, MINUTE_US, day_from_iso, day_number, hours_to_us
from tracking.core.totals import (
    ROBOT_EVENTS_A_MINUTE,
    DailyExposures,
    EventNameSummary,
    ExposureCounts,
    PropertySummary,
    TotalsRequest,
    TraitValues,
    VisitorTotals,
)

# Time, variant and visitor id of an exposure.
Met = tuple[int, str, str]


class MemoryStore:
    """Events of this process only; for tests and as the oracle of the other stores."""

    def __init__(self) -> None:
        self._events: dict[tuple[str, int, str], Event] = {}

    def load(self, site: str, events: Iterable[Event]) -> int:
        new = 0
        for event in events:
            key = (site, day_number(event.time), event.event_id)
            if key not in self._events:
                self._events[key] = event
                new += 1
        return new

    def count_events(self, *, site: str, event: str | None = None, visitor: str | None = None) -> int:
        identities = self._identities(site)
        return sum(
            (event is None or one.name == event)
            and (visitor is None or identities.of(one.visitor_id) == identities.of(visitor))
            for one in self._of(site)
        )

    def count_exposures(
        self, *, site: str, experiment: str, visitor: str | None = None, variant: str | None = None
    ) -> int:
        identities = self._identities(site)
        pairs = {
            (identities.of(one.visitor_id), one.properties["variant"])
            for one in self._of(site)
            if one.name == EXPOSURE
            and one.properties["experiment"] == experiment
            and (variant is None or one.properties["variant"] == variant)
        }
        return sum(visitor is None or who == identities.of(visitor) for who, _ in pairs)

    def exposure_counts(self, request: TotalsRequest) -> ExposureCounts:
        identities = self._identities(request.site, request.as_of)
        everybody = self._exposures(request, identities)
        planned = set(request.variants)
        robots = self._robots(request, identities)
        found = Counter(
            first[1] for who, met in everybody.items() if who in robots and (first := _first(met, planned)) is not None
        )
        exposures = everybody if request.with_robots else {k: v for k, v in everybody.items() if k not in robots}
        firsts = {who: first for who, met in exposures.items() if (first := _first(met, planned)) is not None}
        seen = {who: {variant for _, variant, _ in met} for who, met in exposures.items()}
        times = [time for met in exposures.values() for time, variant, _ in met if variant in planned]
        groups = Counter(identities.representative.values())
        visitors = Counter(variant for _, variant, _ in firsts.values())
        unknown = Counter(variant for variants in seen.values() for variant in variants - planned)
        return ExposureCounts(
            visitors={key: visitors[key] for key in request.variants},
            in_several_variants=sum(len(variants & planned) > 1 for variants in seen.values()),
            conflicting=sum(bool(variants - planned) for variants in seen.values()),
            only_conflicting=sum(not variants & planned for variants in seen.values()),
            linked_identities=sum(groups[who] > 1 for who in exposures),
            daily=_daily([(time, variant) for time, variant, _ in firsts.values()], request),
            first_exposure=min(times, default=None),
            last_exposure=max(times, default=None),
            last_event=max((one.time for one in self._of(request.site) if one.time <= request.as_of), default=None),
            unknown_variants=dict(sorted(unknown.items())),
            links_ignored=identities.ignored,
            users_kept_apart=identities.kept_apart,
            robots={key: found[key] for key in request.variants if found[key]},
        )

    def visitor_totals(self, request: TotalsRequest) -> VisitorTotals:
        identities = self._identities(request.site, request.as_of)
        exposures = self._exposures(request, identities)
        if not request.with_robots:
            robots = self._robots(request, identities)
            exposures = {who: met for who, met in exposures.items() if who not in robots}
        firsts = {
            who: first for who, met in exposures.items() if (first := _first(met, set(request.variants))) is not None
        }
        events = self._by_visitor(request.site, identities, request.as_of)
        mine = [(_as_known_at(first, own, events[who]), first) for who, (first, _, own) in firsts.items()]
        return VisitorTotals(
            variants=request.variants,
            variant=np.array([request.variants.index(variant) for _, variant, _ in firsts.values()], dtype=np.int8),
            first_exposure=np.array([time for time, _, _ in firsts.values()], dtype=np.int64),
            columns=_columns(request.columns, mine),
            traits={
                key: _coded([_trait(key, theirs, first, request) for theirs, first in mine]) for key in request.traits
            },
            seen_before=np.array(
                [any(one.time < first for one in _earlier(theirs, first, request)) for theirs, first in mine],
                dtype=np.bool_,
            )
            if request.lookback_hours
            else None,
        )

    def visitor_history(self, request: HistoryRequest) -> VisitorHistory:
        events = self._by_visitor(request.site, self._identities(request.site, request.as_of), request.as_of)
        visits = {
            who: [
                (one.time, one.visitor_id)
                for one in theirs
                if request.since <= one.time < request.until
                and (one.name != ALIAS if request.entry is None else one.name == request.entry)
            ]
            for who, theirs in events.items()
        }
        firsts = {who: min(times) for who, times in visits.items() if times}
        mine = [(_as_known_at(first, own, events[who]), first) for who, (first, own) in firsts.items()]
        return VisitorHistory(
            first_seen=np.array([time for time, _ in firsts.values()], dtype=np.int64),
            columns=_columns(request.columns, mine),
        )

    def event_names(self, *, site: str) -> Sequence[EventNameSummary]:
        identities = self._identities(site)
        by_name: dict[str, list[Event]] = defaultdict(list)
        for one in self._of(site):
            by_name[one.name].append(one)
        summaries = [
            EventNameSummary(
                name,
                len(events),
                len({identities.of(one.visitor_id) for one in events}),
                min(one.time for one in events),
                max(one.time for one in events),
                tuple(sorted({one.source for one in events} - {""})),
            )
            for name, events in by_name.items()
        ]
        return sorted(summaries, key=lambda summary: (-summary.events, summary.name))

    def event_properties(self, *, site: str, since: int | None = None) -> Sequence[PropertySummary]:
        sums = Counter(
            (one.name, key, _kind_of(value))
            for one in self._of(site)
            if since is None or one.time >= since
            for key, value in one.properties.items()
        )
        return [PropertySummary(*key, count) for key, count in sorted(sums.items())]

    def erase_visitor(self, *, site: str, visitor: str) -> int:
        group = self._identities(site).group(visitor)
        gone = [
            key
            for key, one in self._events.items()
            if key[0] == site
            and (one.visitor_id in group or (one.name == ALIAS and one.properties.get("alias") in group))
        ]
        for key in gone:
            del self._events[key]
        return len(gone)

    def drop_before(self, *, site: str, day: str) -> int:
        gone = [key for key in self._events if key[0] == site and key[1] < day_from_iso(day)]
        for key in gone:
            del self._events[key]
        return len(gone)

    def _of(self, site: str) -> Iterator[Event]:
        return (event for key, event in self._events.items() if key[0] == site)

    def _by_visitor(self, site: str, identities: Identities, as_of: int) -> dict[str, list[Event]]:
        events: dict[str, list[Event]] = defaultdict(list)
        for one in self._of(site):
            if one.time <= as_of:
                events[identities.of(one.visitor_id)].append(one)
        return events

    def _identities(self, site: str, as_of: int | None = None) -> Identities:
        return resolve(
            Link(one.time, one.event_id, one.visitor_id, one.properties["alias"], one.properties.get("user") or "")
            for one in self._of(site)
            if one.name == ALIAS and (as_of is None or one.time <= as_of)
        )

    def _robots(self, request: TotalsRequest, identities: Identities) -> set[str]:
        """Return the visitors that are taken for robots, from all that they did up to `as_of`."""
        found: set[str] = set()
        minutes: Counter[tuple[str, int]] = Counter()
        for one in self._of(request.site):
            if one.time > request.as_of:
                continue
            who = identities.of(one.visitor_id)
            minutes[who, one.time // MINUTE_US] += 1
            if one.source.startswith(ROBOT):
                found.add(who)
        return found | {who for (who, _), count in minutes.items() if count > ROBOT_EVENTS_A_MINUTE}

    def _exposures(self, request: TotalsRequest, identities: Identities) -> dict[str, list[Met]]:
        """Return each visitor's exposures that the request takes in."""
        found: dict[str, list[Met]] = defaultdict(list)
        for one in self._of(request.site):
            if (
                one.name == EXPOSURE
                and one.properties["experiment"] == request.experiment
                and one.time <= request.as_of
                and (request.since is None or one.time >= request.since)
                and (request.until is None or one.time < request.until)
            ):
                found[identities.of(one.visitor_id)].append((one.time, one.properties["variant"], one.visitor_id))
        return found


def _first(met: list[Met], planned: set[str]) -> Met | None:
    return min((one for one in met if one[1] in planned), default=None)


def _as_known_at(first: int, own: str, events: list[Event]) -> list[Event]:
    """Return the events without those that were somebody else's at the time."""
    return [one for one in events if one.time >= first or one.visitor_id == own]


def _columns(columns: Sequence[Column], mine: list[tuple[list[Event], int]]) -> dict[str, NDArray[np.float64]]:
    return {
        column.name: np.array([_number(column, theirs, first) for theirs, first in mine], dtype=np.float64)
        for column in columns
    }


def _number(column: Column, events: list[Event], first: int) -> float:
    start = first + hours_to_us(column.start_hours)
    end = None if column.end_hours is None else first + hours_to_us(column.end_hours)
    counted = [
        one
        for one in events
        if one.name == column.event
        and one.time >= start
        and (end is None or one.time < end)
        and all(test.holds(one.properties) for test in column.where)
    ]
    if column.aggregate is Aggregate.COUNT:
        return float(len(counted))
    if column.aggregate is Aggregate.SUM:
        return sum(_amount(column, one) for one in counted)
    if column.aggregate is Aggregate.DAYS:
        return float(sum(1 << day for day in {(one.time - start) // DAY_US for one in counted} if day < MOST_DAYS))
    return min(((one.time - first) / HOUR_US for one in counted), default=float("nan"))


def _earlier(events: list[Event], first: int, request: TotalsRequest) -> list[Event]:
    begin = first - hours_to_us(request.lookback_hours)
    return [one for one in events if begin <= one.time <= first and one.name != ALIAS]


def _trait(key: str, events: list[Event], first: int, request: TotalsRequest) -> str:
    texts = ((one.time, one.context.get(key)) for one in _earlier(events, first, request))
    return max(((time, value) for time, value in texts if isinstance(value, str) and value), default=(0, ""))[1]


def _coded(values: list[str]) -> TraitValues:
    labels = tuple(sorted({value for value in values if value}))
    place = {label: code for code, label in enumerate(labels)}
    return TraitValues(labels, np.array([place.get(value, -1) for value in values], dtype=np.int32))


def _amount(column: Column, event: Event) -> float:
    if column.value_property is None:
        return event.value or 0.0
    value = event.properties.get(column.value_property)
    return float(value) if _is_number(value) else 0.0


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _daily(firsts: list[tuple[int, str]], request: TotalsRequest) -> DailyExposures:
    zone = ZoneInfo(request.time_zone)
    counts = Counter((local_date(time, zone), variant) for time, variant in firsts)
    if not counts:
        return DailyExposures((), ())
    first: date = min(day for day, _ in counts)
    last: date = max(day for day, _ in counts)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return DailyExposures(
        tuple(day.isoformat() for day in days),
        tuple(tuple(counts[day, variant] for variant in request.variants) for day in days),
    )


def _kind_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "list" if isinstance(value, list) else "object"
