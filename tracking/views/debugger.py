"""The live debugger: what arrives now, whether it was taken, and what it counts for."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from experiments.core.assign import CompiledRuleset
from experiments.core.metrics import MetricDefinition
from experiments.core.refusal import Refused
from experiments.selectors import live
from experiments.selectors.planning import SiteFacts, metrics_of
from experiments.selectors.sites import key_names
from tracking import journal
from tracking.core.events import ALIAS, EXPOSURE
from tracking.selectors import events_root
from tracking.views.access import chosen_site, for_readers
from tracking.views.feeding import exposure_note, metrics_fed

MOST_ROWS = 100
MOST_TEXT = 160
OUTCOMES = {
    "accepted": ("good", "Accepted"),
    "duplicate": ("quiet", "Seen before"),
    "rejected": ("bad", "Rejected"),
    "refused": ("bad", "Request refused"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `note` says what it counts for, or what is wrong, and `advice` what to do."""

    time: str
    tone: str
    outcome: str
    door: str
    name: str
    visitor: str
    details: str
    note: str
    advice: str


@require_GET
@for_readers
def page(request: HttpRequest) -> HttpResponse:
    site, known = chosen_site(request)
    return render(request, "tracking/debugger.html", {"site": site, "sites": known, "rows": _rows(request, site)})


@require_GET
@for_readers
def rows(request: HttpRequest) -> HttpResponse:
    """Answer the table's lines alone, for the page to renew itself."""
    site, _ = chosen_site(request)
    response = render(request, "tracking/debugger_rows.html", {"rows": _rows(request, site)})
    response["Cache-Control"] = "no-store"
    return response


def _rows(request: HttpRequest, site: SiteFacts | None) -> list[Row]:
    if site is None:
        return []
    journal.write()  # what this very process noted less than a second ago
    wanted = request.GET.get("show", "")
    entries = [
        one
        for one in journal.lately(events_root(), now_us=time.time_ns() // 1000, site=site.key)
        if wanted != "problems" or one.outcome in ("rejected", "refused") or _counts_nothing(one, site.key)
    ]
    keys = key_names()
    try:
        metrics: Sequence[MetricDefinition] = metrics_of(site.key)
    except Refused:
        metrics = ()
    ruleset = live.ruleset(site.key)
    zone = ZoneInfo(site.time_zone)
    return [_row(one, metrics, ruleset, keys, zone) for one in entries[:MOST_ROWS]]


def _counts_nothing(entry: journal.Entry, site: str) -> bool:
    return entry.name == EXPOSURE and exposure_note(live.ruleset(site), entry.properties).startswith("counts nothing")


def _row(
    entry: journal.Entry,
    metrics: Sequence[MetricDefinition],
    ruleset: CompiledRuleset | None,
    keys: Mapping[int, str],
    zone: ZoneInfo,
) -> Row:
    tone, outcome = OUTCOMES[entry.outcome]
    note = entry.message
    if entry.outcome == "accepted":
        note = _note(entry.name, entry.visitor, entry.properties, metrics, ruleset)
        if note.startswith("counts nothing"):
            tone = "warn"
    elif entry.outcome == "duplicate":
        note = f"{entry.count} with an id that was seen before: counted once"
    door = entry.source
    if entry.key is not None:
        door += f", {keys.get(entry.key, 'a deleted key')}"
    details = json.dumps(entry.properties, ensure_ascii=False) if entry.properties else ""
    if entry.value is not None:
        details = f"value {entry.value:g} {details}"
    return Row(
        time=datetime.fromtimestamp(entry.time / 1e6, tz=zone).strftime("%H:%M:%S"),
        tone=tone,
        outcome=outcome,
        door=door,
        name=entry.name,
        visitor=entry.visitor,
        details=details if len(details) <= MOST_TEXT else f"{details[:MOST_TEXT]}…",
        note=note,
        advice=entry.advice,
    )


def _note(
    name: str,
    visitor: str,
    properties: Mapping[str, Any],
    metrics: Sequence[MetricDefinition],
    ruleset: CompiledRuleset | None,
) -> str:
    if name == EXPOSURE:
        return exposure_note(ruleset, properties)
    if name == ALIAS:
        known = f", a known user is {properties['user']}" if properties.get("user") else ""
        return f"{visitor} and {properties.get('alias')} are one visitor{known}"
    fed = metrics_fed(metrics, name, properties)
    return f"feeds {', '.join(fed)}" if fed else "feeds no metric"
