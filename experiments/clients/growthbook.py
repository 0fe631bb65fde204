"""GrowthBook's SDK endpoint: `GET /api/features/<client key>`, the rules that its SDKs evaluate locally."""

from __future__ import annotations

from collections.abc import Mapping

from experiments.core.payload import Payload, payload_of
from experiments.core.protocol import ApiError, ClientRequest, Reply, json_reply
from experiments.core.ruleset import Ruleset
from experiments.selectors import live

CACHE = "public, max-age=30, stale-while-revalidate=3600, stale-if-error=36000"
_EMPTY = payload_of(Ruleset("", 0))


def handle_features(request: ClientRequest, *, now_us: int) -> Reply:
    """Answer with the payload, packed where the client reads that, or 304 when it has it.

    An unknown key is answered 400 as the SDKs expect it; they keep what they have.
    """
    key = request.path.rstrip("/").rpartition("/")[2]
    try:
        grant = live.authenticate(bearing(request, key))
    except ApiError as error:
        return json_reply({"status": 400, "error": "Invalid API Key", "code": error.code}, status=400)
    ruleset = live.ruleset(grant.site)
    payload = ruleset.payload if ruleset is not None else _EMPTY
    headers = {"ETag": payload.etag, "Cache-Control": CACHE, "Vary": "Accept-Encoding"}
    if matches(request.headers.get("if-none-match", ""), payload.etag):
        return Reply(304, b"", headers=headers)
    return _packed(payload, request.headers, headers)


def _packed(payload: Payload, sent: Mapping[str, str], headers: dict[str, str]) -> Reply:
    if "gzip" in sent.get("accept-encoding", ""):
        return Reply(200, payload.packed, headers={**headers, "Content-Encoding": "gzip"})
    return Reply(200, payload.body, headers=headers)


def bearing(request: ClientRequest, key: str) -> ClientRequest:
    """Return the request with its key as a bearer token, wherever the protocol puts it."""
    headers = {name: value for name in ("origin", "host") if (value := request.headers.get(name))}
    return ClientRequest(request.method, request.path, {**headers, "authorization": f"Bearer {key}"}, {}, request.body)


def matches(asked: str, etag: str) -> bool:
    """Say whether an If-None-Match names this tag, weak or strong, alone or in a list."""
    return any(one.strip().removeprefix("W/") in (etag, "*") for one in asked.split(",") if one.strip())
