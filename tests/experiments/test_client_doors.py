"""The two doors of the client API, the fast front and Django's views: both must answer alike."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import RequestFactory

from config import client_api
from config import front as front_module
from config.client_api import ROUTES, Route, client_view
from config.front import Front, read_body
from experiments.core.protocol import ApiError
from experiments.selectors import live
from tests.experiments.live_site import LiveSite, make_site, publish, rule

pytestmark = pytest.mark.django_db  # the front looks after this thread's connection at every request

ADDRESS = "/api/v1/assignments"


@pytest.fixture(autouse=True)
def connection_of_the_test_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The front would close the connection that holds the test's transaction; Django's own test client spares it too."""
    monkeypatch.setattr(front_module, "close_old_connections", lambda: None)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["error"]["code"])


Door = Callable[..., Answer]


def environ_of(method: str, address: str, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    parts = urlsplit(address)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": parts.path,
        "QUERY_STRING": parts.query,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    for name, value in headers.items():
        variable = name.upper().replace("-", "_")
        environ[
            variable if variable.startswith("CONTENT_") and variable != "CONTENT_ENCODING" else f"HTTP_{variable}"
        ] = value
    return environ


def through_front(method: str, address: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
    started: list[tuple[str, list[tuple[str, str]]]] = []
    front = Front(lambda environ, start_response: [b"django"])
    parts = front(environ_of(method, address, body, headers or {}), lambda *args: started.append(args))
    content = b"".join(parts)
    if not started:
        return Answer(0, {}, content)
    status, header_list = started[0]
    names = [name.lower() for name, _ in header_list]
    assert len(names) == len(set(names))
    return Answer(int(status.split()[0]), {name.lower(): value for name, value in header_list}, content)


def through_view(method: str, address: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
    request = RequestFactory().generic(method, address, body, content_type="application/json", headers=headers)
    response = client_view(request)
    return Answer(
        response.status_code, {name.lower(): value for name, value in response.headers.items()}, response.content
    )


@pytest.fixture(params=[through_front, through_view], ids=["front", "view"])
def door(request: pytest.FixtureRequest) -> Door:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def connection_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the connection open that holds the test's transaction, as Django's own test client does."""
    monkeypatch.setattr(front_module, "close_old_connections", lambda: None)


@pytest.fixture
def shop(db: None) -> Iterator[LiveSite]:
    live.forget()
    made = make_site(allowed_origins=["https://shop.example"])
    publish(made.site, 1, rule("button"))
    yield made
    live.forget()


def ask_body() -> bytes:
    return b'{"visitor_id": "v"}'


def test_door__good_request__answers_json_that_no_cache_keeps(door: Door, shop: LiveSite) -> None:
    answer = door("POST", ADDRESS, ask_body(), {"Authorization": f"Bearer {shop.client_key}"})
    assert answer.status == 200
    assert json.loads(answer.body)["assignments"]["button"]["in_experiment"] is True
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


def test_door__slash_at_the_end_and_key_in_the_query__makes_no_difference(door: Door, shop: LiveSite) -> None:
    assert door("POST", f"{ADDRESS}/?key={shop.client_key}", ask_body()).status == 200


def test_door__no_key__is_a_401_that_names_the_scheme(door: Door, shop: LiveSite) -> None:
    answer = door("POST", ADDRESS, ask_body())
    assert (answer.status, answer.code, answer.headers["www-authenticate"]) == (401, "key_missing", "Bearer")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
def test_door__wrong_method__is_a_405_that_lists_the_right_ones(door: Door, shop: LiveSite, method: str) -> None:
    answer = door(method, ADDRESS)
    assert (answer.status, answer.headers["allow"]) == (405, "POST, OPTIONS")
    assert answer.body == b"" if method == "HEAD" else answer.code == "method_not_allowed"


def test_door__body_over_the_limit__is_a_413_with_advice(door: Door, shop: LiveSite) -> None:
    answer = door("POST", ADDRESS, b" " * 70_000, {"Authorization": f"Bearer {shop.client_key}"})
    assert (answer.status, answer.code) == (413, "body_too_large")


def test_door__endless_query__is_a_400(door: Door, shop: LiveSite) -> None:
    answer = door("POST", f"{ADDRESS}?{'a=1&' * 60}", ask_body())
    assert (answer.status, answer.code) == (400, "query_malformed")


def test_door__handler_fails__is_a_500_without_a_trace_of_why_and_the_log_has_it(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(request: Any, now_us: int) -> Any:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(client_api, "ROUTES", {ADDRESS: {"POST": Route(broken, 100)}})
    answer = door("POST", ADDRESS, b"{}", {"Origin": "https://shop.example"})
    assert (answer.status, answer.code) == (500, "internal_error")
    assert b"secret" not in answer.body
    assert b"Traceback" not in answer.body
    assert "secret detail" in caplog.text
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"


# --- Pages of other origins ---------------------------------------------------------------------------------------------


def test_door__preflight__allows_what_our_client_sends(door: Door) -> None:
    answer = door(
        "OPTIONS",
        ADDRESS,
        headers={
            "Origin": "https://shop.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["access-control-allow-methods"] == "POST, OPTIONS"
    assert {"authorization", "content-type"} <= set(answer.headers["access-control-allow-headers"].split(", "))
    assert answer.headers["vary"] == "Origin"


def test_door__page_of_a_listed_origin__may_read_the_answer(door: Door, shop: LiveSite) -> None:
    headers = {"Authorization": f"Bearer {shop.client_key}", "Origin": "https://shop.example"}
    answer = door("POST", ADDRESS, ask_body(), headers)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "https://shop.example")


def test_door__page_of_another_origin__is_refused_and_may_read_why(door: Door, shop: LiveSite) -> None:
    headers = {"Authorization": f"Bearer {shop.client_key}", "Origin": "https://evil.example"}
    answer = door("POST", ADDRESS, ask_body(), headers)
    assert (answer.status, answer.code) == (403, "origin_not_allowed")
    assert answer.headers["access-control-allow-origin"] == "https://evil.example"


def test_door__no_page_called__no_cross_origin_headers(door: Door, shop: LiveSite) -> None:
    answer = door("POST", ADDRESS, ask_body(), {"Authorization": f"Bearer {shop.client_key}"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_door__address_for_servers_only__gives_pages_nothing(door: Door) -> None:
    answer = door("OPTIONS", "/api/v1/events/count", headers={"Origin": "https://shop.example"})
    assert answer.status == 204
    assert not [name for name in answer.headers if name.startswith("access-control")]


# --- The front alone ----------------------------------------------------------------------------------------------------


def test_front__address_that_is_not_hot__is_left_to_django() -> None:
    assert through_front("GET", "/reports/").body == b"django"
    assert through_front("GET", "/api/v1/experiments").body == b"django"


def test_front__each_request__calls_before_each_because_pages_ask_for_visitors_too() -> None:
    calls: list[int] = []
    front = Front(lambda environ, start_response: [], before_each=lambda: calls.append(1))
    front(environ_of("GET", "/demo/", b"", {}), lambda *args: None)
    front(environ_of("GET", ADDRESS, b"", {}), lambda *args: None)
    assert calls == [1, 1]


def test_front__connection_broke_while_answering__is_closed_so_that_the_next_request_opens_a_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps: list[str] = []

    def handler(request: Any, now_us: int) -> Any:
        steps.append("answer")
        raise RuntimeError("the server closed the connection")

    monkeypatch.setattr(client_api, "ROUTES", {ADDRESS: {"POST": Route(handler, 100)}})
    monkeypatch.setattr(front_module, "close_old_connections", lambda: steps.append("close"))
    assert through_front("POST", ADDRESS, b"{}").status == 500
    assert steps == ["close", "answer", "close"]


def test_routes__every_hot_address__is_there_with_its_method() -> None:
    native = {address: set(methods) for address, methods in ROUTES.items() if address.startswith("/api/v1/")}
    assert native == {
        "/api/v1/assignments": {"POST"},
        "/api/v1/events": {"POST"},
        "/api/v1/events/count": {"GET"},
        "/api/v1/exposures/count": {"GET"},
    }


class Trickle(io.BytesIO):
    """A body that arrives in small pieces, as from a slow network."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size if size is not None and size >= 0 else 3, 3))


class Broken(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        raise ConnectionResetError("the client went away")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"CONTENT_LENGTH": "10", "wsgi.input": Trickle(b"0123456789 and the next request")}, b"0123456789"),
        ({"CONTENT_LENGTH": "", "wsgi.input": Trickle(b"next request")}, b""),
        ({"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": Trickle(b"0123456789")}, b"0123456789"),
        ({"wsgi.input_terminated": True, "wsgi.input": Trickle(b"0123456789")}, b"0123456789"),
        ({"CONTENT_LENGTH": "11", "wsgi.input": Trickle(b"0123456789")}, "body_incomplete"),
        ({"CONTENT_LENGTH": "11", "wsgi.input": Broken()}, "body_incomplete"),
        ({"CONTENT_LENGTH": "21", "wsgi.input": Broken()}, "body_too_large"),
        ({"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": Trickle(b"x" * 21)}, "body_too_large"),
        ({"CONTENT_LENGTH": "-1", "wsgi.input": Broken()}, "content_length_malformed"),
        ({"CONTENT_LENGTH": "1e3", "wsgi.input": Broken()}, "content_length_malformed"),
    ],
)
def test_read_body__length_known_chunked_or_absent__is_whole_or_refused(
    environ: dict[str, Any], expected: bytes | str
) -> None:
    got = read_body(environ, 20)
    assert (got.code if isinstance(got, ApiError) else got) == expected
