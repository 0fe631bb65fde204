"""The browser client itself: `/ab.js`, which moves with every version, and `/ab.<hash>.js`, which never changes.

It is built from tracking/browser/ by `make browser`; the source is there to be read.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from experiments.core.protocol import ApiError, ClientRequest, Reply

BUILT = Path(__file__).resolve().parent.parent / "static" / "tracking" / "ab.js"
MOVING = "/ab.js"
AN_HOUR = "public, max-age=3600, stale-while-revalidate=86400"
FOR_GOOD = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Script:
    """The built client. `address` is the one that never changes; `integrity` what a page may ask the browser to check."""

    body: bytes
    packed: bytes
    address: str
    integrity: str


@lru_cache(maxsize=1)
def script() -> Script:
    body = BUILT.read_bytes()
    short = hashlib.sha256(body).hexdigest()[:12]
    integrity = base64.b64encode(hashlib.sha384(body).digest()).decode()
    return Script(body, gzip.compress(body, mtime=0), f"/ab.{short}.js", f"sha384-{integrity}")


def handle_script(request: ClientRequest, *, now_us: int) -> Reply:
    """Answer with the client.

    Raises: ApiError 404 for the address of another version.
    """
    found = script()
    if request.path not in (MOVING, found.address):
        raise ApiError(
            404,
            "unknown_version",
            f"There is no browser client at {request.path[:60]}.",
            f"The present one is at {found.address}, and whatever is present at {MOVING}.",
        )
    headers = {
        "Cache-Control": AN_HOUR if request.path == MOVING else FOR_GOOD,
        "Vary": "Accept-Encoding",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Access-Control-Allow-Origin": "*",
    }
    kind = "text/javascript; charset=utf-8"
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Reply(200, found.packed, kind, {**headers, "Content-Encoding": "gzip"})
    return Reply(200, found.body, kind, headers)
