"""The native client API of this app: `POST /api/v1/events` and the two counts."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec

from experiments.core.bodies import plain_body
from experiments.core.protocol import ApiError, ClientRequest, Reply, json_reply, wants_no_trace
from experiments.core.refusal import Refused
from experiments.selectors import live
from experiments.selectors.experiments import experiment_by_key
from tracking import services
from tracking.core.intake import Incoming, Judgement
from tracking.selectors import event_store

MAX_BODY_BYTES = 1024 * 1024
MAX_EVENTS = 1000
SOURCE = "native"

_EXAMPLE = 'Send {"events": [{"name": "purchase", "visitor_id": "v1"}]}.'


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    events: list[Incoming]
    sent_at: str | int | float | None = None


class _LooseBatch(msgspec.Struct, forbid_unknown_fields=True):
    events: list[msgspec.Raw]
    sent_at: str | int | float | None = None


_decode = msgspec.json.Decoder(_Batch).decode
_decode_loosely = msgspec.json.Decoder(_LooseBatch).decode
_Unreadable = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def handle_events(request: ClientRequest, *, now_us: int) -> Reply:
    """Take a batch of events in and answer 202 once the accepted ones are durable.

    Raises: ApiError 400, 401, 403, 413 or 415 for a request that cannot be judged, 503 when nothing could be stored.
    """
    grant = live.authenticate(request)
    events, sent_at = read_batch(plain_body(request, limit_bytes=MAX_BODY_BYTES))
    if wants_no_trace(request) and not grant.is_server:
        services.note_no_trace(site=grant.site, source=SOURCE, events=len(events))
        return Reply(202, _answer(Judgement((), 0, ())))
    judgement = services.ingest(
        site=grant.site,
        events=events,
        sent_at=sent_at,
        now_us=now_us,
        retention_days=grant.retention_days,
        source=SOURCE,
        # A server speaks for its visitors, and its own user agent says nothing of them.
        user_agent="" if grant.is_server else request.headers.get("user-agent", ""),
    )
    return Reply(202, _answer(judgement))


def handle_event_count(request: ClientRequest, *, now_us: int) -> Reply:
    """Count the site's events by name and visitor; it sees all that was acknowledged, compacted or not.

    Raises: ApiError 401 or 403.
    """
    grant = live.authenticate(request, needs_server=True)
    _require_known(request, ("event", "visitor"))
    query = request.query
    count = event_store().count_events(
        site=grant.site, event=query.get("event") or None, visitor=query.get("visitor") or None
    )
    return json_reply({"count": count})


def handle_exposure_count(request: ClientRequest, *, now_us: int) -> Reply:
    """Count an experiment's exposed visitors, once per variant they met.

    Raises: ApiError 400 without an experiment, 404 for one that neither exists nor was ever exposed, 401 or 403.
    """
    grant = live.authenticate(request, needs_server=True)
    _require_known(request, ("experiment", "visitor", "variant"))
    query = request.query
    experiment = query.get("experiment")
    if not experiment:
        raise ApiError(400, "experiment_missing", "The request names no experiment.", "Add ?experiment=<its key>.")
    count = event_store().count_exposures(
        site=grant.site,
        experiment=experiment,
        visitor=query.get("visitor") or None,
        variant=query.get("variant") or None,
    )
    if count == 0:
        _require_experiment(grant.site, experiment)
    return json_reply({"count": count})


def read_batch(body: bytes) -> tuple[list[Any], str | int | float | None]:
    """Return the events of a body, each still to be judged, and the sender's clock.

    Raises: ApiError 400 for what is not a batch, 413 for one with too many events.
    """
    events, sent_at = _read(body)
    if len(events) > MAX_EVENTS:
        raise ApiError(
            413,
            "too_many_events",
            f"The request has {len(events):,} events; the most is {MAX_EVENTS:,}.",
            "Send them in several requests.",
        )
    return events, sent_at


def _read(body: bytes) -> tuple[list[Any], Any]:
    """Read all events at once when every type is right; else each for itself; else with a reader that takes anything."""
    with suppress(*_Unreadable):
        batch = _decode(body)
        return batch.events, batch.sent_at
    with suppress(*_Unreadable):
        loose = _decode_loosely(body)
        return loose.events, loose.sent_at
    # Half a character or a NaN anywhere stops both; it shall cost only the event that holds it.
    return _read_patiently(body)


def _read_patiently(body: bytes) -> tuple[list[Any], Any]:
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "malformed_json", f"The body is not JSON: {str(error)[:200]}.", _EXAMPLE) from None
    if not isinstance(document, dict):
        kind = type(document).__name__
        raise ApiError(400, "batch_malformed", f"The body is a JSON {kind}, not an object.", _EXAMPLE)
    for field in document:
        if field not in ("events", "sent_at"):
            raise ApiError(400, "unknown_field", f"A batch has no field {field[:60]!a}.", _EXAMPLE)
    if not isinstance(document.get("events"), list):
        raise ApiError(400, "batch_malformed", "`events` is missing or not a list.", _EXAMPLE)
    return document["events"], document.get("sent_at")


def _answer(judgement: Judgement) -> bytes:
    return msgspec.json.encode(judgement.to_document())


def _require_known(request: ClientRequest, known: tuple[str, ...]) -> None:
    """Refuse a misspelt filter: a count without it would be a different number than was asked for."""
    for name in request.query:
        if name not in (*known, "key"):
            raise ApiError(
                400, "unknown_parameter", f"There is no parameter {name[:60]!a}.", f"Known are {', '.join(known)}."
            )


def _require_experiment(site: str, key: str) -> None:
    try:
        experiment_by_key(site, key)
    except Refused as refused:
        raise ApiError(404, refused.code, refused.message, refused.advice) from None
