"""Client requests and replies as plain values, so that one handler serves both the fast front and Django's views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec


class ApiError(Exception):
    """A refusal that a client can act on.

    `code` is for machines, `message` says what is wrong with the value, `advice` what to do instead.
    """

    def __init__(self, status: int, code: str, message: str, advice: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.advice = advice

    def to_document(self) -> dict[str, Any]:
        return {"error": {"code": self.code, "message": self.message, "advice": self.advice}}


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """One request as a client sent it. `headers` has lower-case names; `query` the last value of each parameter."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes


def wants_no_trace(request: ClientRequest) -> bool:
    """Say whether the visitor's browser asks not to be tracked (Global Privacy Control) and the page does not say that he agreed.

    `consent=1` in the address is the page's word that he did. Source: the Sec-GPC header as browsers send it.
    """
    return request.headers.get("sec-gpc") == "1" and request.query.get("consent") != "1"


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back to the client."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_reply(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status=status, body=msgspec.json.encode(document), headers=headers or {})


def error_reply(error: ApiError) -> Reply:
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    return json_reply(error.to_document(), status=error.status, headers=headers)
