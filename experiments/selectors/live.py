"""What a process needs to answer clients without a database: API keys and rulesets, held in memory.

A daemon thread reads what changed about every second. When the database is down the last good snapshot goes on being
served. A process that has not started the thread (a test, a command) reads the database at each question instead, so
that it always sees what is there.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from django.db import Error, connections
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from experiments.core.assign import CompiledRuleset, compile_ruleset
from experiments.core.keys import KeyKind, hash_token
from experiments.core.protocol import ApiError, ClientRequest
from experiments.core.ruleset import Ruleset
from experiments.models import ApiKey, PublishedRuleset

logger = logging.getLogger(__name__)

# The API key of the request that is being answered; None for what comes another way.
key_in_use: ContextVar[int | None] = ContextVar("key_in_use", default=None)

REFRESH_SECONDS = 1.0
NOTE_USE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class KeyGrant:
    """What one API key allows, and what a request needs to know of its site."""

    key_id: int
    kind: KeyKind
    site: str
    time_zone: str
    retention_days: int
    allowed_origins: frozenset[str]
    is_revoked: bool = False
    autocapture: Mapping[str, Any] = field(default_factory=dict)
    public_value: str = ""
    streams: bool = False

    @property
    def is_server(self) -> bool:
        return self.kind is KeyKind.SERVER


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All keys (by the hash of their text) and the newest ruleset of each site, as they stood at one moment.

    `marks` tell which version and content each site's ruleset was read from.
    """

    grants: Mapping[str, KeyGrant] = field(default_factory=dict)
    rulesets: Mapping[str, CompiledRuleset] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)


