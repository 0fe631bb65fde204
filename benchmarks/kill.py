"""Kill -9 of web workers, compactor and analysis worker while events stream in over HTTP: is every event counted once?

    python -m benchmarks.kill [--kills 200] [--seed 1] [--clients 4]

Starts the real server (granian, two workers, config.wsgi) and, as forks of one process, a compactor and an analysis worker
that call the code of the Celery tasks in a loop. Clients post batches and, like a well-behaved SDK, send a batch again
with the same event ids until it is acknowledged; some batches are sent once more although they were. Meanwhile one process
after another is killed with SIGKILL and replaced, now and then the whole server. At the end: what was acknowledged, what the
count endpoint says, and what is in the files, id by id.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.assignment import free_port

ROOT = Path(__file__).resolve().parent.parent
LEASE_SECONDS = 2.0  # a killed compactor would block the next one for a minute and a half


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kills", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--clients", type=int, default=4)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="inkling-kill-", ignore_cleanup_errors=True) as folder:
        os.environ |= {"INKLING_DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "config.settings", "INKLING_DEMO": "false"}
        os.environ.pop("DATABASE_URL", None)
        keys = prepare()
        show(attack(keys, options))


def prepare() -> dict[str, str]:
    """Make the database with an experiment to analyse, and return the client and the server key."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connections

    from experiments.services.imports import ensure_imported_experiment
    from experiments.services.metrics import ensure_metric
    from experiments.services.sites import create_api_key, create_site

    call_command("migrate", verbosity=0)
    site = create_site(key="shop", name="Shop")
    now = datetime.now(UTC)
    ensure_imported_experiment(
        site=site,
        key="button",
        control="control",
        variants=("control", "new"),
        metrics=[ensure_metric(site=site, key="buy", conversion="macro")],
        started_at=now - timedelta(days=7),
        ended_at=now + timedelta(days=1),
    )
    keys = {kind: create_api_key(site=site, kind=kind, name="kill")[1] for kind in ("client", "server")}
    connections.close_all()
    return keys


@dataclass(slots=True)
class Server:
    """The real web server, which gets up again by itself when one of its workers is killed."""

    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            *(sys.executable, "-m", "granian", "--interface=wsgi", "--host=127.0.0.1", f"--port={self.port}"),
            *("--workers=2", "--blocking-threads=8", "--backpressure=64", "--no-ws", "--log-level=critical"),
            *("--respawn-failed-workers", "--respawn-interval=0.1", "config.wsgi:application"),
        ]
        self.process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL)

    def workers(self) -> list[int]:
        assert self.process is not None
        main = self.process.pid
        found = []
        for child in Path(f"/proc/{main}/task/{main}/children").read_text().split():
            with suppress(OSError):
                if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
        return found

    def ensure(self) -> None:
        if self.process is None or self.process.poll() is not None:
            self.start()

    def kill_worker(self, chance: random.Random) -> str:
        workers = self.workers()
        if not workers:
            return self.kill()
        with suppress(ProcessLookupError):
            os.kill(chance.choice(workers), signal.SIGKILL)
        return "web worker"

    def kill(self) -> str:
        """Kill the server with all its workers."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return "whole server"


class Job:
    """A fork that repeats one piece of work until it is killed."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self.start()

    def start(self) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            try:
                while True:
                    self._work()
                    time.sleep(0.02)
            except BaseException as error:  # noqa: BLE001 - a child must never return into its parent's code
                print(f"a job ended by itself: {error!r}", file=sys.stderr, flush=True)
            finally:
                os._exit(1)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def compact() -> None:
    from tracking import manifest, services

    manifest.LEASE_SECONDS = LEASE_SECONDS
    services.compact_due()


def analyse() -> None:
    from experiments.selectors.experiments import experiment_by_key
    from reports.services import run_analysis

    now = datetime.now(UTC)
    run_analysis(experiment=experiment_by_key("shop", "button"), as_of=now, now=now)


