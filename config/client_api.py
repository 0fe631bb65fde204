"""The client API's hot addresses, answered the same way by the fast front and by Django's views."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.views.decorators.csrf import csrf_exempt

from config.telemetry import note_reply
from experiments.clients import browser, growthbook, ofrep
from experiments.clients.native import MAX_BODY_BYTES as MAX_ASSIGNMENT_BYTES
from experiments.clients.native import handle_assignments
from experiments.core.bodies import too_large
from experiments.core.protocol import ApiError, ClientRequest, Reply, error_reply
from experiments.selectors import live
from tracking.clients import browser as browser_client
from tracking.clients import growthbook as growthbook_events
from tracking.clients import segment
from tracking.clients.native import MAX_BODY_BYTES as MAX_EVENTS_BYTES
from tracking.clients.native import handle_event_count, handle_events, handle_exposure_count
from tracking.services import note_refused, record_exposures

logger = logging.getLogger(__name__)

PREFLIGHT_SECONDS = 7200
# Beside our own, those that Segment's and RudderStack's clients send.
ALLOWED_HEADERS = (
    "authorization, content-type, content-encoding, if-none-match, x-api-key, x-retry-count, anonymousid, sentat"
)

Handler = Callable[[ClientRequest, int], Reply]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one address. `for_browsers`: pages of other origins may call it; `refuse` puts a refusal into the protocol's form.

    Units: `max_body_bytes` as sent, before unpacking.
    """

    handler: Handler
    max_body_bytes: int = 0
    for_browsers: bool = True
    refuse: Callable[[ApiError], ApiError] = lambda error: error


def _assignments(request: ClientRequest, now_us: int) -> Reply:
    return handle_assignments(request, now_us=now_us, record_exposures=record_exposures)


def _events(request: ClientRequest, now_us: int) -> Reply:
    return handle_events(request, now_us=now_us)


def _event_count(request: ClientRequest, now_us: int) -> Reply:
    return handle_event_count(request, now_us=now_us)


def _exposure_count(request: ClientRequest, now_us: int) -> Reply:
    return handle_exposure_count(request, now_us=now_us)


def _messages(request: ClientRequest, now_us: int) -> Reply:
    return segment.handle_messages(request, now_us=now_us)


def _segment_settings(request: ClientRequest, now_us: int) -> Reply:
    return segment.handle_settings(request, now_us=now_us)


def _browser(request: ClientRequest, now_us: int) -> Reply:
    return browser.handle_browser(request, now_us=now_us)


def _script(request: ClientRequest, now_us: int) -> Reply:
    return browser_client.handle_script(request, now_us=now_us)


def _features(request: ClientRequest, now_us: int) -> Reply:
    return growthbook.handle_features(request, now_us=now_us)


def _evaluate(request: ClientRequest, now_us: int) -> Reply:
    return growthbook.handle_eval(request, now_us=now_us)


def _subscription(request: ClientRequest, now_us: int) -> Reply:
    host = request.headers.get("host", "localhost").rpartition(":")[0] or request.headers.get("host", "localhost")
    address = settings.STREAM_URL or f"http://{host}:{settings.STREAM_PORT}"
    return growthbook.handle_subscription(request, now_us=now_us, stream_address=address)


def _track(request: ClientRequest, now_us: int) -> Reply:
    return growthbook_events.handle_track(request, now_us=now_us)


def _flag(request: ClientRequest, now_us: int) -> Reply:
    return ofrep.handle_flag(request, now_us=now_us, record_exposures=record_exposures)


def _flags(request: ClientRequest, now_us: int) -> Reply:
    return ofrep.handle_flags(request, now_us=now_us)


_MESSAGES: Mapping[str, Route] = {"POST": Route(_messages, segment.MAX_BODY_BYTES, refuse=segment.SegmentError.of)}
_SEGMENT_SETTINGS: Mapping[str, Route] = {"GET": Route(_segment_settings)}

ROUTES: Mapping[str, Mapping[str, Route]] = {
    "/api/v1/assignments": {"POST": Route(_assignments, MAX_ASSIGNMENT_BYTES)},
    "/api/v1/events": {"POST": Route(_events, MAX_EVENTS_BYTES)},
    "/api/v1/events/count": {"GET": Route(_event_count, for_browsers=False)},
    "/api/v1/exposures/count": {"GET": Route(_exposure_count, for_browsers=False)},
    browser_client.MOVING: {"GET": Route(_script, for_browsers=False)},
    "/track": {"POST": Route(_track, growthbook_events.MAX_BODY_BYTES)},
    ofrep.ADDRESS: {"POST": Route(_flags, ofrep.MAX_BODY_BYTES, refuse=ofrep.OfrepError.of)},
    **{f"/v1/{name}": _MESSAGES for name in (*segment.TYPES, *segment.LETTERS, *segment.BATCHES)},
}
# Addresses that hold a key, by what they begin and end with.
PATTERNS: tuple[tuple[str, str, Mapping[str, Route]], ...] = (
    ("/v1/projects/", "/settings", _SEGMENT_SETTINGS),
    ("/api/browser/", "", {"GET": Route(_browser)}),
    ("/ab.", ".js", {"GET": Route(_script, for_browsers=False)}),
    ("/api/features/", "", {"GET": Route(_features)}),
    (growthbook.SUBSCRIBE, "", {"GET": Route(_subscription)}),
    ("/api/eval/", "", {"POST": Route(_evaluate, growthbook.MAX_BODY_BYTES)}),
    (f"{ofrep.ADDRESS}/", "", {"POST": Route(_flag, ofrep.MAX_BODY_BYTES, refuse=ofrep.OfrepError.of)}),
)


