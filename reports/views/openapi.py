"""The OpenAPI document: what Django REST framework knows, and the hot addresses that it never sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.views.contract import SCHEMAS

BEARER: list[dict[str, list[str]]] = [{"clientKey": []}, {"serverKey": []}]
SERVER: list[dict[str, list[str]]] = [{"serverKey": []}]
KEY_SCHEMES: dict[str, Any] = {
    "clientKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "A client key of the site. Public: it may assign and send events, nothing else.",
    },
    "serverKey": {"type": "http", "scheme": "bearer", "description": "A server key of the site, made in the admin."},
}


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _answers(status: str, name: str, description: str, *refusals: str) -> dict[str, Any]:
    words = {
        "400": "The request cannot be read or holds a value that is not allowed.",
        "401": "No key, or one that is unknown or revoked.",
        "403": "The key may not do this, or the page's origin is not allowed.",
        "413": "Too large.",
        "503": "Nothing was stored; send it again.",
    }
    refused = {code: {"description": words[code], "content": _json("Error")} for code in refusals}
    return {status: {"description": description, "content": _json(name)}, **refused}


def _query(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": {"type": "string"}}


HOT_PATHS: dict[str, Any] = {
    "/api/v1/assignments": {
        "post": {
            "operationId": "assign",
            "tags": ["client"],
            "summary": "Which variant does a visitor get?",
            "description": "Answered from memory, with a reason for every experiment.",
            "security": BEARER,
            "requestBody": {"required": True, "content": _json("AssignmentRequest")},
            "responses": _answers(
                "200", "Assignments", "One assignment per experiment.", "400", "401", "403", "413", "503"
            ),
        }
    },
    "/api/v1/events": {
        "post": {
            "operationId": "send_events",
            "tags": ["client"],
            "summary": "Tell what visitors did",
            "description": "Each event is judged by itself. Once answered 202 the accepted ones survive a crash of every process.",
            "security": BEARER,
            "requestBody": {"required": True, "content": _json("EventBatch")},
            "responses": _answers(
                "202", "EventJudgement", "Judged; the accepted are durable.", "400", "401", "403", "413", "503"
            ),
        }
    },
    "/api/v1/events/count": {
        "get": {
            "operationId": "count_events",
            "tags": ["results"],
            "summary": "How many events have been accepted?",
            "security": SERVER,
            "parameters": [_query("event", "Name of the event."), _query("visitor", "Visitor id.")],
            "responses": _answers("200", "Count", "Accepted events, compacted or not.", "400", "401", "403"),
        }
    },
    "/api/v1/exposures/count": {
        "get": {
            "operationId": "count_exposures",
            "tags": ["results"],
            "summary": "How many visitors met a variant?",
            "security": SERVER,
            "parameters": [
                {**_query("experiment", "Key of the experiment."), "required": True},
                _query("visitor", "Visitor id."),
                _query("variant", "Key of the variant."),
            ],
            "responses": _answers("200", "Count", "Distinct pairs of visitor and variant.", "400", "401", "403"),
        }
    },
}


def add_contract(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Put the hot addresses and the shared schemas into the document. A postprocessing hook of drf-spectacular."""
    result["paths"] = dict(sorted({**_without_slash(result.get("paths", {})), **HOT_PATHS}.items()))
    components = result.setdefault("components", {})
    components["schemas"] = dict(sorted({**components.get("schemas", {}), **SCHEMAS}.items()))
    components["securitySchemes"] = {**components.get("securitySchemes", {}), **KEY_SCHEMES}
    return result


def _without_slash(paths: Mapping[str, Any]) -> dict[str, Any]:
    return {path.rstrip("/") or "/": operations for path, operations in paths.items()}
