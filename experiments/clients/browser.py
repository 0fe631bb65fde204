"""What our browser client loads: `GET /api/browser/<client key>`, the rules of a site and the recipes that it asked for."""

from __future__ import annotations

import gzip
import hashlib
from functools import lru_cache

import msgspec

from experiments.clients.growthbook import CACHE, bearing, matches
from experiments.core.payload import Payload
from experiments.core.protocol import ClientRequest, Reply
from experiments.selectors import live


def handle_browser(request: ClientRequest, *, now_us: int) -> Reply:
    """Answer with the document, packed where the client reads that, or 304 when it has it.

    Raises: ApiError 401 for a key that is unknown, 403 for a server key in a page or an origin that the site does not allow.
    """
    key = request.path.rstrip("/").rpartition("/")[2]
    grant = live.authenticate(bearing(request, key))
    found = browser_document(grant)
    headers = {"ETag": found.etag, "Cache-Control": CACHE, "Vary": "Accept-Encoding, Origin"}
    if matches(request.headers.get("if-none-match", ""), found.etag):
        return Reply(304, b"", headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Reply(200, found.packed, headers={**headers, "Content-Encoding": "gzip"})
    return Reply(200, found.body, headers=headers)


def browser_document(grant: live.KeyGrant) -> Payload:
    """Return what the browser client of a site evaluates, as it is sent."""
    ruleset = live.ruleset(grant.site)
    return _document(ruleset.browser if ruleset is not None else b"{}", msgspec.json.encode(grant.autocapture))


@lru_cache(maxsize=256)
def _document(features: bytes, auto: bytes) -> Payload:
    """Return the document of a site as it is sent; made once per version."""
    body = b'{"auto":' + auto + b',"features":' + features + b"}"
    return Payload(body, gzip.compress(body, mtime=0), f'"{hashlib.sha256(body).hexdigest()[:32]}"')