def find(address: str) -> Mapping[str, Route] | None:
    """Return the methods of an address, or None when it is not one of ours. A slash at the end makes no difference."""
    # A base address that ends in a slash makes two of them.
    plain = re.sub("/{2,}", "/", address).removesuffix("/")
    return ROUTES.get(address) or ROUTES.get(plain) or _by_pattern(plain)


def _by_pattern(address: str) -> Mapping[str, Route] | None:
    for start, end, methods in PATTERNS:
        middle = address.removeprefix(start).removesuffix(end)
        if address.startswith(start) and address.endswith(end) and middle and "/" not in middle:
            return methods
    return None


def body_limit(methods: Mapping[str, Route], method: str) -> int:
    """Return how many bytes of body are read for a request, at most."""
    route = methods.get(method)
    return route.max_body_bytes if route is not None else 0


def answer(
    methods: Mapping[str, Route],
    *,
    method: str,
    address: str,
    headers: Mapping[str, str],
    query: str,
    body: bytes | ApiError,
) -> Reply:
    """Answer one request; whatever happens there is a reply, and no stack trace in it.

    `body` is an ApiError when it could not be read.
    """
    route = methods.get("GET" if method == "HEAD" else method)
    if route is None:
        if method == "OPTIONS":
            return _preflight(methods, headers)
        return _finish(_not_allowed(methods, method), headers, for_browsers=_any_for_browsers(methods))
    live.key_in_use.set(None)
    try:
        if isinstance(body, ApiError):
            raise body
        if len(body) > route.max_body_bytes > 0:
            raise too_large(route.max_body_bytes)
        request = ClientRequest(method, address, headers, read_query(query), body)
        reply = route.handler(request, time.time_ns() // 1000)
    except ApiError as error:
        reply = error_reply(route.refuse(error))
        if route.for_browsers or error.status == 401:
            note_refused(address, error)
    except Exception:
        logger.exception("%s %s failed.", method, address)
        failed = ApiError(500, "internal_error", "Something went wrong on our side.", "Try again; the log says more.")
        reply = error_reply(route.refuse(failed))
    note_reply(address, reply.status, reply.body)
    return _finish(reply, headers, for_browsers=route.for_browsers)


def read_query(query: str) -> dict[str, str]:
    """Return the last value of each parameter.

    Raises: ApiError 400 for more than 50 parameters.
    """
    if not query:
        return {}
    try:
        return dict(parse_qsl(query, keep_blank_values=True, max_num_fields=50))
    except ValueError:
        raise ApiError(
            400, "query_malformed", "The query of the address cannot be read.", "Send at most 50 parameters."
        ) from None


def _preflight(methods: Mapping[str, Route], headers: Mapping[str, str]) -> Reply:
    allowed = _allowed(methods)
    if not headers.get("origin") or not _any_for_browsers(methods):
        return Reply(204, b"", headers={"Allow": allowed})
    return Reply(
        204,
        b"",
        headers={
            "Allow": allowed,
            "Access-Control-Allow-Methods": allowed,
            "Access-Control-Allow-Headers": ALLOWED_HEADERS,
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
            **_cross_origin(headers["origin"]),
        },
    )


def _finish(reply: Reply, headers: Mapping[str, str], *, for_browsers: bool) -> Reply:
    extra = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    origin = headers.get("origin")
    if origin and for_browsers:
        # Errors carry them too, or a page's developer would see only "network error" and never our advice. Which origins
        # may really call is checked against the key, which a preflight does not carry.
        extra |= _cross_origin(origin)
    return Reply(reply.status, reply.body, reply.content_type, {**extra, **reply.headers})


def _cross_origin(origin: str) -> dict[str, str]:
    # sendBeacon always asks for credentials; no cookie is ever read at these addresses.
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "ETag, Retry-After, x-sse-support",
        "Vary": "Origin",
    }


def _any_for_browsers(methods: Mapping[str, Route]) -> bool:
    return any(route.for_browsers for route in methods.values())


def _allowed(methods: Mapping[str, Route]) -> str:
    return ", ".join([*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"])


def _not_allowed(methods: Mapping[str, Route], method: str) -> Reply:
    allowed = _allowed(methods)
    error = ApiError(
        405, "method_not_allowed", f"{method[:20]} is not possible at this address.", f"Use one of {allowed}."
    )
    reply = error_reply(error)
    return Reply(reply.status, reply.body, reply.content_type, {**reply.headers, "Allow": allowed})


@csrf_exempt
def client_view(request: HttpRequest, **_: Any) -> HttpResponse:
    """Answer one of ROUTES as a Django view."""
    methods = find(request.path_info)
    if methods is None:
        raise LookupError(f"{request.path_info} is routed to the client API and is not in ROUTES.")
    method = request.method or "GET"
    headers = {name.lower(): value for name, value in request.headers.items()}
    limit = body_limit(methods, method)
    body: bytes | ApiError = request.read(limit + 1) if limit else b""
    reply = answer(
        methods,
        method=method,
        address=request.path_info,
        headers=headers,
        query=request.META.get("QUERY_STRING", ""),
        body=body,
    )
    return HttpResponse(
        b"" if method == "HEAD" else reply.body,
        status=reply.status,
        content_type=reply.content_type,
        headers=dict(reply.headers),
    )


_ADDRESSES = (*ROUTES, *(f"{start}<str:key>{end}" for start, end, _ in PATTERNS))
urlpatterns: list[URLPattern] = [
    path(f"{address.removeprefix('/')}{slash}", client_view) for slash in ("", "/") for address in _ADDRESSES
]
