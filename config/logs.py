"""One line a log record: for people in development, JSON for machines in production."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

import msgspec

# What every record has; whatever else it carries was given with `extra=` and belongs into the line.
_STANDARD = set(vars(logging.makeLogRecord({}))) | {
    *("message", "asctime", "taskName", "data", "color_message"),  # added by formatters and libraries
    *("request", "server_time"),  # added by Django; the message names the address already
}


def _time(record: logging.LogRecord) -> str:
    return dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD and not key.startswith("_")}


class PlainFormatter(logging.Formatter):
    """Time, level, logger, message and extras as key=value; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        extras = "".join(f" {key}={value}" for key, value in _extras(record).items())
        line = f"{_time(record)} {record.levelname:<7} {record.name}: {record.getMessage()}{extras}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line, tracebacks included, so that a log collector never tears a record."""

    def format(self, record: logging.LogRecord) -> str:
        document = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
            **_extras(record),
        }
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(document, enc_hook=str).decode()


class IntendedThreads(logging.Filter):
    """Drop the web server's advice against many threads: ours wait for the disk, not for the processor."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Configuration allows spawning up to")


class NotProbes(logging.Filter):
    """Drop the line that Django writes for each answer of /readyz that says no: the probe's caller has read it."""

    def filter(self, record: logging.LogRecord) -> bool:
        return getattr(getattr(record, "request", None), "path", "") != "/readyz"


def logging_settings(*, as_json: bool, level: str) -> dict[str, Any]:
    """Return Django's LOGGING: everything to standard error, nothing mailed, no second line for the same request."""
    formatter = "config.logs.JsonFormatter" if as_json else "config.logs.PlainFormatter"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "filters": {"not_probes": {"()": "config.logs.NotProbes"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django": {"handlers": [], "level": level, "propagate": True},
            "django.server": {"handlers": [], "level": level, "propagate": True},
            "django.request": {"filters": ["not_probes"]},
            # Every beat tick and every task without work would be a line.
            "celery.beat": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.worker.request": {"level": "WARNING"},
        },
    }
