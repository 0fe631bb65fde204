"""`manage.py serve` with the product's own programs, started and ended in every way."""

from __future__ import annotations

import http.client
import http.cookiejar
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.platform.processes import PROJECT, free_port, instance, marked_processes, running, wait_until, with_signal

# These run in the order of the file: they share an instance, and the first test finds it empty.
pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that all tests of this module share, so that only the first start has to fill it."""
    return tmp_path_factory.mktemp("instance")


class Server:
    def __init__(self, process: subprocess.Popen[bytes], log: Path, port: int) -> None:
        self.process = process
        self.log = log
        self.port = port

    @property
    def said(self) -> str:
        return self.log.read_text()

    def left(self) -> set[int]:
        return marked_processes(f"TEST_MARK={self.log}")

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def answers(self) -> bool:
        try:
            return self.get("/healthz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    port = free_port()
    log = folder / f"log-{port}"
    environment = instance(folder, INKLING_PORT=str(port))
    with running(["manage.py", "serve", "--bootstrap"], environment, log) as process:
        running_server = Server(process, log, port)
        wait_until(lambda: "Ctrl-C stops everything" in running_server.said or process.poll() is not None, "it is up")
        assert process.poll() is None, running_server.said
        yield running_server


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_serve__empty_folder__is_usable_and_stops_without_a_trace(server: Server, folder: Path) -> None:
    site = f"http://localhost:{server.port}/"
    assert f"Inkling is ready at {site}" in server.said
    assert f"{site}admin/" in server.said
    assert f"{site}reports/" in server.said
    (password,) = re.findall(r"Admin login: admin   password: (\S+)", server.said)
    assert logs_in(f"{site}admin/login/", "admin", password)
    assert not logs_in(f"{site}admin/login/", "admin", password + "x")

    wait_until(lambda: server.get("/readyz")[0] == 200, "worker and all other parts are ready")
    assert json.loads(server.get("/readyz")[1])["status"] == "ready"
    assert b"inkling_heartbeat_age_seconds" in server.get("/metrics")[1]

    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(60) == 0
    assert server.left() == set()
    assert not listens(server.port)
    assert "Traceback" not in server.said


def test_serve__started_again_and_a_connection_stays_open__prints_no_password_and_stops(server: Server) -> None:
    assert "password: " not in server.said
    assert "changepassword admin" in server.said
    with socket.create_connection(("127.0.0.1", server.port)) as idle:
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.recv(100).startswith(b"HTTP/1.1 200")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
    assert server.left() == set()


def test_serve__every_process_killed__recovers_and_goes_with_its_supervisor(server: Server) -> None:
    for kind, count in (("granian", 3), ("beat", 1), ("worker", 3)):
        wait_until(lambda kind=kind, count=count: len(of_kind(server, kind)) == count, f"{count} processes of {kind}")
        victims = of_kind(server, kind)
        for pid in victims:
            with_signal(pid, signal.SIGKILL)
        wait_until(
            lambda kind=kind, count=count, victims=victims: len(of_kind(server, kind) - victims) == count,
            f"{kind} runs again",
        )
        wait_until(server.answers, "the site answers")
    with_signal(server.process.pid, signal.SIGKILL)
    server.process.wait(60)
    wait_until(lambda: server.left() == set(), "nothing is left")
    wait_until(lambda: not listens(server.port), "the port is free")


def test_serve__port_taken__says_so_and_names_a_free_one(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ran = subprocess.run(
            [sys.executable, "manage.py", "serve", "--bootstrap"],
            cwd=PROJECT,
            env=instance(folder, INKLING_PORT=str(port)),
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.returncode == 1
    assert f"Port {port} of 127.0.0.1 is taken" in ran.stderr
    (suggested,) = re.findall(r"INKLING_PORT=(\d+) make run", ran.stderr)
    assert int(suggested) != port
    assert not listens(int(suggested))


def of_kind(server: Server, kind: str) -> set[int]:
    """Return the processes of one program: granian, beat or worker."""
    found = set()
    for pid in server.left():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"config.child" in command and kind.encode() in command:
            found.add(pid)
    return found


def logs_in(address: str, name: str, password: str) -> bool:
    jar = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    page = browser.open(address, timeout=20).read().decode()
    token = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[0]
    form = urllib.parse.urlencode(
        {"csrfmiddlewaretoken": token, "username": name, "password": password, "next": "/admin/"}
    )
    with browser.open(address, form.encode(), timeout=20):
        return any(cookie.name == "sessionid" for cookie in jar)


def test_serve__database_without_tables__says_what_to_run(folder: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "manage.py", "serve"],
        cwd=PROJECT,
        env=instance(folder / "new", INKLING_PORT=str(free_port())),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "manage.py migrate" in ran.stderr
    assert "Traceback" not in ran.stderr
