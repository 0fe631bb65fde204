"""What arrived lately, for people who set up tracking: the last events and refusals of every process, some seconds old at most.

Each process keeps its own in memory and a thread writes them to a file about once a second, so that the way of an event stays as short as
it was. Nothing counts on it: what is lost here is lost to a page that shows it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from experiments.selectors.live import key_in_use
from tracking.core.intake import Judgement

logger = logging.getLogger(__name__)

KEPT = 300  # of one process
WRITE_SECONDS = 1.0
OLD_SECONDS = 3600.0
MOST_TEXT = 200
MOST_OF_A_BATCH = 50


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event, or one refused request (`outcome` "refused"), as it came in.

    `outcome` is accepted, duplicate, rejected or refused; `key` the primary key of the API key. Units: `time` when it arrived, in
    microseconds since 1970 UTC.
    """

    time: int
    outcome: str
    site: str = ""
    source: str = ""
    key: int | None = None
    name: str = ""
    visitor: str = ""
    value: float | None = None
    properties: dict[str, Any] = {}
    code: str = ""
    message: str = ""
    advice: str = ""
    count: int = 1


@dataclass(slots=True)
class _State:
    entries: deque[Entry]
    is_changed: bool = False


class Journal:
    """The entries of this process, and the thread that writes them down."""

    def __init__(self) -> None:
        self._state = _State(deque(maxlen=KEPT))
        self._folder: Path | None = None
        self._thread_pid: int | None = None

    def note(self, entries: Iterable[Entry], folder: Path) -> None:
        """Keep entries; the first call of a process starts the thread."""
        self._state.entries.extend(entries)
        self._state.is_changed = True
        self._folder = folder
        if self._thread_pid != os.getpid():
            self._thread_pid = os.getpid()
            threading.Thread(target=self._keep_writing, name="journal", daemon=True).start()

    def _keep_writing(self) -> None:
        pause = threading.Event()
        while not pause.wait(WRITE_SECONDS):
            self.write()

    def write(self) -> None:
        """Write what changed, in one step. A folder that is gone or full costs only this page."""
        if not self._state.is_changed or self._folder is None:
            return
        self._state.is_changed = False
        path = self._folder / f"{os.getpid()}.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".draft")
            draft.write_bytes(msgspec.json.encode(list(self._state.entries)))
            draft.replace(path)
        except (OSError, ValueError, TypeError) as error:
            logger.debug("The journal could not be written: %s", error)


_journal = Journal()
os.register_at_fork(after_in_child=_journal.__init__)  # type: ignore[misc]  # entries of the parent are the parent's

write = _journal.write


def folder(root: Path) -> Path:
    return root / "lately"


def note_judgement(
    site: str, source: str, raw: Sequence[object] | None, judgement: Judgement, *, now_us: int, root: Path
) -> None:
    """Keep what became of a batch: the last of its events, and every refusal with its reason."""
    key = key_in_use.get()
    found = [
        Entry(
            time=now_us,
            outcome="accepted",
            site=site,
            source=source,
            key=key,
            name=event.name,
            visitor=event.visitor_id,
            value=event.value,
            properties=event.properties,
        )
        for event in judgement.accepted[-MOST_OF_A_BATCH:]
    ]
    if judgement.duplicates:
        found.append(Entry(now_us, "duplicate", site, source, key, count=judgement.duplicates))
    for refusal in judgement.rejected[:MOST_OF_A_BATCH]:
        sent = raw[refusal.index] if raw is not None and refusal.index < len(raw) else None
        found.append(
            Entry(
                time=now_us,
                outcome="rejected",
                site=site,
                source=source,
                key=key,
                name=_field(sent, "name"),
                visitor=_field(sent, "visitor_id"),
                code=refusal.code,
                message=refusal.message,
                advice=refusal.advice,
            )
        )
    if found:
        _journal.note(found, folder(root))


def note_refusal(
    address: str, code: str, message: str, advice: str, *, now_us: int, root: Path, site: str = ""
) -> None:
    """Keep a request that was refused as a whole."""
    entry = Entry(
        now_us,
        "refused",
        site=site,
        source=address[:MOST_TEXT],
        key=key_in_use.get(),
        code=code,
        message=message,
        advice=advice,
    )
    _journal.note([entry], folder(root))


def lately(root: Path, *, now_us: int, site: str | None = None, since: int = 0) -> list[Entry]:
    """Return the entries of all processes after `since`, the newest first; of a site those that name none as well.

    Files of processes that ended an hour ago are removed.
    """
    found: list[Entry] = []
    for path in folder(root).glob("*.json"):
        try:
            entries = msgspec.json.decode(path.read_bytes(), type=list[Entry])
            if entries and now_us - entries[-1].time > OLD_SECONDS * 1e6:
                path.unlink(missing_ok=True)
        except (OSError, msgspec.DecodeError):
            continue
        found += [one for one in entries if one.time > since and (site is None or one.site in ("", site))]
    return sorted(found, key=lambda one: -one.time)


def _field(sent: object, name: str) -> str:
    if isinstance(sent, msgspec.Raw):
        try:
            sent = msgspec.json.decode(sent)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ""
    value = sent.get(name) if isinstance(sent, dict) else getattr(sent, name, "")
    shown = str(value)[:MOST_TEXT] if isinstance(value, str | int | float) else ""
    return shown.encode(errors="replace").decode()  # what was refused may hold halves of characters
