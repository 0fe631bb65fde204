"""The Segment HTTP API: what Segment's, RudderStack's and compatible libraries send, taken in as our own events.

Source: Segment, "HTTP Tracking API" and "A/B testing" specifications; the forms of its clients as they are on the wire.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from experiments.core.bodies import plain_body
from experiments.core.protocol import ApiError, ClientRequest, Reply, json_reply, wants_no_trace
from experiments.selectors import live
from tracking import services
from tracking.core.events import ALIAS, EXPOSURE
from tracking.core.timestamps import parse_time

MAX_BODY_BYTES = 5 * 1024 * 1024
MAX_ITEMS = 2_500
SOURCE = "segment"

TYPES = ("track", "identify", "page", "screen", "group", "alias")
LETTERS = {name[0]: name for name in TYPES}
BATCHES = ("batch", "import", "b")
EXPOSURE_NAMES = frozenset({"experiment viewed", "$experiment_started"})
VALUES = ("revenue", "value", "total", "price")
EXPERIMENT_FIELDS = ("experiment_id", "experimentId", "experiment_name", "experimentName")
VARIANT_FIELDS = ("variation_id", "variationId", "variant_id", "variation_name", "variationName")


@dataclass(frozen=True, slots=True)
class Sender:
    """When the message was sent and when it arrived, by their own clocks. Units: microseconds since 1970 UTC."""

    sent_at: int | None
    now: int


def handle_messages(request: ClientRequest, *, now_us: int) -> Reply:
    """Take one message or a batch in, and answer exactly 200 once what was accepted is durable.

    Items that cannot be read are left out and never sink the others.

    Raises: SegmentError 400, 401, 403 or 413 for a request that cannot be judged, 503 when nothing could be stored.
    """
    try:
        return _handle(request, now_us)
    except ApiError as error:
        raise SegmentError.of(error) from None


class SegmentError(ApiError):
    """A refusal in the words that Segment's clients read; in another form they send again and again."""

    @classmethod
    def of(cls, error: ApiError) -> SegmentError:
        if isinstance(error, SegmentError):
            return error
        return cls(error.status, error.code, error.message, error.advice)

    def to_document(self) -> dict[str, Any]:
        return {"success": False, "code": self.code, "message": f"{self} {self.advice}"}


def _handle(request: ClientRequest, now_us: int) -> Reply:
    kind = request.path.rstrip("/").rpartition("/")[2]
    # Whatever the content type says, the body is JSON: browsers send text/plain, RudderStack's Node client a form.
    document = _read(plain_body(request, limit_bytes=MAX_BODY_BYTES))
    grant = live.authenticate(_with_key(request, document))
    items = _items(kind, document)
    sent = document.get("sentAt")
    events = [event for item in items for event in _events(item, Sender(_time(item.get("sentAt") or sent), now_us))]
    if events and wants_no_trace(request) and not grant.is_server:
        services.note_no_trace(site=grant.site, source=SOURCE, events=len(events))
    elif events:
        services.ingest(
            site=grant.site,
            events=events,
            now_us=now_us,
            retention_days=grant.retention_days,
            source=SOURCE,
            user_agent=request.headers.get("user-agent", ""),
        )
    return json_reply({"success": True})


def handle_settings(request: ClientRequest, *, now_us: int) -> Reply:
    """Answer what analytics.js asks for when it starts with our address as its CDN.

    Raises: ApiError 401 for an unknown key.
    """
    key = request.path.split("/projects/", 1)[1].split("/", 1)[0]
    live.authenticate(_bearing(request, key))
    host = request.headers.get("host", "")
    return json_reply(
        {
            "integrations": {
                "Segment.io": {
                    "apiKey": key,
                    "apiHost": f"{host}/v1",
                    "unbundledIntegrations": [],
                    "addBundledMetadata": True,
                    "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
                }
            },
            "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
            "edgeFunction": {},
            "metrics": {"sampleRate": 0},
            "remotePlugins": [],
        }
    )


