"""The front: answers the client API's hot addresses itself and hands everything else to Django's handler.

Django's handler costs more than an assignment does; the code behind both doors is the same (`config.client_api`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from django.db import close_old_connections

from config.client_api import answer, body_limit, find
from experiments.core.bodies import too_large
from experiments.core.protocol import ApiError

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]

STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class Headers(Mapping[str, str]):
    """A WSGI environment seen as request headers with lower-case names, without copying it."""

    __slots__ = ("_environ",)

    def __init__(self, environ: Environ) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        value: str = self._environ[_variable(name)]
        return value

    def get(self, name: str, default: Any = None) -> Any:
        return self._environ.get(_variable(name), default)

    def __iter__(self) -> Iterator[str]:
        for variable in self._environ:
            if variable.startswith("HTTP_"):
                yield variable[5:].replace("_", "-").lower()
            elif variable in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                yield variable.replace("_", "-").lower()

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _variable(name: str) -> str:
    variable = name.upper().replace("-", "_")
    return variable if variable in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{variable}"


class Front:
    """A WSGI application before another one. `before_each` is called before each request."""

    def __init__(self, django: WsgiApp, *, before_each: Callable[[], None] = lambda: None) -> None:
        self._django = django
        self._before_each = before_each

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self._before_each()
        address = environ.get("PATH_INFO", "")
        methods = find(address)
        if methods is None:
            return self._django(environ, start_response)
        method = environ["REQUEST_METHOD"]
        # Django does this around each request of its own; without it a thread whose connection broke would keep it.
        close_old_connections()
        try:
            reply = answer(
                methods,
                method=method,
                address=address,
                headers=Headers(environ),
                query=environ.get("QUERY_STRING", ""),
                body=read_body(environ, body_limit(methods, method)),
            )
        finally:
            close_old_connections()
        start_response(
            STATUS_LINES[reply.status],
            [
                ("Content-Type", reply.content_type),
                ("Content-Length", str(len(reply.body))),
                *reply.headers.items(),
            ],
        )
        return [b"" if method == "HEAD" else reply.body]


def read_body(environ: Environ, limit_bytes: int) -> bytes | ApiError:
    """Return the request's body, or the refusal that it deserves.

    A body of known length is read to that length, and one that ends earlier is refused, so that half a batch is never
    taken for a whole one. A chunked body is read to its end or to the limit. Without either there is no body.
    """
    if not limit_bytes:
        return b""
    length_text = environ.get("CONTENT_LENGTH") or ""
    try:
        if length_text:
            if not (length_text.isascii() and length_text.isdigit()):
                return ApiError(
                    400,
                    "content_length_malformed",
                    f"Content-Length is '{length_text[:30]}', not a number of bytes.",
                    "Leave it to your HTTP library.",
                )
            length = int(length_text)
            if length > limit_bytes:
                return too_large(limit_bytes)
            body = _read(environ["wsgi.input"], length)
            return body if len(body) == length else _incomplete(len(body), length)
        if environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked" or environ.get("wsgi.input_terminated"):
            body = _read(environ["wsgi.input"], limit_bytes + 1)
            return body if len(body) <= limit_bytes else too_large(limit_bytes)
    except OSError:
        return _incomplete(None, None)
    return b""


def _read(stream: Any, size: int) -> bytes:
    parts: list[bytes] = []
    while size > 0:
        part = stream.read(size)
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _incomplete(got: int | None, expected: int | None) -> ApiError:
    detail = f" after {got:,} of {expected:,} bytes" if got is not None else ""
    return ApiError(400, "body_incomplete", f"The body ended{detail}.", "Send the request again; nothing was stored.")
