"""Metrics of time through the whole pipe: events in the real store, the analysis, the schema and the page."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import jsonschema
import numpy as np
import pytest
from django.test import Client

from experiments import services as experiments
from experiments.models import ExperimentMetric
from reports import services
from reports.core.wire_schema import REPORT_SCHEMA
from tests.reports.factories import START, make_draft, make_person
from tracking import services as tracking

pytestmark = pytest.mark.django_db

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def _us(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


def _log() -> list[dict[str, Any]]:
    """Twenty-eight days with 16 visitors a day and variant; in each group of four one buys after a day, one after ten."""
    events: list[dict[str, Any]] = []
    for number in range(28 * 32):
        variant, place = ("control", "banner")[number % 2], number // 2 % 4
        met = START + number * DAY / 32
        visitor = {"visitor_id": f"v{number}"}
        names = {"experiment": "free-shipping", "variant": variant}
        events.append({"name": "$exposure", "timestamp": met.isoformat(), "properties": names, **visitor})
        if place < 2:
            bought = met + (1 if place == 0 else 10) * DAY
            events.append({"name": "purchase", "timestamp": bought.isoformat(), "value": 10.0 + number % 7, **visitor})
    return events


def test_run_analysis__kaplan_meier_and_median__agree_with_numbers_worked_by_hand() -> None:
    draft = make_draft(metrics=False, horizon_weeks=4)
    soon = experiments.ensure_metric(
        site=draft.site, key="soon", event_name="purchase", conversion="macro", kind="time_to_event", window_hours=336
    )
    typical = experiments.ensure_metric(
        site=draft.site, key="typical", event_name="purchase", conversion="macro", kind="quantile", window_hours=24 * 2
    )
    ExperimentMetric.objects.create(experiment=draft, metric=soon, role="primary")
    ExperimentMetric.objects.create(experiment=draft, metric=typical, role="exploratory")
    experiment = experiments.start_experiment(experiment=draft, now=START)
    end = START + 28 * DAY
    log = [e for e in _log() if datetime.fromisoformat(e["timestamp"]) <= end]
    for first in range(0, len(log), 500):
        tracking.ingest(site="shop", events=log[first : first + 500], now_us=_us(end))

    run = services.run_analysis(experiment=experiment, as_of=end + HOUR, now=end + HOUR)

    assert run.result is not None, run.error
    jsonschema.validate(run.result, REPORT_SCHEMA)
    kaplan_meier, median = run.result["metrics"]
    for value in kaplan_meier["values"]:
        # A quarter converts after one day and a quarter after ten; everybody counts, followed to the end or not.
        assert value["visitors"] == value["exposed"] == 28 * 16
        assert value["value"] == pytest.approx(0.5, abs=0.01)
        assert value["working"]["matured"] < value["working"]["effective_visitors"] < value["visitors"]
    assert kaplan_meier["comparisons"][0]["method"] == "kaplan_meier"
    amounts = [10.0 + n % 7 for n in range(0, 28 * 32, 2) if n // 2 % 4 == 0 and n / 32 <= 26]
    by_variant = {v["variant"]: v for v in median["values"]}
    # Buyers within two days, followed that long; the visitor of exactly day 26 is in.
    assert by_variant["control"]["value"] == np.quantile(amounts, 0.5, method="inverted_cdf")
    assert by_variant["control"]["working"]["with_value"] == len(amounts)
    assert median["comparisons"][0]["method"] == "bootstrap"
    timing = run.result["timing"]["metrics"]
    assert [metric["key"] for metric in timing] == ["soon"] and len(timing[0]["weeks"]["weeks"]) == 4

    client = Client()
    client.force_login(make_person())
    page = client.get("/reports/free-shipping/").content.decode()
    assert "share of visitors, by Kaplan-Meier" in page and "median of amounts, visitors who did it" in page
    assert 'id="over-time"' in page
