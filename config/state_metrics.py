"""Metrics read from the state itself when a scraper asks: nothing is counted twice, and nothing is lost by a restart."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from django.apps import apps
from django.db.models import Count, Max
from django.utils import timezone
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from config.models import Heartbeat

logger = logging.getLogger(__name__)


def heartbeats() -> Iterator[Metric]:
    family = GaugeMetricFamily(
        "inkling_heartbeat_age_seconds", "Since a part of the platform last reported.", labels=["part"]
    )
    now = timezone.now()
    for beat in Heartbeat.objects.all():
        family.add_metric([beat.part], (now - beat.beat_at).total_seconds())
    yield family


def intake() -> Iterator[Metric]:
    from tracking.selectors import backlog

    waiting = backlog()
    yield GaugeMetricFamily("inkling_waiting_segments", "Segments not in the store yet.", value=waiting.segments)
    yield GaugeMetricFamily(
        "inkling_waiting_bytes", "Bytes acknowledged and not in the store yet.", value=waiting.bytes
    )
    if waiting.last_taken_over is not None:
        lag = (timezone.now() - waiting.last_taken_over).total_seconds() if waiting.segments else 0.0
        yield GaugeMetricFamily(
            "inkling_compaction_lag_seconds", "Since the last compaction, while events wait for one.", value=lag
        )


def analysis() -> Iterator[Metric]:
    runs = CounterMetricFamily("inkling_analysis_runs", "Runs of the analysis.", labels=["status"])
    newest = GaugeMetricFamily("inkling_analysis_last_age_seconds", "Since the last run.", labels=["status"])
    now = timezone.now()
    rows = apps.get_model("reports", "AnalysisRun").objects.order_by().values("status")
    for row in rows.annotate(runs=Count("pk"), last=Max("finished_at")):
        runs.add_metric([row["status"]], row["runs"])
        newest.add_metric([row["status"]], (now - row["last"]).total_seconds())
    yield runs
    yield newest


SOURCES: tuple[Callable[[], Iterator[Metric]], ...] = (heartbeats, intake, analysis)


class State(Collector):
    def collect(self) -> Iterator[Metric]:
        for source in SOURCES:
            try:
                yield from list(source())
            except Exception:  # a database that is away must not hide the other numbers
                logger.exception("Metrics of %s cannot be read.", source.__name__)


def state_registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(State())
    return registry
