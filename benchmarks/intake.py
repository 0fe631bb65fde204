"""Durable intake over HTTP, against a raw append and fdatasync of the same lines by the same number of processes.

    python -m benchmarks.intake [--seconds 6] [--rounds 3] [--threads 32] [--connections 32]

Starts granian with two workers on a temporary database, posts batches of 1, 100 and 1,000 events in turn with the raw
limit measured between them, and prints medians and ratios. `raw` is what a worker could do at the very most: a loop in
each of two processes that appends one request's segment lines and syncs, nothing received, judged or answered. The load
client shares the machine with the server, so the ratios are lower bounds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.assignment import await_port, free_port, prepare
from benchmarks.load import Load, Measured, measure
from tracking.core.events import Event
from tracking.segments import encode_lines

ROOT = Path(__file__).resolve().parent.parent
BATCHES = (1, 100, 1000)
EVENT = {
    "name": "product_viewed",
    "visitor_id": "b58e88cc-e4a8-46a5-bd35-0123456789ab",
    "session_id": "s-0123456789",
    "value": 19.9,
    "properties": {"category": "shoes", "price": 19.9},
    "context": {"device": "phone"},
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=6)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=32, help="blocking threads of each of the two workers")
    arguments.add_argument("--connections", type=int, default=32)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="inkling-benchmark-") as folder:
        os.environ |= {"INKLING_DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "config.settings", "INKLING_DEMO": "false"}
        os.environ.pop("DATABASE_URL", None)
        key = prepare(0)
        port = free_port()
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "granian", "--interface=wsgi", "--host=127.0.0.1", f"--port={port}"),
                *("--workers=2", f"--blocking-threads={options.threads}", "--backpressure=256", "--no-ws"),
                *("--log-level=error", "config.wsgi:application"),
            ],
            cwd=ROOT,
        )
        try:
            await_port(port, server)
            report(*run(f"http://127.0.0.1:{port}", key, Path(folder), options), options)
        finally:
            server.terminate()
            server.wait(timeout=30)


def run(
    base: str, key: str, folder: Path, options: argparse.Namespace
) -> tuple[dict[int, list[Measured]], dict[int, list[float]]]:
    headers = (("Authorization", f"Bearer {key}"), ("Content-Type", "application/json"))
    loads = {
        size: Load(f"{base}/api/v1/events", "POST", headers, json.dumps({"events": [EVENT] * size})) for size in BATCHES
    }
    for load in loads.values():
        measure(load, seconds=1, connections=options.connections)
    ours: dict[int, list[Measured]] = {size: [] for size in BATCHES}
    raw: dict[int, list[float]] = {size: [] for size in BATCHES}
    for _ in range(options.rounds):
        for size, load in loads.items():
            ours[size].append(measure(load, seconds=options.seconds, connections=options.connections))
            raw[size].append(raw_limit(size, folder, options.seconds / 2))
    return ours, raw


def raw_limit(size: int, folder: Path, seconds: float) -> float:
    """Return the requests a second that two processes can append and sync."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        rates = pool.starmap(_append, [(size, folder / f"raw-{n}", seconds) for n in range(2)])
    return sum(rates)


def _append(size: int, path: Path, seconds: float) -> float:
    event = Event(**{**EVENT, "event_id": "18c5f0a1b2c3d-0123456789abcdef-0", "time": 1_790_000_000_000_000, "received": 1_790_000_000_000_000, "source": "native"})  # type: ignore[arg-type]  # fmt: skip
    lines = encode_lines("shop", [event] * size)
    sync = getattr(os, "fdatasync", os.fsync)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    appended, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        os.write(fd, lines)
        sync(fd)
        appended += 1
    taken = time.perf_counter() - begun
    os.close(fd)
    path.unlink()
    return appended / taken


def report(ours: dict[int, list[Measured]], raw: dict[int, list[float]], options: argparse.Namespace) -> None:
    print(f"\ngranian, 2 workers x {options.threads} threads, {options.connections} connections")
    print(
        f"{'batch':>6}{'req/s':>10}{'events/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'failed':>8}{'raw events/s':>14}   of raw"
    )
    for size in BATCHES:
        rate = statistics.median(m.per_second for m in ours[size])
        limit = statistics.median(raw[size])
        p50, p99 = (statistics.median(getattr(m, field) for m in ours[size]) for field in ("p50_ms", "p99_ms"))
        failed = sum(m.failures for m in ours[size])
        print(
            f"{size:6}{rate:10,.0f}{rate * size:12,.0f}{p50:9.2f}{p99:9.2f}{failed:8}{limit * size:14,.0f}"
            f"{rate / limit:9.0%}"
        )
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; target: batches of 100 at 50 % of raw")


if __name__ == "__main__":
    main()
