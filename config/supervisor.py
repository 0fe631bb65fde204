"""Run several programs as one: restart what fails, give up on what keeps failing, and leave nothing behind.

Every program leads a process group of its own, so that Ctrl-C in a terminal reaches the supervisor only, which then stops
them in order, and so that whatever a program started can be ended with it.
"""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import IO

from config import lifeline

FAST_FAILURE_SECONDS = 10.0
FAST_FAILURES_ALLOWED = 3
LONGEST_PAUSE_SECONDS = 30.0
LINES_KEPT = 30


@dataclass(frozen=True, slots=True)
class Program:
    """A Python module to keep running.

    Units: `stop_seconds` is how long it may take to end by itself after SIGTERM.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    stop_seconds: float


@dataclass(slots=True)
class Child:
    """A program and its present process, if one runs."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_due_at: float = 0.0
    fast_failures: int = 0
    last_lines: collections.deque[str] = field(default_factory=lambda: collections.deque(maxlen=LINES_KEPT))
    reader: threading.Thread | None = None

    def end_group(self) -> None:
        """Kill whatever is left of the process group, and read its last words."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        if self.reader is not None:
            self.reader.join(timeout=2)


class Supervisor:
    """Keeps programs running until it is told to stop. They are stopped in the order in which they are given."""

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        environment: Mapping[str, str],
        folder: str,
        say: Callable[[str], None],
        when_idle: Callable[[], None] = lambda: None,
    ) -> None:
        self._children = [Child(program) for program in programs]
        self._environment = {**environment, lifeline.MARK: "1", "PYTHONUNBUFFERED": "1"}
        self._folder = folder
        self._say = say
        self._when_idle = when_idle
        self._wake = threading.Event()
        self._stop_signals = 0
        self._output = threading.Lock()

    def run(self) -> int:
        """Run until SIGINT, SIGTERM or SIGHUP, or until a program cannot be kept alive; return the exit status."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGCHLD, self._on_child)
        status = 0
        try:
            while not self._stop_signals:
                broken = self._tend()
                if broken is not None:
                    self._report_broken(broken)
                    status = 1
                    break
                self._when_idle()
                self._wake.wait(0.5)
                self._wake.clear()
        finally:
            self._stop_all()
        return status

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_signals += 1
        self._wake.set()

    def _on_child(self, _number: int, _frame: FrameType | None) -> None:
        self._wake.set()

    def _tend(self) -> Child | None:
        """Start what is due, notice what ended; return a child that cannot be kept alive."""
        now = time.monotonic()
        for child in self._children:
            if child.process is None:
                if now >= child.start_due_at and not self._stop_signals:
                    self._start(child)
            elif child.process.poll() is not None:
                self._note_exit(child, now)
                if child.fast_failures >= FAST_FAILURES_ALLOWED:
                    return child
        return None

    def _start(self, child: Child) -> None:
        program = child.program
        command = [sys.executable, "-m", "config.child", str(os.getpid()), program.module, *program.arguments]
        child.process = subprocess.Popen(
            command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        child.started_at = time.monotonic()
        assert child.process.stdout is not None
        child.reader = threading.Thread(target=self._relay, args=(child, child.process.stdout), daemon=True)
        child.reader.start()

    def _relay(self, child: Child, pipe: IO[bytes]) -> None:
        """Pass a child's lines on; keep draining when nobody reads ours, or the child would stand still."""
        with pipe:
            for raw in pipe:
                line = raw.decode(errors="replace").rstrip()
                child.last_lines.append(line)
                with self._output, contextlib.suppress(OSError, ValueError):
                    sys.stderr.write(f"{child.program.name:<6} | {line}\n")
                    sys.stderr.flush()

    def _note_exit(self, child: Child, now: float) -> None:
        assert child.process is not None
        ending = _ending(child.process.returncode)
        lived = now - child.started_at
        child.end_group()
        child.process = None
        child.fast_failures = child.fast_failures + 1 if lived < FAST_FAILURE_SECONDS else 0
        pause = min(0.5 * 2**child.fast_failures, LONGEST_PAUSE_SECONDS)
        child.start_due_at = now + pause
        if child.fast_failures < FAST_FAILURES_ALLOWED:
            self._say(f"{child.program.name} {ending} after {lived:.0f} s; starting it again in {pause:.0f} s.")

    def _report_broken(self, child: Child) -> None:
        self._say(
            f"{child.program.name} failed {child.fast_failures} times within {FAST_FAILURE_SECONDS:.0f} s of its start, "
            "so Inkling stops. Its last lines:"
        )
        for line in child.last_lines:
            self._say(f"    {line}")

    def _stop_all(self) -> None:
        self._say("Stopping.")
        already = self._stop_signals
        try:
            for child in self._children:
                self._stop(child, already)
        finally:
            for child in self._children:
                child.end_group()
        self._say("Stopped.")

    def _stop(self, child: Child, signals_before: int) -> None:
        process = child.process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        deadline = time.monotonic() + child.program.stop_seconds
        while process.poll() is None:
            if time.monotonic() > deadline or self._stop_signals > signals_before:
                self._say(f"{child.program.name} did not stop in time and was killed.")
                break
            self._wake.wait(0.05)
            self._wake.clear()
        child.end_group()
        process.wait()


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
