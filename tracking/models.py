"""The manifest of the event store: which files hold the events, which segments they came from, and who is at work."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class EventFile(models.Model):
    """One immutable Parquet file of a site and an event day (UTC). Readers see exactly the files listed here."""

    site = models.CharField(max_length=100)
    day = models.DateField()
    path = models.CharField(max_length=300, unique=True, help_text="Relative to the event store's root.")
    rows = models.PositiveBigIntegerField()
    size_bytes = models.PositiveBigIntegerField()
    first_time = models.BigIntegerField(help_text="Microseconds since 1970 UTC.")
    last_time = models.BigIntegerField(help_text="Microseconds since 1970 UTC.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["site", "day", "id"]
        indexes = [models.Index(fields=["site", "day"])]

    def __str__(self) -> str:
        return self.path


class ConsumedSegment(models.Model):
    """A segment whose events are in the store; its file may be deleted, and must not be read again."""

    name = models.CharField(max_length=200, unique=True)
    events = models.PositiveBigIntegerField()
    consumed_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


class Lease(models.Model):
    """A claim on one piece of work that ends by itself, so that a killed worker blocks nobody for long."""

    work = models.CharField(max_length=200, unique=True)
    holder = models.CharField(max_length=100)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.work} held by {self.holder}"
