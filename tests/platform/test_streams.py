"""Notices of new rules to listening SDKs: who may listen, what is said, and when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from config import streams
from config.client_api import answer, find
from experiments.clients.growthbook import handle_features
from experiments.models import ApiKey
from experiments.selectors import live
from experiments.selectors.sites import has_streams
from tests.experiments.live_site import LiveSite, make_site, publish, request, rule

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveSite]:
    live.forget()
    made = make_site()
    publish(made.site, 1, rule("button"))
    monkeypatch.setattr(streams, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(live, "start", lambda: None)  # each question reads the test's own database
    monkeypatch.setattr(streams, "_version", lambda site: versions[site])
    versions["shop"] = 1
    yield made
    live.forget()


versions: dict[str, int] = {}


def listen(path: str, *, leave_after: float, changes: tuple[float, ...] = (), method: str = "GET") -> tuple[int, str]:
    """Connect, let versions change at these moments, leave; return status and what was said."""
    said: list[dict[str, Any]] = []

    async def play() -> None:
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            said.append(dict(message))

        async def world() -> None:
            for moment in changes:
                await asyncio.sleep(moment)
                versions["shop"] += 1
            await asyncio.sleep(leave_after)
            gone.set()

        scope = {"type": "http", "path": path, "method": method}
        await asyncio.gather(streams.application(scope, receive, send), world())

    asyncio.run(play())
    body = b"".join(one.get("body", b"") for one in said if one["type"] == "http.response.body")
    return said[0]["status"], body.decode()


def allow(shop: LiveSite) -> None:
    ApiKey.objects.filter(pk=shop.client_row.pk).update(streams=True)
    live.forget()


def test_listener__of_a_key_that_streams__hears_of_each_new_version(shop: LiveSite) -> None:
    allow(shop)
    status, said = listen(f"/sub/{shop.client_key}", leave_after=0.1, changes=(0.1, 0.1))
    assert status == 200
    assert said.startswith("retry: 10000\n\n")
    assert said.count("event: features-updated\ndata:\n\n") == 2


def test_listener__nothing_new__hears_a_heartbeat_and_is_sent_home_in_the_end(
    shop: LiveSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(shop)
    monkeypatch.setattr(streams, "BEAT_SECONDS", 0.04)
    monkeypatch.setattr(streams, "LASTS_SECONDS", 0.2)
    status, said = listen(f"/sub/{shop.client_key}/", leave_after=1.0)
    assert status == 200 and 2 <= said.count(": still here") <= 6 and "features-updated" not in said


@pytest.mark.parametrize("path", ["/sub/nobody", "/sub/", "/", "/sub/{key}"])
def test_listener__of_any_other_address__is_told_the_end(shop: LiveSite, path: str) -> None:
    status, said = listen(path.format(key=shop.client_key), leave_after=0.01)
    assert status == 404 and "streams" in said


def test_payload_and_main_address__of_a_key_that_streams__show_the_way(shop: LiveSite, settings: Any) -> None:
    def ask(address: str) -> Any:
        methods = find(address)
        assert methods is not None
        return answer(methods, method="GET", address=address, headers={"host": "ab.example:8000"}, query="", body=b"")

    features = request(b"", method="GET", path=f"/api/features/{shop.client_key}")
    assert "x-sse-support" not in handle_features(features, now_us=0).headers
    assert ask(f"/sub/{shop.client_key}").status == 404 and not has_streams()
    allow(shop)
    assert handle_features(features, now_us=0).headers["x-sse-support"] == "enabled" and has_streams()
    reply = ask(f"/sub/{shop.client_key}")
    assert (reply.status, reply.headers["Location"]) == (
        307,
        f"http://ab.example:{settings.STREAM_PORT}/sub/{shop.client_key}",
    )
    settings.STREAM_URL = "https://streams.example"
    assert ask(f"/sub/{shop.client_key}").headers["Location"].startswith("https://streams.example/sub/")
    assert ask("/sub/nobody").status == 401


def test_lifespan__start_and_end__are_answered() -> None:
    said: list[str] = []
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: Any) -> None:
        said.append(message["type"])

    asyncio.run(streams.application({"type": "lifespan"}, receive, send))
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
