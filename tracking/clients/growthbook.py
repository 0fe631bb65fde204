"""GrowthBook's ingestion: `POST /track`, what the tracking plugin of its SDKs sends; exposures and events of one's own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from experiments.clients.growthbook import bearing
from experiments.core.bodies import plain_body
from experiments.core.protocol import ApiError, ClientRequest, Reply, json_reply, wants_no_trace
from experiments.selectors import live
from tracking import services
from tracking.core.events import ALIAS, EXPOSURE

MAX_BODY_BYTES = 1024 * 1024
SOURCE = "growthbook"
VIEWED = frozenset({"Experiment Viewed", "$$experiment_viewed"})
USED = frozenset(
    {"Feature Evaluated", "$$feature_evaluated"}
)  # one for every use of a feature: much noise, no information
EVENTS = 1_000


def handle_track(request: ClientRequest, *, now_us: int) -> Reply:
    """Take events in and answer 200; what is no object is left out and counted.

    Raises: ApiError 400, 401 or 413.
    """
    key = request.query.get("client_key") or request.query.get("clientKey") or ""
    grant = live.authenticate(bearing(request, key) if key else request)
    try:
        document = json.loads(plain_body(request, limit_bytes=MAX_BODY_BYTES).decode())
    except (ValueError, RecursionError) as error:
        raise ApiError(
            400, "malformed_json", f"The body is not JSON: {str(error)[:200]}.", "Send a JSON list."
        ) from None
    items = document.get("events") if isinstance(document, dict) else document
    if not isinstance(items, list):
        raise ApiError(400, "batch_malformed", "The body holds no list of events.", "Send a JSON list of events.")
    if len(items) > EVENTS:
        raise ApiError(413, "too_many_events", f"The request has {len(items):,} events.", f"Send at most {EVENTS:,}.")
    events = [event for item in items if isinstance(item, dict) for event in _events(item)]
    dropped = sum(not isinstance(item, dict) for item in items)
    if events and wants_no_trace(request) and not grant.is_server:
        services.note_no_trace(site=grant.site, source=SOURCE, events=len(events))
        events = []
    if events:
        services.ingest(
            site=grant.site,
            events=events,
            now_us=now_us,
            retention_days=grant.retention_days,
            source=SOURCE,
            user_agent=request.headers.get("user-agent", ""),
        )
    return json_reply({"status": 200, "accepted": len(events), "unreadable": dropped})


def _events(item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    name = _text(item.get("event_name"))
    properties = _object(item.get("properties_json")) or _object(item.get("properties"))
    attributes = {**_object(item.get("context_json")), **_object(item.get("attributes"))}
    user = _text(item.get("user_id")) or _text(attributes.get("user_id"))
    device = _text(item.get("device_id")) or _text(attributes.get("device_id"))
    if name in VIEWED:
        visitor = _text(properties.get("hashValue")) or _text(properties.get("hash_value")) or user or device
        experiment = _text(properties.get("experimentId")) or _text(properties.get("experiment_id"))
        variant = _text(properties.get("variation_key")) or _text(
            properties.get("variationId", properties.get("variation_id"))
        )
        if visitor and experiment and variant:
            yield {
                "name": EXPOSURE,
                "visitor_id": visitor,
                "properties": {"experiment": experiment, "variant": variant},
            }
            # Events of the visitor's own may carry only the other ids.
            for other in {user, device} - {visitor, ""}:
                known = {"user": user} if user in (visitor, other) else {}
                yield {"name": ALIAS, "visitor_id": visitor, "properties": {"alias": other, **known}}
        return
    visitor = _text(attributes.get("id")) or user or device
    if not name or name in USED or not visitor:
        return
    event: dict[str, Any] = {"name": name, "visitor_id": visitor, "properties": properties}
    value = properties.get("value", properties.get("revenue"))
    if isinstance(value, int | float) and not isinstance(value, bool):
        event["value"] = float(value)
    yield event


def _text(value: object) -> str:
    return str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _object(value: object) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}
