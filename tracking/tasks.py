"""Ticks of the beat. No task carries data: each looks for what is due, and one that is lost costs nothing but time."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from experiments.selectors import sites
from tracking import services


@shared_task(name="tracking.compact")
def compact() -> None:
    services.compact_due()


@shared_task(name="tracking.expire")
def expire() -> None:
    services.expire(retention_days=sites.retention_days(), now=timezone.now())