class Client(threading.Thread):
    """Sends batches until told to stop, each again and again until it is acknowledged."""

    def __init__(self, number: int, port: int, key: str, seed: int) -> None:
        super().__init__(daemon=True)
        self._number, self._port, self._key = number, port, key
        self._chance = random.Random(f"{seed}-{number}")
        self._connection: http.client.HTTPConnection | None = None
        self.stop = threading.Event()
        self.acknowledged: set[str] = set()
        self.resent = 0
        self.surprises: Counter[str] = Counter()

    def run(self) -> None:
        turn = 0
        while not self.stop.is_set():
            batch = [self._event(f"{self._number}-{turn}-{place}") for place in range(self._chance.randint(1, 60))]
            body = json.dumps({"events": batch, "sent_at": time.time()}).encode()
            while not self._post(body, len(batch)):
                self.resent += 1
                time.sleep(0.05)
            self.acknowledged.update(event["event_id"] for event in batch)
            if self._chance.random() < 0.1:
                self._post(body, len(batch))
            turn += 1

    def _event(self, event_id: str) -> dict[str, Any]:
        visitor = f"v{self._chance.randrange(20_000)}"
        if self._chance.random() < 0.5:
            variant = "new" if hash(visitor) % 2 else "control"
            properties = {"experiment": "button", "variant": variant}
            return {"event_id": event_id, "name": "$exposure", "visitor_id": visitor, "properties": properties}
        return {"event_id": event_id, "name": "buy", "visitor_id": visitor, "value": 9.5}

    def _post(self, body: bytes, size: int) -> bool:
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
            self._connection.request("POST", "/api/v1/events", body, {"Authorization": f"Bearer {self._key}"})
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.surprises[type(error).__name__] += 1
            self._connection = None
            return False
        if response.status != 202:
            self.surprises[f"{response.status} {answer[:80]!r}"] += 1
            return False
        document = json.loads(answer)
        return bool(document["accepted"] + document["duplicates"] == size)


def attack(keys: dict[str, str], options: argparse.Namespace) -> dict[str, Any]:
    chance = random.Random(options.seed)
    compactor, analyst = Job(compact), Job(analyse)
    server = Server()
    server.start()
    clients = [Client(n, server.port, keys["client"], options.seed) for n in range(options.clients)]
    for client in clients:
        client.start()
    kills: Counter[str] = Counter()
    web_killed_at = -1
    while kills.total() < options.kills:
        time.sleep(chance.uniform(0.05, 0.6))
        server.ensure()
        answered = sum(len(client.acknowledged) for client in clients)
        dice = chance.random()
        if dice < 0.45:
            # A server that is killed before it has answered once more proves nothing.
            if answered > web_killed_at:
                web_killed_at = answered
                kills[server.kill_worker(chance) if dice < 0.4 else server.kill()] += 1
        elif dice < 0.8:
            compactor.kill()
            compactor.start()
            kills["compactor"] += 1
        else:
            analyst.kill()
            analyst.start()
            kills["analysis worker"] += 1
    for client in clients:
        client.stop.set()
    while any(client.is_alive() for client in clients):
        server.ensure()
        time.sleep(0.2)
    compactor.kill()
    analyst.kill()
    counted = count(server.port, keys["server"])
    server.kill()
    return balance(clients, kills, counted)


def count(port: int, key: str) -> int:
    for _ in range(60):
        with suppress(OSError, http.client.HTTPException, ValueError, KeyError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/api/v1/events/count", headers={"Authorization": f"Bearer {key}"})
            return int(json.loads(connection.getresponse().read())["count"])
        time.sleep(0.5)
    raise SystemExit("The server did not answer a count within 30 s.")


def balance(clients: list[Client], kills: Counter[str], counted: int) -> dict[str, Any]:
    import duckdb

    from reports.models import AnalysisRun
    from tracking.models import EventFile
    from tracking.selectors import events_root
    from tracking.services import take_over

    take_over(wait_seconds=120)
    acknowledged = set().union(*(client.acknowledged for client in clients))
    paths = [str(events_root() / path) for path in EventFile.objects.values_list("path", flat=True)]
    rows = duckdb.connect().execute("SELECT event_id FROM read_parquet(?)", [paths]).fetchall()
    stored = Counter(row[0] for row in rows)
    return {
        "kills": kills.total(),
        **{f"kills of {name}": number for name, number in sorted(kills.items())},
        "batches sent again": sum(client.resent for client in clients),
        "events acknowledged": len(acknowledged),
        "events counted over HTTP": counted,
        "events in files": stored.total(),
        "lost": len(acknowledged - stored.keys()),
        "doubled": sum(number > 1 for number in stored.values()),
        "stored but never sent": len(stored.keys() - acknowledged),
        "analysis runs done": AnalysisRun.objects.filter(status="done").count(),
        "analysis runs failed": AnalysisRun.objects.filter(status="failed").count(),
        "other answers": dict(sum((client.surprises for client in clients), Counter())),
    }


def show(result: dict[str, Any]) -> None:
    for name, value in result.items():
        print(f"{name:28}{value}")
    if result["lost"] or result["doubled"] or result["events counted over HTTP"] != result["events acknowledged"]:
        raise SystemExit("Events were lost or doubled.")


if __name__ == "__main__":
    main()
