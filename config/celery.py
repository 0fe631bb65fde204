"""The Celery application. Tasks carry no data and no state: each tick says only "look for due work"."""

import os
import time
import warnings
from pathlib import Path
from typing import Any

from billiard import process as billiard_process
from celery import Celery, Task
from celery.platforms import SecurityWarning
from celery.signals import setup_logging, task_postrun, task_prerun, worker_process_init
from kombu.transport import TRANSPORT_ALIASES

from config import lifeline, telemetry

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Celery warns root of tasks that carry pickled code; ours carry JSON, and in a container root is the usual login.
warnings.filterwarnings("ignore", category=SecurityWarning)
TRANSPORT_ALIASES["filesystem"] = "config.broker:Transport"

app = Celery("inkling")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_our_logging(**_: Any) -> None:
    """Celery leaves logging alone where this signal has a receiver; Django's settings have configured it."""


@worker_process_init.connect
def tie_to_main_process(**_: Any) -> None:
    parent = getattr(billiard_process.current_process(), "_parent_pid", None)
    if os.environ.get(lifeline.MARK) and parent is not None:
        lifeline.tie_to_parent(parent)


@app.on_after_configure.connect
def make_message_folders(sender: Celery, **_: Any) -> None:
    for name in ("data_folder_in", "data_folder_out", "control_folder"):
        folder = sender.conf.broker_transport_options.get(name)
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)


_started_at: dict[str, float] = {}


@task_prerun.connect
def note_start(task_id: str, **_: Any) -> None:
    _started_at[task_id] = time.perf_counter()


@task_postrun.connect
def note_duration(task_id: str, task: Task, state: str | None = None, **_: Any) -> None:
    started = _started_at.pop(task_id, None)
    if started is not None:
        outcome = "done" if state == "SUCCESS" else "failed"
        telemetry.TASK_SECONDS.labels(task.name, outcome).observe(time.perf_counter() - started)
