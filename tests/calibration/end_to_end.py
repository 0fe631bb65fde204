"""A/A experiments through a running instance: assigned and tracked over HTTP, taken in, analysed by the worker, read over HTTP.

    python -m tests.calibration.end_to_end [--experiments 200] [--per-day 100]

`manage.py serve` runs in a folder of its own, with its web server, scheduler, worker and embedded broker. Four weeks of
visitors ask `POST /api/v1/assignments` for their variants; their exposures and orders go to `POST /api/v1/events` with the
times at which they happened, which lie in the past. The experiments began 29 days ago, so every one of their looks has come.
A tick is sent as the scheduler sends it, the worker analyses, and `GET /api/v1/experiments/<key>/report` is read.

Every visitor meets every experiment, as on a small site with many tests; each experiment deals them by a salt of its own, so
that given what the visitors do the splits, and with them the claims, are independent. Visitors, salts and orders come from
fixed seeds: whatever the day, the same happens.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from tests.calibration.counts import Row
from tests.calibration.harness import HORIZON, limits
from tests.platform.processes import PROJECT, free_port, instance, running, wait_until

SITE, METRIC = "calibration", "order"
VARIANTS = ("control", "treatment")
SHARE = 0.1  # of the visitors order, within a day
WINDOW = timedelta(hours=24)
AGE_DAYS = HORIZON + 1
BATCH = 1_000
LONGEST_WAIT_SECONDS = 900.0


@dataclass(slots=True)
class Outcome:
    """What came of it. `wrong_counts` names the reports whose numbers are not what was sent; `claims` the false claims."""

    experiments: int
    visitors: int
    events: int
    refused: int = 0
    claims: list[str] = field(default_factory=list)
    doubted_splits: list[str] = field(default_factory=list)
    wrong_counts: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Visit:
    """A visitor's first visit and what followed. Units: seconds since 1970 UTC; `order` is None without one."""

    visitor: str
    met: float
    order: float | None


class Client:
    """A connection that is kept open, as an SDK on a server keeps it."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, document: object = None) -> tuple[int, dict[str, Any]]:
        body = None if document is None else json.dumps(document).encode()
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text)

    def must(self, method: str, path: str, document: object = None) -> dict[str, Any]:
        status, found = self.ask(method, path, document)
        if status >= 300:
            raise AssertionError(f"{method} {path} was answered {status}: {found}")
        return found


def keys_of(experiments: int) -> list[str]:
    return [f"aa-{number:03d}" for number in range(1, experiments + 1)]


def midnight(now: datetime) -> datetime:
    """Return the start of the experiments: so many whole UTC days ago that the last of their looks has come."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=AGE_DAYS)


