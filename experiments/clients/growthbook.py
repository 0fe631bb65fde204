"""GrowthBook's SDK endpoints: `GET /api/features/<client key>`, the rules that its SDKs evaluate locally, and
`POST /api/eval/<client key>`, the same evaluated here for SDKs that shall not see the rules.

Source: GrowthBook, SDK endpoint and remote evaluation as its SDKs call them. Checked against: the Python SDK, both ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from experiments.core.bodies import plain_body
from experiments.core.bots import declares_bot
from experiments.core.features import ExperimentResult, Features, Visit
from experiments.core.payload import Payload, payload_of
from experiments.core.protocol import ApiError, ClientRequest, Reply, json_reply
from experiments.core.ruleset import Ruleset
from experiments.selectors import live

CACHE = "public, max-age=30, stale-while-revalidate=3600, stale-if-error=36000"
SUBSCRIBE = "/sub/"
MAX_BODY_BYTES = 64 * 1024
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
    if grant.streams:
        headers["x-sse-support"] = "enabled"
    if matches(request.headers.get("if-none-match", ""), payload.etag):
        return Reply(304, b"", headers=headers)
    return _packed(payload, request.headers, headers)


def handle_eval(request: ClientRequest, *, now_us: int) -> Reply:
    """Answer with every feature reduced to the visitor's value, and what to track once it is used. No exposure is recorded here.

    Raises: ApiError 400 or 413 for a body that cannot be read. An unknown key is answered as `handle_features` does.
    """
    key = request.path.rstrip("/").rpartition("/")[2]
    try:
        grant = live.authenticate(bearing(request, key))
    except ApiError as error:
        return json_reply({"status": 400, "error": "Invalid API Key", "code": error.code}, status=400)
    document = _document(plain_body(request, limit_bytes=MAX_BODY_BYTES))
    ruleset = live.ruleset(grant.site)
    features: dict[str, Any] = {}
    if ruleset is not None:
        agent = request.headers.get("user-agent")
        visit = Visit(
            attributes=_object(document, "attributes"),
            url=str(document.get("url") or ""),
            forced_variations={
                name: index for name, index in _object(document, "forcedVariations").items() if type(index) is int
            },
            is_enabled=not (isinstance(agent, str) and declares_bot(agent)),
        )
        features = {name: _evaluated(ruleset.features, name, visit) for name in ruleset.features.keys}
        for name, value in _forced_features(document):
            if name in features:
                features[name] = {"defaultValue": value, "rules": []}
    return json_reply({"status": 200, "features": features, "experiments": [], "savedGroups": {}})


def _evaluated(features: Features, name: str, visit: Visit) -> dict[str, Any]:
    found, exposures = features.evaluate(name, visit)
    if found.source == "defaultValue":
        return {"defaultValue": found.value, "rules": []}
    rule: dict[str, Any] = {"id": found.rule_id, "force": found.value}
    if found.experiment is not None and found.result is not None and exposures:
        rule["tracks"] = [{"experiment": _shown(found.experiment, found.result), "result": _result(found.result)}]
    return {"defaultValue": found.value, "rules": [rule]}


def _shown(experiment: Mapping[str, Any], result: ExperimentResult) -> dict[str, Any]:
    """Return the experiment without its audience and without what other visitors get."""
    variations = [result.value if n == result.variation_id else {} for n in range(len(experiment["variations"]))]
    hidden = ("condition", "filters", "variations")
    return {**{k: v for k, v in experiment.items() if k not in hidden}, "variations": variations}


def _result(result: ExperimentResult) -> dict[str, Any]:
    return {
        "key": result.key,
        "variationId": result.variation_id,
        "value": result.value,
        "inExperiment": result.in_experiment,
        "hashUsed": result.hash_used,
        "hashAttribute": result.hash_attribute,
        "hashValue": result.hash_value,
        "featureId": result.feature_id,
        "bucket": result.bucket,
        "name": result.name,
    }


def _document(body: bytes) -> dict[str, Any]:
    example = 'Send {"attributes": {"id": "..."}}.'
    try:
        document = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, "malformed_json", f"The body is not JSON: {error}.", example) from None
    if not isinstance(document, dict):
        raise ApiError(400, "not_an_object", f"The body is a JSON {type(document).__name__}.", example)
    return document


def _object(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name) or {}
    if not isinstance(value, dict):
        raise ApiError(400, f"{name}_malformed", f"`{name}` is a {type(value).__name__}.", "Send an object.")
    return value


def _forced_features(document: Mapping[str, Any]) -> list[tuple[str, Any]]:
    pairs = document.get("forcedFeatures") or []
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs
    ):
        raise ApiError(
            400,
            "forcedFeatures_malformed",
            "`forcedFeatures` is no list of pairs.",
            'Send pairs of a feature and its value: [["button", true]].',
        )
    return [(name, value) for name, value in pairs]


def handle_subscription(request: ClientRequest, *, now_us: int, stream_address: str) -> Reply:
    """Send a listener to the process that keeps connections open.

    Raises: ApiError 401 or 403 as for every key; 404 for one that does not stream.
    """
    key = request.path.rstrip("/").rpartition("/")[2]
    if not live.authenticate(bearing(request, key)).streams:
        raise ApiError(
            404,
            "not_streaming",
            "This key does not stream.",
            "Tick it on the key's page in the admin, and start Inkling again.",
        )
    return Reply(307, b"", headers={"Location": f"{stream_address}{SUBSCRIBE}{key}", "Cache-Control": "no-store"})


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
