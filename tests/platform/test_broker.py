"""Ticks go from the scheduler through a real broker to a real worker, on the embedded transport and on Redis."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from kombu import Connection

from config.broker import Transport
from tests.platform.processes import PROJECT, instance, marked_processes, running, wait_until


def manage(environment: dict[str, str], *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def heartbeats(folder: Path, database: str | None) -> int:
    """Count the worker's rows from outside, without another start of Django."""
    query = "SELECT COUNT(*) FROM platform_heartbeat WHERE part = 'worker'"
    if database is None:
        with closing(sqlite3.connect(folder / "inkling.sqlite3")) as connection:
            return int(connection.execute(query).fetchone()[0])
    with psycopg.connect(database) as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture
def scratch_database(postgres_url: str) -> Iterator[str]:
    name = f"inkling_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
    yield urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def empty_redis(redis_url: str) -> Iterator[str]:
    import redis

    server = redis.Redis.from_url(redis_url)
    server.delete("inkling")
    yield redis_url
    server.delete("inkling")


def prove_a_tick_arrives(folder: Path, environment: dict[str, str]) -> None:
    manage(environment, "migrate", "-v0")
    log = folder / "log"
    with running(["manage.py", "serve", "--only=beat", "--only=worker"], environment, log) as process:
        wait_until(
            lambda: heartbeats(folder, environment.get("DATABASE_URL")) == 1, f"the worker reports\n{log.read_text()}"
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
        assert marked_processes(f"TEST_MARK={log}") == set()
    assert "Traceback" not in log.read_text()


@pytest.mark.processes
def test_ticks__embedded_broker_and_sqlite__reach_the_worker(tmp_path: Path) -> None:
    prove_a_tick_arrives(tmp_path, instance(tmp_path))


@pytest.mark.processes
@pytest.mark.redis
@pytest.mark.postgres
def test_ticks__redis_and_postgresql__reach_the_worker(tmp_path: Path, empty_redis: str, scratch_database: str) -> None:
    prove_a_tick_arrives(tmp_path, instance(tmp_path, INKLING_BROKER_URL=empty_redis, DATABASE_URL=scratch_database))


def test_embedded_broker__writer_dies_before_the_rename__no_message_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {"data_folder_in": str(tmp_path), "data_folder_out": str(tmp_path), "control_folder": str(tmp_path / "c")}
    with Connection(transport=Transport, transport_options=folders) as broker:
        queue = broker.SimpleQueue("ticks")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                queue.put({"n": 1})
        assert queue.qsize() == 0
        queue.put({"n": 2})
        assert queue.get(timeout=5).payload == {"n": 2}
        queue.close()
