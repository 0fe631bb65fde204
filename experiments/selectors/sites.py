"""Reading sites for those who keep or delete data on their behalf."""

from __future__ import annotations

from experiments.models import Site


def retention_days() -> dict[str, int]:
    """Return how many days of events each site keeps, by site key."""
    return dict(Site.objects.values_list("key", "retention_days"))
