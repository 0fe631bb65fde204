"""Reading sites for those who keep or delete data on their behalf."""

from __future__ import annotations

from experiments.models import ApiKey, Site


def retention_days() -> dict[str, int]:
    """Return how many days of events each site keeps, by site key."""
    return dict(Site.objects.values_list("key", "retention_days"))


def has_streams() -> bool:
    """Say whether any key in force streams."""
    return ApiKey.objects.filter(streams=True, revoked_at__isnull=True).exists()


def key_names() -> dict[int, str]:
    """Return the names of API keys by primary key."""
    return dict(ApiKey.objects.values_list("pk", "name"))


def primary_key_of(site_key: str) -> int:
    """Return a site's primary key, as forms of the admin take it."""
    return Site.objects.values_list("pk", flat=True).get(key=site_key)
