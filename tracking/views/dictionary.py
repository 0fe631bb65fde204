"""The event dictionary: every name that was seen, with its properties, and what no metric uses or no event feeds."""

from __future__ import annotations

import difflib
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from experiments.core.metrics import MetricDefinition
from experiments.core.refusal import Refused
from experiments.selectors.planning import SiteFacts, metrics_of
from experiments.selectors.sites import primary_key_of
from tracking.core.timestamps import DAY_US
from tracking.core.totals import EventNameSummary
from tracking.selectors import event_store
from tracking.views.access import chosen_site, for_readers

RECENT_DAYS = 14
MOST_PROPERTIES = 12


@dataclass(frozen=True, slots=True)
class Known:
    """One event name. `make` is the address that makes a metric of it; empty where one exists or the name is Inkling's own."""

    name: str
    events: str
    visitors: str
    first: str
    last: str
    sources: str
    properties: str
    metrics: str
    make: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A metric whose event was never seen, with names that may have been meant."""

    metric: str
    event: str
    near: str


@require_GET
@for_readers
def page(request: HttpRequest) -> HttpResponse:
    site, known = chosen_site(request)
    context: dict[str, Any] = {"site": site, "sites": known, "days": RECENT_DAYS}
    if site is not None:
        names = event_store().event_names(site=site.key)
        try:
            metrics = metrics_of(site.key)
        except Refused:
            metrics = []
        context |= {"names": _known(site, names, metrics), "missing": missing_events(names, metrics)}
    return render(request, "tracking/dictionary.html", context)


def missing_events(names: Sequence[EventNameSummary], metrics: Sequence[MetricDefinition]) -> list[Missing]:
    """Return the metrics whose event was never seen."""
    seen = [one.name for one in names]
    found = []
    for metric in metrics:
        for event in filter(None, (metric.event, metric.denominator_event)):
            if event not in seen:
                near = difflib.get_close_matches(event, seen, n=2, cutoff=0.5)
                found.append(Missing(metric.name or metric.key, event, " or ".join(near)))
    return found


def _known(site: SiteFacts, names: Sequence[EventNameSummary], metrics: Sequence[MetricDefinition]) -> list[Known]:
    since = time.time_ns() // 1000 - RECENT_DAYS * DAY_US
    kinds: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for seen in event_store().event_properties(site=site.key, since=since):
        kinds[seen.event][seen.name].add(seen.kind)
    zone = ZoneInfo(site.time_zone)

    def when(moment: int) -> str:
        return datetime.fromtimestamp(moment / 1e6, tz=zone).strftime("%Y-%m-%d %H:%M")

    site_id = primary_key_of(site.key)
    found = []
    for one in names:
        fed = [m.name or m.key for m in metrics if one.name in (m.event, m.denominator_event)]
        own = kinds[one.name]
        listed = [f"{name}: {' or '.join(sorted(own[name]))}" for name in sorted(own)[:MOST_PROPERTIES]]
        if len(own) > MOST_PROPERTIES:
            listed.append(f"and {len(own) - MOST_PROPERTIES} more")
        make = ""
        if not fed and not one.name.startswith("$"):
            name = one.name.replace("_", " ").capitalize()
            asked = {"site": site_id, "event_name": one.name, "name": name, "key": one.name}
            make = f"{reverse('admin:experiments_metric_add')}?{urlencode(asked)}"
        found.append(
            Known(
                name=one.name,
                events=f"{one.events:,}",
                visitors=f"{one.visitors:,}",
                first=when(one.first_seen),
                last=when(one.last_seen),
                sources=", ".join(one.sources),
                properties=", ".join(listed),
                metrics=", ".join(fed),
                make=make,
            )
        )
    return found
