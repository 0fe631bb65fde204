"""The programs that make one Inkling: web, scheduler and worker, in the order in which they stop."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings

from config.supervisor import Program

NAMES = ("web", "streams", "beat", "worker")


def programs(names: Iterable[str]) -> list[Program]:
    """Return the programs of these names. Web goes first at a stop, so that no request meets a half stopped house. `streams` is
    needed only where a key streams.
    """
    makers = {"web": _web, "streams": _streams, "beat": _beat, "worker": _worker}
    wanted = set(names)
    return [makers[name]() for name in NAMES if name in wanted]


def _web() -> Program:
    return Program(
        name="web",
        module="granian",
        arguments=(
            "--interface=wsgi",
            f"--host={settings.HOST}",
            f"--port={settings.PORT}",
            f"--workers={settings.WEB_WORKERS}",
            f"--blocking-threads={settings.WEB_THREADS}",
            f"--backpressure={settings.WEB_THREADS * 4}",
            "--no-ws",
            "--respawn-failed-workers",
            "--respawn-interval=0.5",
            "--workers-kill-timeout=8",
            "--log-level=warning",
            f"--log-config={_granian_logging()}",
            "config.wsgi:application",
        ),
        stop_seconds=12,
    )


def _streams() -> Program:
    return Program(
        name="streams",
        module="granian",
        arguments=(
            "--interface=asgi",
            f"--host={settings.HOST}",
            f"--port={settings.STREAM_PORT}",
            "--workers=1",
            "--no-ws",
            "--respawn-failed-workers",
            "--workers-kill-timeout=2",
            "--log-level=warning",
            f"--log-config={_granian_logging()}",
            "config.streams:application",
        ),
        stop_seconds=6,
    )


def _worker() -> Program:
    return Program(
        name="worker",
        module="celery",
        arguments=(
            "--quiet",
            "--app=config.celery",
            "worker",
            "--pool=prefork",
            f"--concurrency={settings.JOB_WORKERS}",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            f"--loglevel={settings.LOGGING['root']['level']}",
        ),
        stop_seconds=20,
    )


def _beat() -> Program:
    return Program(
        name="beat",
        module="celery",
        arguments=(
            "--quiet",
            "--app=config.scheduler",
            "beat",
            "--pidfile=",
            f"--loglevel={settings.LOGGING['root']['level']}",
        ),
        stop_seconds=5,
    )


def _granian_logging() -> Path:
    """Write the server's log configuration, so that its lines look like ours."""
    ours: dict[str, Any] = settings.LOGGING
    level = "WARNING"
    document = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": ours["formatters"],
        "filters": {"intended": {"()": "config.logs.IntendedThreads"}},
        "handlers": {"stderr": {**ours["handlers"]["stderr"], "filters": ["intended"]}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            name: {"handlers": ["stderr"], "level": level, "propagate": False}
            for name in ("_granian", "granian.access")
        },
    }
    path: Path = settings.DATA_DIR / "server-logging.json"
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(document))
    fresh.rename(path)
    return path
