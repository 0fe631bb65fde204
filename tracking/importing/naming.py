"""Keys for what a file names: variants such as `No E-Mail` and events such as `Add to cart`."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

LONGEST = 100
_NOT_IN_A_KEY = re.compile(r"[^A-Za-z0-9._-]+")


def key_from(name: str) -> str:
    """Return the key for a name: letters keep their case, accents are dropped, each run of anything else becomes a hyphen.

    `No E-Mail` becomes `No-E-Mail`. A name without a single usable letter or digit gets a key made from its hash, so it
    is the same on every machine and in every order.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    key = _NOT_IN_A_KEY.sub("-", plain).lstrip("._-").rstrip("-")
    if not key or len(key) > LONGEST:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        key = f"{key[: LONGEST - 9]}-{digest}" if key else f"n-{digest}"
    return key


def keys_from(names: Iterable[str]) -> dict[str, str]:
    """Return a different key for each name. Where two names make the same key, each but the first gets its hash appended."""
    keys: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(set(names)):
        key = key_from(name)
        if key in taken:
            key = f"{key[: LONGEST - 9]}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
        taken.add(key)
        keys[name] = key
    return keys
