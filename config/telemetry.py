"""Prometheus metrics of all processes of one supervisor, kept in files of a folder that it names."""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, multiprocess

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client's own name; read when it is first imported


def exposition() -> tuple[bytes, str]:
    """Return the metrics in Prometheus' text format and their content type."""
    registry = REGISTRY
    if os.environ.get(FOLDER):
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST


def forget_ended_processes(folder: Path) -> None:
    """Delete the metric files of processes that are gone; a file is named after the process that wrote it."""
    for file in folder.glob("*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not _runs(int(pid)):
            file.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