def visits(per_day: int, started: datetime) -> list[Visit]:
    """Return the visitors of four weeks, who come at any second of the day; a tenth order within a day."""
    rng = np.random.default_rng(2024)
    found = []
    for number in range(per_day * HORIZON):
        met = started.timestamp() + 86_400.0 * (number // per_day) + round(float(rng.uniform(0, 86_399)), 3)
        lag = round(float(rng.uniform(60, WINDOW.total_seconds() - 60)), 3)
        found.append(Visit(f"visitor-{number:06d}", met, met + lag if rng.random() < SHARE else None))
    return found


def prepare(experiments: int, started: datetime) -> dict[str, str]:
    """Fill the database of this process's data folder; return the client and the server key."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from django.core.management import call_command

    from experiments.models import Experiment, ExperimentMetric, Variant
    from experiments.services import (
        create_api_key,
        create_site,
        ensure_metric,
        save_draft_rows,
        save_experiment,
        start_experiment,
    )

    call_command("migrate", verbosity=0)
    site = create_site(key=SITE, name="Calibration", time_zone="UTC")
    metric = ensure_metric(site=site, key=METRIC, conversion="macro", window_hours=WINDOW.total_seconds() / 3600)
    for key in keys_of(experiments):
        experiment = save_experiment(
            experiment=Experiment(
                site=site, key=key, name=key, hypothesis="Nothing differs.", horizon_weeks=HORIZON // 7
            ),
            now=started,
        )
        variants = [
            Variant(key=variant, name=variant, position=place, is_control=place == 0, weight=5_000)
            for place, variant in enumerate(VARIANTS)
        ]
        save_draft_rows(
            experiment=experiment, now=started, save=[*variants, ExperimentMetric(metric=metric, role="primary")]
        )
        start_experiment(experiment=experiment, now=started, salt=f"calibration-{key}")
    return {kind: create_api_key(site=site, kind=kind, name="calibration")[1] for kind in ("client", "server")}


def run(experiments: int, per_day: int, folder: Path) -> Outcome:
    """Set up an instance in an empty folder, send everything through its doors, and judge its reports."""
    begun = time.monotonic()
    started = midnight(datetime.now(UTC))
    port = free_port()
    environment = instance(folder, INKLING_PORT=str(port), INKLING_ANALYSIS_MINUTES="1", INKLING_LOG_LEVEL="WARNING")
    keys = _keys_of_instance(experiments, started, environment)
    with running(["manage.py", "serve"], environment, folder / "serve.log") as server:
        wait_until(lambda: server.poll() is not None or _answers(port), "the instance answers")
        if server.poll() is not None:
            raise AssertionError((folder / "serve.log").read_text())
        outcome, sent = _send(Client(port, keys["client"]), keys_of(experiments), visits(per_day, started), started)
        everything_sent = datetime.now(UTC)
        _tick(environment)
        for key, document in _reports(Client(port, keys["server"]), keys_of(experiments), everything_sent).items():
            judge(outcome, key, document, sent[key])
    outcome.seconds = time.monotonic() - begun
    return outcome


def _keys_of_instance(experiments: int, started: datetime, environment: dict[str, str]) -> dict[str, str]:
    # Another process, because this one may have Django set up for another folder.
    command = [sys.executable, "-m", "tests.calibration.end_to_end", "--prepare", str(experiments), started.isoformat()]
    done = subprocess.run(command, cwd=PROJECT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    keys: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return keys


def _answers(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


def _send(
    client: Client, keys: Sequence[str], arrivals: Sequence[Visit], started: datetime
) -> tuple[Outcome, dict[str, dict[str, list[int]]]]:
    """Assign every visitor and send what happened; return what was sent of each experiment: visitors, matured, converted."""
    outcome = Outcome(len(keys), len(arrivals), 0)
    sent = {key: {variant: [0, 0, 0] for variant in VARIANTS} for key in keys}
    final = (started + timedelta(days=HORIZON)).timestamp()
    waiting: list[dict[str, Any]] = []
    for visit in arrivals:
        answers = client.must("POST", "/api/v1/assignments", {"visitor_id": visit.visitor})["assignments"]
        is_mature = visit.met + WINDOW.total_seconds() <= final
        for key in keys:
            variant = answers[key]["variant"]
            counts = sent[key][variant]
            counts[0] += 1
            counts[1] += is_mature
            counts[2] += is_mature and visit.order is not None
            waiting.append(
                _event("$exposure", visit, visit.met, key, properties={"experiment": key, "variant": variant})
            )
        if visit.order is not None:
            waiting.append(_event(METRIC, visit, visit.order, METRIC))
        while len(waiting) >= BATCH:
            _post(client, outcome, waiting[:BATCH])
            del waiting[:BATCH]
    if waiting:
        _post(client, outcome, waiting)
    return outcome, sent


def _event(name: str, visit: Visit, when: float, suffix: str, **more: Any) -> dict[str, Any]:
    identity = {"event_id": f"{visit.visitor}-{suffix}", "visitor_id": visit.visitor}
    return {"name": name, **identity, "timestamp": when, **more}


def _post(client: Client, outcome: Outcome, events: list[dict[str, Any]]) -> None:
    answer = client.must("POST", "/api/v1/events", {"events": events})
    outcome.events += answer["accepted"]
    outcome.refused += len(events) - answer["accepted"]


def _tick(environment: dict[str, str]) -> None:
    """Send the scheduler's message at once instead of waiting up to a minute for it; the broker and the worker are the real ones."""
    command = [sys.executable, "-m", "celery", "--quiet", "--app=config.scheduler", "call", "reports.analyse_due"]
    subprocess.run(command, cwd=PROJECT, env=environment, check=True, stdout=subprocess.DEVNULL)


def _reports(client: Client, keys: Sequence[str], since: datetime) -> dict[str, dict[str, Any]]:
    """Return the report of every experiment once it is of a moment after `since`."""
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    found: dict[str, dict[str, Any]] = {}
    while len(found) < len(keys):
        for key in keys:
            if key not in found:
                status, document = client.ask("GET", f"/api/v1/experiments/{key}/report")
                if status == 200 and datetime.fromisoformat(document["run"]["as_of"]) > since:
                    found[key] = document
        if time.monotonic() > deadline:
            raise AssertionError(f"After {LONGEST_WAIT_SECONDS:.0f} s {len(found)} of {len(keys)} reports are there.")
        time.sleep(0.5)
    return found


def judge(outcome: Outcome, key: str, document: dict[str, Any], sent: dict[str, list[int]]) -> None:
    """Note what a report claims, and whether its counts are those that were sent."""
    (metric,) = document["metrics"]
    counts = {v["variant"]: [v["exposed"], v["visitors"], v["converted"]] for v in metric["values"]}
    visitors = {v["key"]: v["visitors"] for v in document["variants"]}
    if counts != sent or visitors != {variant: numbers[0] for variant, numbers in sent.items()}:
        outcome.wrong_counts.append(f"{key}: reported {counts} and {visitors}, sent {sent}")
    if any(c["claim"] != "open" for c in metric["comparisons"]):
        outcome.claims.append(key)
    if any(f["code"] == "sample_ratio" and f["severity"] == "blocking" for f in document["health"]):
        outcome.doubted_splits.append(key)


def rows(experiments: int, per_day: int = 100) -> Iterator[Row]:
    """Yield the lines of the page."""
    with tempfile.TemporaryDirectory(prefix="inkling-calibration-", ignore_cleanup_errors=True) as folder:
        found = run(experiments, per_day, Path(folder))
    size = f"{found.visitors:,} visitors, {found.events:,} events"
    yield Row(f"events not accepted or counted twice, of {size}", float(found.refused), "0", 0.0, 0.0)
    yield Row("reports with counts other than what was sent", float(len(found.wrong_counts)), "0", 0.0, 0.0)
    low, high = limits(0.05, experiments)
    yield Row("claims something, any look", len(found.claims) / experiments, "0.05", low, high)
    # At most 1 in 100 by the e-process over the days, and 1 in 1,000 by chi-square at the end.
    doubted = len(found.doubted_splits) / experiments
    yield Row("the split is called broken", doubted, "at most 0.011", None, limits(0.011, experiments)[1])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=200)
    parser.add_argument("--per-day", type=int, default=100, help="visitors a day, all variants together")
    parser.add_argument("--prepare", nargs=2, metavar=("N", "START"), help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.prepare is not None:
        experiments, started = asked.prepare
        print(json.dumps(prepare(int(experiments), datetime.fromisoformat(started))))
        return 0
    begun = time.monotonic()
    found = list(rows(asked.experiments, asked.per_day))
    print("\n".join(row.text() for row in found), f"\n{time.monotonic() - begun:.0f} s")
    return 0 if all(row.is_inside for row in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