def _read(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise ApiError(
            400, "malformed_json", f"The body is not JSON: {str(error)[:200]}.", "Send a JSON object."
        ) from None
    if not isinstance(document, dict):
        raise ApiError(
            400, "not_an_object", f"The body is a JSON {type(document).__name__}, not an object.", "Send a JSON object."
        )
    return document


def _with_key(request: ClientRequest, document: Mapping[str, Any]) -> ClientRequest:
    """Return the request with its key where our own clients put it; it may stand in four places."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            return _bearing(request, base64.b64decode(token, validate=True).decode().partition(":")[0])
        except (binascii.Error, UnicodeDecodeError):
            raise ApiError(
                401,
                "authorization_malformed",
                "The Authorization header is no Basic one.",
                "Send the write key as user.",
            ) from None
    if scheme:
        return request
    found = request.query.get("writeKey") or document.get("writeKey") or request.query.get("key")
    return _bearing(request, str(found)) if found else request


def _bearing(request: ClientRequest, key: str) -> ClientRequest:
    headers = {name: request.headers[name] for name in ("origin", "host") if request.headers.get(name)}
    return replace(request, headers={**headers, "authorization": f"Bearer {key}"})


def _items(kind: str, document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the messages, each with its type; what is no object is left out.

    Raises: ApiError 400 for a batch without a list, 413 for one with too many messages.
    """
    if kind not in BATCHES:
        return [{**document, "type": LETTERS.get(kind, kind)}]
    batch = document.get("batch")
    if not isinstance(batch, list):
        raise ApiError(400, "batch_malformed", "`batch` is missing or not a list.", 'Send {"batch": [...]}.')
    if len(batch) > MAX_ITEMS:
        raise ApiError(
            413,
            "too_many_events",
            f"The batch has {len(batch):,} items; the most is {MAX_ITEMS:,}.",
            "Send smaller ones.",
        )
    shared = document.get("context")
    context = shared if isinstance(shared, dict) else {}
    return [
        {**item, "context": {**context, **_object(item.get("context"))}} for item in batch if isinstance(item, dict)
    ]


def _events(item: Mapping[str, Any], sender: Sender) -> Iterator[dict[str, Any]]:
    """Return our events of one message: what was done, and which ids belong to one visitor."""
    user, device = _text(item.get("userId")), _text(item.get("anonymousId"))
    kind = _text(item.get("type"))
    visitor = user or device
    if kind not in TYPES or not visitor:
        return
    message = _text(item.get("messageId"))[:100]
    time = _moment(item, sender)
    previous = _text(item.get("previousId")) if kind == "alias" else ""
    for other, mark in ((device if user else "", "d"), (previous, "p")):
        if other and other != visitor:
            # The user id names a known user, the other one a device; who becomes a user by `alias` is one as well.
            known = {"user": user} if user else {}
            yield _event(ALIAS, visitor, time, f"{message}:{mark}" if message else "", {"alias": other, **known})
    properties = _object(item.get("properties"))
    if kind == "track":
        name = _text(item.get("event"))
        if name.lower() in EXPOSURE_NAMES:
            experiment, variant = _first(properties, EXPERIMENT_FIELDS), _first(properties, VARIANT_FIELDS)
            if experiment and variant:
                yield _event(EXPOSURE, visitor, time, message, {"experiment": experiment, "variant": variant})
        elif name:
            yield {**_event(name, visitor, time, message, properties), **_value(properties), **_context(item)}
    elif kind in ("page", "screen"):
        known = {"name": name} if (name := _text(item.get("name"))) else {}
        yield {**_event(kind, visitor, time, message, {**properties, **known}), **_context(item)}


def _event(name: str, visitor: str, time: str, event_id: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    found = {"name": name, "visitor_id": visitor, "timestamp": time, "properties": dict(properties)}
    return {**found, "event_id": event_id} if event_id else found


def _value(properties: Mapping[str, Any]) -> dict[str, float]:
    for field in VALUES:
        value = properties.get(field)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return {"value": float(value)}
    return {}


def _context(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what our own events carry as context: device, page and campaign, and no address of a person's network."""
    context = _object(item.get("context"))
    page, campaign = _object(context.get("page")), _object(context.get("campaign"))
    found = {
        "page": _text(page.get("path")),
        "referrer": _text(page.get("referrer")),
        "utm_source": _text(campaign.get("source")),
        "utm_medium": _text(campaign.get("medium")),
        "utm_campaign": _text(campaign.get("name")),
        "locale": _text(context.get("locale")),
    }
    known = {name: value for name, value in found.items() if value}
    return {"context": known} if known else {}


def _moment(item: Mapping[str, Any], sender: Sender) -> str:
    """Return when it happened, by our clock: as long before its arrival as before its sending; never in the future."""
    stated = _time(item.get("originalTimestamp") or item.get("timestamp"))
    if stated is None:
        return _iso(sender.now)
    if sender.sent_at is not None:
        return _iso(min(sender.now - (sender.sent_at - stated), sender.now))
    return _iso(min(stated, sender.now))


def _time(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return parse_time(value)
    except (ValueError, OverflowError):
        return None


def _iso(time_us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)).isoformat()


def _text(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return ""
    return str(value).strip() if isinstance(value, str | int | float) else ""


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _first(properties: Mapping[str, Any], fields: tuple[str, ...]) -> str:
    return next((text for field in fields if (text := _text(properties.get(field)))), "")