class Live:
    """One process's view of keys and rulesets."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._thread_pid: int | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._uses: dict[int, datetime] = {}
        self._is_down = False

    def start(self, note_use: Callable[..., None] | None = None) -> None:
        """Start this process's refreshing thread; a second call, or one in a forked child, does what is right.

        `note_use(uses=...)` is given, at most once a minute, when each key (by primary key) was last used.
        """
        if self._thread_pid == os.getpid():
            return
        with self._lock:
            if self._thread_pid == os.getpid():
                return
            self._stop = threading.Event()
            thread = threading.Thread(target=self._keep_fresh, args=(self._stop, note_use), name="live", daemon=True)
            self._thread_pid = os.getpid()
            thread.start()

    def stop(self) -> None:
        """Stop the thread; from then on every question reads the database again."""
        self._stop.set()
        self._thread_pid = None

    def refresh(self) -> None:
        """Read what changed, now. When the database is down the last snapshot stays.

        Raises: django.db.Error when there is no snapshot yet.
        """
        with self._lock:
            try:
                self._snapshot = _load(self._snapshot or Snapshot())
            except Error as error:
                if self._snapshot is None:
                    raise
                if not self._is_down:
                    logger.warning("Keys and rulesets cannot be refreshed; the last ones are served: %s", error)
                self._is_down = True
            else:
                if self._is_down:
                    logger.warning("Keys and rulesets are refreshed again.")
                self._is_down = False

    def current(self) -> Snapshot:
        """Return the snapshot to answer from.

        Raises: ApiError 503 `not_ready` when none could be loaded yet.
        """
        snapshot = self._snapshot
        if snapshot is not None and self._thread_pid == os.getpid():
            return snapshot
        try:
            self.refresh()
        except Error as error:
            logger.error("Keys and rulesets cannot be loaded: %s", error)
            raise ApiError(
                503, "not_ready", "This server has just started and cannot reach its database.", "Try again shortly."
            ) from None
        assert self._snapshot is not None
        return self._snapshot

    def note_use(self, key_id: int, now: datetime) -> None:
        self._uses[key_id] = now

    def take_uses(self) -> dict[int, datetime]:
        """Return when keys were used since the last call."""
        # A plain exchange of the dict: a use noted at this very moment may land in either, and none costs a lock.
        uses, self._uses = self._uses, {}
        return uses

    def forget(self) -> None:
        """Drop the snapshot, as if the process had just started."""
        self._snapshot = None

    def _keep_fresh(self, stop: threading.Event, note_use: Callable[..., None] | None) -> None:
        since_note = 0.0
        while not stop.wait(REFRESH_SECONDS):
            try:
                self.refresh()
                since_note += REFRESH_SECONDS
                if note_use is not None and since_note >= NOTE_USE_SECONDS and self._uses and not self._is_down:
                    since_note = 0.0
                    note_use(uses=self.take_uses())
            except Exception:  # the thread must outlive whatever one round meets
                logger.exception("A round of refreshing keys and rulesets failed.")
            if self._is_down:
                connections.close_all()  # a broken connection would fail for ever; the next round opens a new one
        connections.close_all()


def _load(before: Snapshot) -> Snapshot:
    grants = {
        row["secret_hash"]: KeyGrant(
            key_id=row["pk"],
            kind=KeyKind(row["kind"]),
            site=row["site__key"],
            time_zone=row["site__time_zone"],
            retention_days=row["site__retention_days"],
            allowed_origins=frozenset(row["site__allowed_origins"]),
            is_revoked=row["revoked_at"] is not None,
            autocapture=row["site__autocapture"],
            public_value=row["public_value"],
            streams=row["streams"],
        )
        for row in ApiKey.objects.values(
            *("pk", "secret_hash", "kind", "revoked_at", "public_value", "streams"),
            *("site__key", "site__time_zone", "site__retention_days", "site__allowed_origins", "site__autocapture"),
        )
    }
    newest = PublishedRuleset.objects.filter(site=OuterRef("site")).order_by("-version").values("pk")[:1]
    rulesets: dict[str, CompiledRuleset] = {}
    marks: dict[str, str] = {}
    for row in PublishedRuleset.objects.filter(pk=Subquery(newest)).values(
        "pk", "site__key", "version", "content_hash"
    ):
        site, mark = row["site__key"], f"{row['version']} {row['content_hash']}"
        found = before.rulesets.get(site)
        if before.marks.get(site) != mark:
            document = PublishedRuleset.objects.values_list("document", flat=True).get(pk=row["pk"])
            try:
                found = compile_ruleset(Ruleset.from_document(document))
            except (ValueError, KeyError, TypeError):
                # One site's unreadable ruleset must stop neither the other sites nor its own last good one.
                logger.exception("Ruleset %s of site '%s' cannot be read; the one before is served.", mark, site)
        marks[site] = mark
        if found is not None:
            rulesets[site] = found
    return Snapshot(MappingProxyType(grants), MappingProxyType(rulesets), MappingProxyType(marks))


_live = Live()
os.register_at_fork(after_in_child=_live.__init__)  # type: ignore[misc]  # locks and threads do not survive a fork

start = _live.start
stop = _live.stop
refresh = _live.refresh
forget = _live.forget
take_uses = _live.take_uses


def grant(token: str) -> KeyGrant | None:
    """Return what a key allows, or None for a key that is unknown or revoked."""
    found = _live.current().grants.get(hash_token(token)) if token.isascii() else None
    return None if found is None or found.is_revoked else found


def client_grant(site_key: str) -> KeyGrant | None:
    """Return the oldest client key of a site that is in force; None while it has none."""
    mine = [one for one in _live.current().grants.values() if one.site == site_key and one.public_value]
    return min((one for one in mine if not one.is_revoked), key=lambda one: one.key_id, default=None)


def ruleset(site_key: str) -> CompiledRuleset | None:
    """Return the newest ruleset of a site, or None when it has published none."""
    return _live.current().rulesets.get(site_key)


def authenticate(request: ClientRequest, *, needs_server: bool = False) -> KeyGrant:
    """Return what the request's key allows.

    Raises: ApiError 401 for a missing, unknown or revoked key; 403 when a server key is needed, when a server key comes
    from a web page, or when the page's origin is not one of the site's.
    """
    token = _token(request)
    found = _live.current().grants.get(hash_token(token)) if token.isascii() else None
    if found is None:
        raise ApiError(
            401,
            "key_unknown",
            "This API key is not known.",
            "Copy a key from the admin (API keys); a new key works after about two seconds.",
        )
    if found.is_revoked:
        raise ApiError(401, "key_revoked", "This API key was revoked.", "Create a new key in the admin (API keys).")
    if needs_server and not found.is_server:
        raise ApiError(
            403,
            "server_key_needed",
            "This address needs a server key; the request came with a client key.",
            "Call it from your server with a secret key (admin, API keys, kind Server).",
        )
    origin = request.headers.get("origin")
    if origin and not _is_own_origin(origin, request):
        _check_origin(origin, found)
    _live.note_use(found.key_id, timezone.now())
    key_in_use.set(found.key_id)
    return found


def _token(request: ClientRequest) -> str:
    header = request.headers.get("authorization", "")
    scheme, _, token = header.partition(" ")
    if not header:
        token = request.query.get("key", "")
    elif scheme.lower() != "bearer":
        raise ApiError(
            401,
            "authorization_malformed",
            f"The Authorization header begins with '{scheme[:30]}', not with 'Bearer'.",
            "Send `Authorization: Bearer <key>`.",
        )
    token = token.strip()
    if not token:
        raise ApiError(
            401,
            "key_missing",
            "The request holds no API key.",
            "Send `Authorization: Bearer <key>`, or `?key=<key>` where headers cannot be set.",
        )
    return token


def _is_own_origin(origin: str, request: ClientRequest) -> bool:
    return origin.partition("://")[2] == request.headers.get("host", "")


def _check_origin(origin: str, found: KeyGrant) -> None:
    if found.is_server:
        raise ApiError(
            403,
            "server_key_in_browser",
            f"A secret server key was sent by a web page of {origin[:200]!r}, where everybody can read it.",
            "Revoke this key now, and use a client key in pages.",
        )
    if found.allowed_origins and origin.rstrip("/") not in found.allowed_origins:
        raise ApiError(
            403,
            "origin_not_allowed",
            f"Pages of {origin[:200]!r} may not use keys of site '{found.site}'.",
            "Add the origin to the site's allowed origins in the admin, or call from one that is listed.",
        )
