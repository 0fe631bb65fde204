"""What a probe or a scraper asks: /healthz, /readyz and /metrics.

They are answered before any other middleware, because a load balancer calls by address, without TLS and without a host name.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable

import msgspec
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone

from config import telemetry
from config.models import Heartbeat
from config.state_metrics import state_registry
from config.tasks import WORKER

logger = logging.getLogger(__name__)

HEARTBEAT_LATE_SECONDS = 60  # six ticks of the scheduler


class NotReady(Exception):
    """A part does not work; the message is fit for anyone who can reach the probe."""


def check_database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return connection.vendor


def check_broker() -> str:
    from config.celery import app

    with app.connection_for_write(connect_timeout=3, transport_options={**app.conf.broker_transport_options}) as broker:
        broker.ensure_connection(max_retries=1, timeout=3)
        return str(broker.transport_cls)


def check_event_store() -> str:
    from tracking.selectors import event_store

    store = event_store()
    return type(store).__name__


def check_worker() -> str:
    beat = Heartbeat.objects.filter(part=WORKER).first()
    if beat is None:
        raise NotReady("no worker has reported yet")
    age = (timezone.now() - beat.beat_at).total_seconds()
    if age > HEARTBEAT_LATE_SECONDS:
        raise NotReady(f"the worker last reported {age:.0f} s ago")
    return f"reported {max(age, 0):.0f} s ago"


CHECKS: dict[str, Callable[[], str]] = {
    "database": check_database,
    "broker": check_broker,
    "event_store": check_event_store,
    "worker": check_worker,
}


def healthz(request: HttpRequest) -> HttpResponse:
    """The process is up and answers; nothing else is asked, so that a database outage restarts no web server."""
    return _json({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """All that a full service needs works, part by part."""
    parts: dict[str, dict[str, object]] = {}
    for name, check in CHECKS.items():
        try:
            parts[name] = {"ok": True, "detail": check()}
        except NotReady as reason:
            parts[name] = {"ok": False, "detail": str(reason)}
        except Exception as error:  # noqa: BLE001  # whatever a driver raises, the probe answers and the log says why
            logger.warning("readiness of %s: %s: %s", name, type(error).__name__, error)
            parts[name] = {"ok": False, "detail": type(error).__name__}
    ready = all(part["ok"] for part in parts.values())
    return _json({"status": "ready" if ready else "not_ready", "parts": parts}, status=200 if ready else 503)


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus metrics of all processes. Production answers only who knows INKLING_METRICS_TOKEN."""
    token = settings.METRICS_TOKEN
    if token is None and settings.IS_PRODUCTION:
        return _json(
            {
                "error": {
                    "code": "metrics_not_enabled",
                    "message": "Metrics are not served without a token.",
                    "advice": "Set INKLING_METRICS_TOKEN and send it as `Authorization: Bearer <token>`.",
                }
            },
            status=404,
        )
    given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    if token is not None and not secrets.compare_digest(given.encode(), token.encode()):
        return _json(
            {
                "error": {
                    "code": "wrong_token",
                    "message": "The metrics token is missing or wrong.",
                    "advice": "Send INKLING_METRICS_TOKEN as `Authorization: Bearer <token>`.",
                }
            },
            status=401,
        )
    body, content_type = telemetry.exposition([state_registry()])
    return HttpResponse(body, content_type=content_type)


PROBES: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    "/healthz": healthz,
    "/readyz": readyz,
    "/metrics": metrics,
}


class ProbeMiddleware:
    """Answer the probes; pass everything else on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        probe = PROBES.get(request.path_info)
        if probe is None:
            return self.get_response(request)
        if request.method not in {"GET", "HEAD"}:
            response = HttpResponse(status=405, headers={"Allow": "GET, HEAD"})
        else:
            response = probe(request)
        response.headers["Cache-Control"] = "no-store"
        return response


def _json(document: object, status: int = 200) -> HttpResponse:
    return HttpResponse(msgspec.json.encode(document), status=status, content_type="application/json")
