"""Signs of life of the parts that no request reaches."""

from __future__ import annotations

from django.db import models


class Heartbeat(models.Model):
    """When a part of the platform last did its work."""

    part = models.CharField(max_length=50, unique=True)
    beat_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.part} at {self.beat_at:%Y-%m-%d %H:%M:%S}"
