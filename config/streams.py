"""Notices of new rules, as server-sent events: `GET /sub/<key>` for keys that stream. A process of its own, because each listener stays for minutes.

    granian --interface=asgi config.streams:application

GrowthBook's SDKs listen here and fetch the rules again, with their ETag, whenever a notice says that they changed.
Source: GrowthBook's SDK protocol (`/sub`), and the HTML standard for server-sent events.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

# These read models, which exist only now that Django is set up.
from experiments.clients.growthbook import SUBSCRIBE  # noqa: E402
from experiments.core.protocol import ApiError, ClientRequest  # noqa: E402
from experiments.selectors import live  # noqa: E402

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LOOK_SECONDS = 1.0
BEAT_SECONDS = 20.0  # proxies close what is silent for a minute
LASTS_SECONDS = 300.0  # then the client comes again by itself, perhaps to another process
COME_AGAIN_MS = 10_000
HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
    (b"access-control-allow-origin", b"*"),
]


async def application(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer one connection."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "http":
        await _answer(scope, receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _answer(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    live.start()
    path = str(scope["path"]).rstrip("/")
    key = path.removeprefix(SUBSCRIBE)
    grant = await asyncio.to_thread(_grant, key) if path.startswith(SUBSCRIBE) and scope["method"] == "GET" else None
    if grant is None or not grant.streams:
        # Clients take any such answer for the end and do not come again.
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-type", b"text/plain")]})
        await send(
            {
                "type": "http.response.body",
                "body": b"Nothing streams here. A key streams when its page in the admin says so.\n",
            }
        )
        return
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    gone = asyncio.create_task(_disconnected(receive))
    try:
        await _notify(grant.site, gone, send)
    finally:
        gone.cancel()


def _grant(key: str) -> live.KeyGrant | None:
    try:
        return live.authenticate(ClientRequest("GET", "", {"authorization": f"Bearer {key}"}, {}, b""))
    except ApiError:
        return None


async def _notify(site: str, gone: asyncio.Task[None], send: Send) -> None:
    await _say(send, f"retry: {COME_AGAIN_MS}\n\n")
    version, silent, lasted = _version(site), 0.0, 0.0
    while lasted < LASTS_SECONDS and not gone.done():
        await asyncio.wait({gone}, timeout=LOOK_SECONDS)
        lasted, silent = lasted + LOOK_SECONDS, silent + LOOK_SECONDS
        if _version(site) != version:
            version, silent = _version(site), 0.0
            await _say(send, "event: features-updated\ndata:\n\n")
        elif silent >= BEAT_SECONDS:
            silent = 0.0
            await _say(send, ": still here\n\n")
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _version(site: str) -> int:
    ruleset = live.ruleset(site)
    return ruleset.version if ruleset is not None else 0


async def _say(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
