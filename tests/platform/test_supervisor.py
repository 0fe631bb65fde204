"""The supervisor, with small programs in place of the product's own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.platform.processes import marked_processes, running, wait_until, with_signal

pytestmark = pytest.mark.processes

# A program that says its process id and waits, with a child of its own; `stubborn` ignores SIGTERM.
STEADY = """
import os, signal, subprocess, sys, time
name = sys.argv[1]
if "stubborn" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    def leave(*_):
        print(f"{name} leaves", flush=True); os._exit(0)
    signal.signal(signal.SIGTERM, leave)
if "parent" in sys.argv: subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(f"{name} runs as {os.getpid()}", flush=True)
time.sleep(600)
"""
BROKEN = "raise SystemExit('the reason it cannot start')"
RUN = """
import os, sys
from config.supervisor import Program, Supervisor
programs = [Program(*spec.split(",")[:2], tuple(spec.split(",")[2:]), stop_seconds=1.0) for spec in sys.argv[1:]]
def say(line): print(line, flush=True)
sys.exit(Supervisor(programs, environment=os.environ, folder=os.getcwd(), say=say).run())
"""


class Run:
    """A supervisor in a process of its own, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def said(self) -> str:
        return self.log.read_text()

    def pids(self, name: str) -> list[int]:
        return [int(pid) for pid in re.findall(rf"{name} runs as (\d+)", self.said)]

    def left(self) -> set[int]:
        return marked_processes(f"TEST_MARK={self.log}")


@pytest.fixture
def start(tmp_path: Path, request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    (tmp_path / "steady.py").write_text(STEADY)
    (tmp_path / "broken.py").write_text(BROKEN)

    def run(*specs: str) -> Run:
        log = tmp_path / "log"
        context = running(["-c", RUN, *specs], {**os.environ, "PYTHONPATH": str(tmp_path)}, log)
        process = context.__enter__()
        request.addfinalizer(lambda: context.__exit__(None, None, None))
        return Run(process, log)

    return run


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_run__told_to_stop__stops_in_order_and_leaves_nothing(start, number: signal.Signals) -> None:  # type: ignore[no-untyped-def]
    run = start("first,steady,first,parent", "second,steady,second,parent")
    wait_until(lambda: bool(run.pids("first") and run.pids("second")), "both programs run")
    with_signal(run.process.pid, number)
    assert run.process.wait(60) == 0
    assert run.left() == set()
    assert run.said.index("first leaves") < run.said.index("second leaves")


def test_run__program_killed__starts_it_again(start) -> None:  # type: ignore[no-untyped-def]
    run = start("web,steady,web,parent")
    wait_until(lambda: len(run.pids("web")) == 1, "the program runs")
    with_signal(run.pids("web")[0], signal.SIGKILL)
    wait_until(lambda: len(run.pids("web")) == 2, "the program runs again")
    assert "web was ended by SIGKILL" in run.said
    # The killed one's own child went with it: supervisor, program and its new child are left.
    assert len(run.left()) == 3


def test_run__program_that_cannot_start__gives_up_with_its_last_lines(start) -> None:  # type: ignore[no-untyped-def]
    run = start("web,steady,web", "worker,broken")
    assert run.process.wait(60) == 1
    assert "worker failed 3 times" in run.said
    assert "    the reason it cannot start" in run.said
    assert run.left() == set()


def test_run__program_that_ignores_the_stop__is_killed_in_time(start) -> None:  # type: ignore[no-untyped-def]
    run = start("web,steady,web,stubborn,parent")
    wait_until(lambda: bool(run.pids("web")), "the program runs")
    with_signal(run.process.pid, signal.SIGTERM)
    assert run.process.wait(60) == 0
    assert "web did not stop in time and was killed" in run.said
    assert run.left() == set()


def test_run__supervisor_killed__its_programs_go_too(start) -> None:  # type: ignore[no-untyped-def]
    run = start("web,steady,web", "worker,steady,worker")
    wait_until(lambda: bool(run.pids("web") and run.pids("worker")), "both programs run")
    with_signal(run.process.pid, signal.SIGKILL)
    run.process.wait(60)
    wait_until(lambda: run.left() == set(), "no program is left")
