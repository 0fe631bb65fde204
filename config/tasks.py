"""Periodic tasks of the platform itself."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from config.models import Heartbeat

WORKER = "worker"


@shared_task(name="config.heartbeat")
def heartbeat() -> None:
    """Prove that scheduler, broker, worker and database work together: `/readyz` looks at the age of this row."""
    Heartbeat.objects.update_or_create(part=WORKER, defaults={"beat_at": timezone.now()})
