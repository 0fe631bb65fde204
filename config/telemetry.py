"""Prometheus metrics of all processes of one supervisor.

prometheus-client keeps each process's numbers in a file of a shared folder, which costs more than a whole assignment does
once a label is looked up. So the hot path only notes what happened; a thread hands the notes over about once a second.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter as Sum
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import msgspec
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)

logger = logging.getLogger(__name__)

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client's own name; read when it is first imported
HAND_OVER_SECONDS = 1.0

Labels = tuple[str, ...]


class Tally:
    """A counter for hot paths: noting costs an append, and no number is lost between threads."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._notes: deque[tuple[Labels, int]] = deque()

    def note(self, *labels: str, times: int = 1) -> None:
        self._notes.append((labels, times))

    def hand_over(self) -> None:
        """Add what was noted to the Prometheus counter."""
        sums: Sum[Labels] = Sum()
        for _ in range(len(self._notes)):
            try:
                labels, times = self._notes.popleft()
            except IndexError:  # another thread hands over too
                break
            sums[labels] += times
        for labels, times in sums.items():
            self._counter.labels(*labels).inc(times)


REQUESTS = Tally(Counter("inkling_client_requests", "Requests to the client API.", ["address", "status"]))
EVENTS = Tally(Counter("inkling_events", "Events sent by clients, by what became of them.", ["outcome"]))
TALLIES = (REQUESTS, EVENTS)
TASK_SECONDS = Histogram(
    "inkling_task_seconds",
    "How long background tasks take: compaction, analysis and the others.",
    ["task", "outcome"],
    buckets=(0.01, 0.05, 0.2, 1, 5, 20, 60, 300),
)


class _EventsReply(msgspec.Struct):
    accepted: int
    duplicates: int
    rejected: list[msgspec.Raw]


_read_events_reply = msgspec.json.Decoder(_EventsReply).decode
_handing_over: threading.Thread | None = None


def note_reply(address: str, status: int, body: bytes) -> None:
    """Count one answered request of the client API, and the events of a batch by what the client was told."""
    if _handing_over is None:
        _start_handing_over()
    address = address.removesuffix("/")
    REQUESTS.note(address, str(status))
    if status == 202 and address == "/api/v1/events":
        told = _read_events_reply(body)
        EVENTS.note("accepted", times=told.accepted)
        EVENTS.note("duplicate", times=told.duplicates)
        EVENTS.note("rejected", times=len(told.rejected))


def hand_over() -> None:
    for tally in TALLIES:
        tally.hand_over()


def _start_handing_over() -> None:
    global _handing_over
    _handing_over = threading.Thread(target=_hand_over_for_ever, name="telemetry", daemon=True)
    _handing_over.start()


def _forget_thread() -> None:
    global _handing_over
    _handing_over = None  # threads do not survive a fork


os.register_at_fork(after_in_child=_forget_thread)


def _hand_over_for_ever() -> None:
    while True:
        time.sleep(HAND_OVER_SECONDS)
        try:
            hand_over()
        except Exception:
            logger.exception("Metrics could not be written.")


def exposition(extra: Iterable[CollectorRegistry] = ()) -> tuple[bytes, str]:
    """Return the metrics in Prometheus' text format and their content type."""
    hand_over()
    registry = REGISTRY
    if os.environ.get(FOLDER):
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
    parts = [generate_latest(one) for one in (registry, *extra)]
    return b"".join(parts), CONTENT_TYPE_LATEST


def forget_ended_processes(folder: Path) -> None:
    """Delete the metric files of processes that are gone; a file is named after the process that wrote it."""
    for file in folder.glob("*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not _runs(int(pid)):
            file.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
