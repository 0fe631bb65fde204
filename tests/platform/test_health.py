"""The probes: /healthz, /readyz, /metrics."""

from __future__ import annotations

import datetime as dt
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from config import health, telemetry
from config.health import CHECKS
from config.models import Heartbeat
from config.tasks import WORKER, heartbeat


def test_healthz__no_database_allowed__answers(client: Client) -> None:
    # pytest-django refuses every query of a test without the django_db mark.
    response = client.get("/healthz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}
    assert response.headers["Cache-Control"] == "no-store"


def test_healthz__called_by_address_without_tls__answers_all_the_same(client: Client, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert client.get("/healthz", headers={"host": "10.0.0.7:8000"}).status_code == 200


def test_healthz__posted__says_what_is_allowed(client: Client) -> None:
    response = client.post("/healthz")
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD"


@pytest.mark.django_db
def test_readyz__all_parts_work__is_ready(client: Client) -> None:
    heartbeat()
    response = client.get("/readyz")
    document = response.json()
    assert response.status_code == 200, document
    assert set(document["parts"]) == {"database", "broker", "event_store", "worker"}
    assert all(part["ok"] for part in document["parts"].values())


@pytest.mark.django_db
def test_readyz__no_worker_yet__is_not_ready_and_says_so(client: Client) -> None:
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["parts"]["worker"] == {"ok": False, "detail": "no worker has reported yet"}


@pytest.mark.django_db
def test_readyz__worker_silent_for_ten_minutes__says_since_when(client: Client) -> None:
    Heartbeat.objects.create(part=WORKER, beat_at=timezone.now() - dt.timedelta(minutes=10))
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["parts"]["worker"]["detail"] == "the worker last reported 600 s ago"


def test_readyz__a_part_raises__the_others_are_still_asked(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        raise ConnectionError("redis://:secret@host refused")

    monkeypatch.setattr(health, "CHECKS", {"broker": broken, "worker": lambda: "fine"})
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["parts"] == {
        "broker": {"ok": False, "detail": "ConnectionError"},
        "worker": {"ok": True, "detail": "fine"},
    }


def test_check_broker__folders_of_the_embedded_broker__are_reached() -> None:
    assert CHECKS["broker"]() == "filesystem"


@pytest.mark.django_db
def test_metrics__development__are_open_and_in_prometheus_format(client: Client) -> None:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    assert b"inkling_waiting_segments 0.0" in response.content


@pytest.mark.django_db
def test_metrics__worker_reported_a_minute_ago__show_its_age(client: Client) -> None:
    Heartbeat.objects.create(part=WORKER, beat_at=timezone.now() - dt.timedelta(seconds=60))
    (line,) = [
        x for x in client.get("/metrics").content.splitlines() if x.startswith(b"inkling_heartbeat_age_seconds{")
    ]
    assert 60 <= float(line.split()[-1]) < 120


def test_metrics__database_away__other_numbers_are_still_served(client: Client) -> None:
    # Without the django_db mark every query is refused.
    response = client.get("/metrics")
    assert response.status_code == 200
    assert b"inkling_client_requests_total" in response.content


@pytest.mark.django_db
@pytest.mark.parametrize("threads", [1, 8])
def test_note_reply__batches_answered__requests_and_events_are_counted(client: Client, threads: int) -> None:
    def number(name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").content.decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    requests = 'inkling_client_requests_total{address="/api/v1/events",status="202"}'
    outcomes = {"accepted": 3.0, "duplicate": 1.0, "rejected": 2.0}
    names = {outcome: f'inkling_events_total{{outcome="{outcome}"}}' for outcome in outcomes}
    before = {name: number(name) for name in [requests, *names.values()]}

    reply = b'{"accepted":3,"duplicates":1,"rejected":[{"index":0},{"index":4}]}'

    def send(_: int) -> None:
        for _ in range(50):
            telemetry.note_reply("/api/v1/events", 202, reply)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(send, range(threads)))
    answered = 50.0 * threads
    assert number(requests) - before[requests] == answered
    for outcome, each in outcomes.items():
        assert number(names[outcome]) - before[names[outcome]] == each * answered


def test_metrics__production_without_a_token__are_not_served(client: Client, settings: Any) -> None:
    settings.IS_PRODUCTION = True
    response = client.get("/metrics")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "metrics_not_enabled"


@pytest.mark.django_db
@pytest.mark.parametrize(("header", "status"), [("Bearer right-token-123456", 200), ("Bearer wrong", 401), (None, 401)])
def test_metrics__token_set__only_its_bearer_is_answered(
    client: Client, settings: Any, header: str | None, status: int
) -> None:
    settings.METRICS_TOKEN = "right-token-123456"
    headers = {"authorization": header} if header else {}
    assert client.get("/metrics", headers=headers).status_code == status


def test_forget_ended_processes__file_of_a_living_process__stays(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tmp_path / f"counter_{ended.pid}.db").touch()
    (tmp_path / f"counter_{os.getpid()}.db").touch()
    telemetry.forget_ended_processes(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [f"counter_{os.getpid()}.db"]
