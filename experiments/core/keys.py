"""API keys as text: how one is made and how it is recognised without being stored."""

from __future__ import annotations

import hashlib
import secrets
from enum import StrEnum

PREFIX_LENGTH = 16


class KeyKind(StrEnum):
    """A client key is public (assign, send events); a server key is secret and may also read results."""

    CLIENT = "client"
    SERVER = "server"


def new_token(kind: KeyKind) -> str:
    """Return a fresh key of 192 random bits, such as `ink_client_...`, whose beginning says what it is."""
    return f"ink_{kind}_{secrets.token_urlsafe(24)}"


def hash_token(token: str) -> str:
    """Return the sha256 of a key in hex; a key of 192 random bits needs no salt and no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()
