"""Judging a batch of events: each one is accepted, a duplicate, or refused with a reason. Nothing here does I/O."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeGuard

import msgspec

from tracking.core.events import ALIAS, EXPOSURE, Event
from tracking.core.refusals import (
    FUTURE_SECONDS,
    MAX_DEPTH,
    MAX_EVENT_ID,
    MAX_NAME,
    MAX_PROPERTIES_BYTES,
    MAX_SESSION_ID,
    MAX_VISITOR_ID,
    Plain,
    Refusal,
    Rejection,
)
from tracking.core.timestamps import DAY_US, SECOND_US, day_number, iso_day, parse_time

RESERVED = frozenset({EXPOSURE, ALIAS})


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a batch; `duplicates` were seen before and change nothing.

    `ids` are the (day number, id) of accepted events whose id the sender chose, and which can therefore come again.
    """

    accepted: tuple[Event, ...]
    duplicates: int
    rejected: tuple[Rejection, ...]
    ids: frozenset[tuple[int, str]] = frozenset()

    def to_document(self) -> dict[str, Any]:
        return {
            "accepted": len(self.accepted),
            "duplicates": self.duplicates,
            "rejected": [rejection.to_document() for rejection in self.rejected],
        }


class Incoming(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An event as a client sends it, its types checked and nothing else."""

    name: str | None = None
    visitor_id: str | None = None
    event_id: str | None = None
    timestamp: str | int | float | None = None
    session_id: str | None = None
    value: float | None = None
    properties: dict[str, Any] | None = None
    context: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(Incoming).decode
_FIELDS = frozenset(Incoming.__struct_fields__)


def judge(
    events: Iterable[object],
    *,
    now_us: int,
    id_prefix: str,
    sent_at_us: int | None = None,
    retention_days: int | None = None,
    source: str = "",
    already_seen: Container[tuple[int, str]] = (),
) -> Judgement:
    """Judge events one by one.

    `events` are `Incoming`s, JSON texts of them (`msgspec.Raw`), dicts of the same shape, or `Event`s whose time is known
    already. An event without an id gets `id_prefix` plus its place in the batch, so the prefix must be new for every
    batch. The sender's clock is corrected: every sent timestamp moves by `now_us - sent_at_us`. An event is a duplicate
    when the batch holds its id for the same UTC day before it, or `already_seen` holds that (day number, id); the exact
    check against everything stored is made when events enter the store.

    Units: times in microseconds since 1970 UTC; `retention_days=None` takes events of any age.
    """
    skew = 0 if sent_at_us is None else now_us - sent_at_us
    latest = now_us + FUTURE_SECONDS * SECOND_US
    earliest = None if retention_days is None else (day_number(now_us) - retention_days) * DAY_US
    accepted: list[Event] = []
    rejected: list[Rejection] = []
    duplicates = 0
    here: set[tuple[int, str]] = set()
    oldest = 0 if earliest is None or earliest < 0 else earliest
    for index, raw in enumerate(events):
        try:
            if type(raw) is Incoming:
                own_id = raw.event_id
                event = _event(raw, now_us, skew, f"{id_prefix}{index:x}", source)
            elif isinstance(raw, Event):
                event, own_id = raw, raw.event_id
                _check_event(event)
            else:
                incoming = _incoming(raw)
                own_id = incoming.event_id
                event = _event(incoming, now_us, skew, f"{id_prefix}{index:x}", source)
            time = event.time
            if time > latest:
                raise Refusal("event_in_future", Plain(_ahead(time - now_us)))
            if time < oldest:
                raise Refusal("event_too_old", Plain(_date(time)))
        except Refusal as refusal:
            rejected.append(refusal.rejection(index))
            continue
        if own_id is not None:
            key = (time // DAY_US, own_id)
            if key in here or key in already_seen:
                duplicates += 1
                continue
            here.add(key)
        accepted.append(event)
    return Judgement(tuple(accepted), duplicates, tuple(rejected), frozenset(here))


def _incoming(raw: object) -> Incoming:
    if not isinstance(raw, msgspec.Raw):
        return _typed(raw)
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The quick reader says no without our codes; the patient one says why, and takes what it can.
        return _typed(_parse(bytes(raw)))


def _event(incoming: Incoming, now_us: int, skew: int, fresh_id: str, source: str) -> Event:
    """Return the event, quickly where it is plainly within every rule, and by the patient checks where it is not."""
    properties, context = incoming.properties or {}, incoming.context or {}
    if properties and not _is_small_and_flat(properties):
        _check_tree("properties", properties)
        _check_size("properties", properties)
    if context and not _is_small_and_flat(context):
        _check_tree("context", context)
        _check_size("context", context)
    name, visitor_id, session_id = incoming.name, incoming.visitor_id, incoming.session_id or ""
    if name is None or name not in _seen_names:
        name = _check_name(name)
        # "$" is looked at anew each time, because what may follow it depends on the properties.
        if name[0] != "$" and len(_seen_names) < _MOST_SEEN_NAMES:
            _seen_names.add(name)
    if not (visitor_id and len(visitor_id) <= MAX_VISITOR_ID and visitor_id.isprintable() and visitor_id[0] != " "):
        visitor_id = _check_visitor(visitor_id)
    if session_id and not (len(session_id) <= MAX_SESSION_ID and session_id.isprintable()):
        session_id = _check_session(session_id)
    event_id = fresh_id
    if incoming.event_id is not None:
        event_id = incoming.event_id
        if not (event_id and len(event_id) <= MAX_EVENT_ID and event_id.isprintable() and event_id[0] != " "):
            event_id = _check_event_id(event_id)
    time = now_us
    if incoming.timestamp is not None:
        try:
            time = parse_time(incoming.timestamp) + skew
        except (ValueError, OverflowError):
            raise Refusal("timestamp_malformed", incoming.timestamp) from None
    value = incoming.value
    if value is not None and not isfinite(value):
        raise Refusal("value_not_a_number", value)
    if name[0] == "$":
        _check_reserved(name, visitor_id, properties)
    return Event(
        event_id=event_id,
        name=name,
        visitor_id=visitor_id,
        time=time,
        received=now_us,
        session_id=session_id,
        value=value,
        properties=properties,
        context=context,
        source=source,
    )


# Names that have passed every rule: a site sends the same few again and again.
_seen_names: set[str] = set()
_MOST_SEEN_NAMES = 10_000


def _is_plain(text: str | None, longest: int) -> TypeGuard[str]:
    """Tell quickly that a text is within every rule; most are. False means that it must be looked at closely."""
    return text is not None and text[:1] not in " $" and len(text) <= longest and text.isprintable()


def _is_small_and_flat(tree: dict[str, Any]) -> bool:
    """Tell quickly that a tree is within every limit; most are. False means that it must be looked at closely."""
    if len(tree) > 32:
        return False
    size = 0
    for key, value in tree.items():
        kind = type(value)
        if kind is str:
            size += len(value)
        elif kind is int:
            if not -(2**63) < value < 2**63:
                return False
        elif kind not in _SCALARS:
            return False
        size += len(key) + 8
    return size * 6 < MAX_PROPERTIES_BYTES  # no character takes more than six bytes of JSON


_SCALARS = frozenset({float, bool, type(None)})


def _check_event(event: Event) -> None:
    """Hold an event that was built by our own code to the same rules."""
    if not (
        _is_plain(event.name, MAX_NAME)
        and _is_plain(event.visitor_id, MAX_VISITOR_ID)
        and _is_plain(event.event_id, MAX_EVENT_ID)
        and (not event.session_id or _is_plain(event.session_id, MAX_SESSION_ID))
        and (event.value is None or isfinite(event.value))
        and not event.properties
        and (not event.context or _has_plain_texts(event.context))
    ):
        _check_event_closely(event)


def _has_plain_texts(tree: dict[str, Any]) -> bool:
    return _is_small_and_flat(tree) and all(
        isinstance(value, str) and value.isprintable() and key.isprintable() for key, value in tree.items()
    )


def _check_event_closely(event: Event) -> None:
    _typed(
        {
            "name": event.name,
            "visitor_id": event.visitor_id,
            "event_id": event.event_id,
            "session_id": event.session_id,
            "value": event.value,
            "properties": event.properties,
            "context": event.context,
        }
    )
    _check_name(event.name)
    _check_visitor(event.visitor_id)
    _check_event_id(event.event_id)
    _check_session(event.session_id)
    if event.properties:
        _check_size("properties", event.properties)
    if event.context:
        _check_size("context", event.context)
    if event.value is not None and not isfinite(event.value):
        raise Refusal("value_not_a_number", event.value)
    if event.name in RESERVED:
        _check_reserved(event.name, event.visitor_id, event.properties)


def _parse(text: bytes) -> object:
    try:
        return json.loads(text.decode())
    except (ValueError, RecursionError):
        raise Refusal("event_malformed") from None


def _typed(raw: object) -> Incoming:
    """Check the types by hand, so that each mistake has its own code."""
    if not isinstance(raw, dict):
        raise Refusal("event_not_an_object", raw)
    for key in raw:
        if key not in _FIELDS:
            raise Refusal("unknown_field", key)
    for field in ("name", "visitor_id", "event_id", "session_id"):
        value = raw.get(field)
        if value is not None and not (isinstance(value, str) and _is_well_formed(value)):
            raise Refusal(f"{field}_malformed", value)
    timestamp = raw.get("timestamp")
    if isinstance(timestamp, bool) or not isinstance(timestamp, str | int | float | None):
        raise Refusal("timestamp_malformed", timestamp)
    value = raw.get("value")
    if value is not None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refusal("value_not_a_number", value)
        try:
            value = float(value)
        except OverflowError:
            raise Refusal("value_not_a_number", value) from None
    for field in ("properties", "context"):
        if raw.get(field) is not None and not isinstance(raw[field], dict):
            raise Refusal("properties_not_an_object", raw[field], field)
        _check_tree(field, raw.get(field))
    return Incoming(**{**raw, "value": value})


def _is_well_formed(text: str) -> bool:
    """Tell whether the text survives UTF-8: half of a surrogate pair does not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_tree(field: str, tree: object, depth: int = 1) -> None:
    """Refuse what is nested too deep and what JSON cannot carry, wherever it hides."""
    if tree is None or isinstance(tree, bool):
        return
    if isinstance(tree, str):
        if not _is_well_formed(tree):
            raise Refusal("properties_malformed", tree, field)
    elif isinstance(tree, int | float):
        if not (isinstance(tree, int) or isfinite(tree)):
            raise Refusal("properties_malformed", tree, field)
    elif isinstance(tree, dict | list | tuple):
        if depth > MAX_DEPTH:
            raise Refusal("properties_too_deep", field=field)
        for key, value in tree.items() if isinstance(tree, dict) else (("", item) for item in tree):
            if not (isinstance(key, str) and _is_well_formed(key)):
                raise Refusal("properties_malformed", key, field)
            _check_tree(field, value, depth + 1)
    else:
        raise Refusal("properties_malformed", tree, field)


def _check_size(field: str, tree: dict[str, Any]) -> None:
    size = len(msgspec.json.encode(tree)) if tree else 2
    if size > MAX_PROPERTIES_BYTES:
        raise Refusal("properties_too_large", size, field)


def _check_name(name: str | None) -> str:
    if name is None or not name.strip():
        raise Refusal("name_missing")
    if "\0" in name:
        raise Refusal("name_malformed", name)
    if len(name) > MAX_NAME:
        raise Refusal("name_too_long", name)
    if name[0] == "$" and name not in RESERVED:
        raise Refusal("reserved_name", name)
    return name


def _check_visitor(visitor_id: str | None) -> str:
    if visitor_id is None or not visitor_id.strip():
        raise Refusal("visitor_id_missing")
    if "\0" in visitor_id:
        raise Refusal("visitor_id_malformed", visitor_id)
    if len(visitor_id) > MAX_VISITOR_ID:
        raise Refusal("visitor_id_too_long", visitor_id)
    return visitor_id


def _check_event_id(event_id: str) -> str:
    if not event_id.strip() or "\0" in event_id:
        raise Refusal("event_id_malformed", event_id)
    if len(event_id) > MAX_EVENT_ID:
        raise Refusal("event_id_too_long", event_id)
    return event_id


def _check_session(session_id: str) -> str:
    if "\0" in session_id:
        raise Refusal("session_id_malformed", session_id)
    if len(session_id) > MAX_SESSION_ID:
        raise Refusal("session_id_too_long", session_id)
    return session_id


def _check_reserved(name: str, visitor_id: str, properties: dict[str, Any]) -> None:
    if name == EXPOSURE:
        for field in ("experiment", "variant"):
            if not _is_key(properties.get(field), MAX_NAME):
                raise Refusal(f"exposure_without_{field}", properties.get(field))
        return
    alias = properties.get("alias")
    if not _is_key(alias, MAX_VISITOR_ID):
        raise Refusal("alias_missing", alias)
    if alias == visitor_id:
        raise Refusal("alias_of_itself", alias)
    user = properties.get("user")
    if user is not None and user not in (visitor_id, alias):
        raise Refusal("alias_user_unknown", user)


def _is_key(value: object, longest: int) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "\0" not in value and len(value) <= longest


def _ahead(distance_us: int) -> str:
    minutes = distance_us // (60 * SECOND_US)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} days"


def _date(time_us: int) -> str:
    try:
        return iso_day(day_number(time_us))
    except OverflowError:
        return "before the calendar begins"
