"""Look at processes from outside: what runs in a group, what listens, wait until something holds."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60.0


def clean_environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without what configures Inkling, Django or a metrics folder, plus `variables`."""
    foreign = ("INKLING_", "DJANGO_", "PROMETHEUS_", "DATABASE_URL")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, **variables}


def instance(folder: Path, **variables: str) -> dict[str, str]:
    """Return the environment of a scratch instance whose state lives in a folder."""
    return clean_environment(INKLING_DATA_DIR=str(folder), INKLING_DEMO="false", **variables)


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Return as soon as something holds; the long patience is for slow machines and costs nothing on others."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE_SECONDS:.0f} s in vain: {what}")
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def marked_processes(mark: str) -> set[int]:
    """Return the living processes whose environment holds a mark; a zombie lives no more."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except (OSError, IndexError):
                continue
            if state != "Z" and mark.encode() in environment.split(b"\0"):
                found.add(int(entry.name))
    return found


@contextmanager
def running(arguments: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python program with its output in a file; whatever carries its mark is gone afterwards."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=PROJECT,
            env={**environment, "TEST_MARK": str(log)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        for pid in marked_processes(f"TEST_MARK={log}"):
            with_signal(pid, signal.SIGKILL)
        process.wait()


def with_signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
