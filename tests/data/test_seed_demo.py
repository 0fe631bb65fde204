"""The demo shop through the real doors: each report tells its story, and an instance in use is left alone."""

from __future__ import annotations

import pytest
from django.core.management.base import CommandError

from experiments.models import ApiKey, Experiment, Site
from experiments.services import create_site
from reports.core.simulate import MICROSECONDS_PER_DAY
from reports.management.demo.stories import METRICS, STORIES, demo_shop
from reports.models import AnalysisRun
from tests.data.importing import said
from tracking.selectors import backlog, event_store

NOW = "2026-03-04T15:30:00+00:00"  # a Wednesday afternoon
VERDICTS = {
    "sticky-cart-button": "ship",
    "urgency-countdown": "conflict",
    "new-landing-page": "invalid",
    "larger-photos": "no_effect",
    "trust-badges": "too_early",
}


@pytest.mark.django_db(transaction=True)
def test_seed_demo__empty_database__every_report_tells_its_story() -> None:
    text = said("seed_demo", "--now", NOW)

    runs = {run.experiment.key: run for run in AnalysisRun.objects.select_related("experiment")}
    assert {key: run.result["verdict"]["state"] for key, run in runs.items() if run.result} == VERDICTS
    results = {key: run.result or {} for key, run in runs.items()}
    broken = {key for key, result in results.items() for f in result["health"] if f["severity"] == "blocking"}
    assert broken == {"new-landing-page"}
    assert set(Experiment.objects.filter(status="running").values_list("key", flat=True)) == {
        "urgency-countdown",
        "new-landing-page",
        "trust-badges",
    }
    assert backlog().segments == 0
    names = {row.name: row.events for row in event_store().event_names(site="demo")}
    assert set(names) == {"page_view", "$exposure", *(metric.event for metric in METRICS)}
    for key in ApiKey.objects.filter(kind="client"):
        assert key.public_value in text
    assert "ink_server_" in text

    assert said("seed_demo", "--if-empty") == ""
    with pytest.raises(CommandError, match="has a site already"):
        said("seed_demo")
    assert AnalysisRun.objects.count() == len(STORIES)


@pytest.mark.django_db
def test_seed_demo__site_of_somebody__is_left_alone() -> None:
    create_site(key="mine")
    assert said("seed_demo", "--if-empty") == ""
    with pytest.raises(CommandError, match="only an empty one"):
        said("seed_demo")
    assert Site.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("now", ["today", "2026-03-04T15:30:00"])
def test_seed_demo__moment_without_a_meaning__is_refused(now: str) -> None:
    with pytest.raises(CommandError, match=now):
        said("seed_demo", "--now", now)
    assert not Site.objects.exists()


def test_demo_shop__every_story__is_one_experiment_with_its_effect() -> None:
    midnight = 20_000 * MICROSECONDS_PER_DAY
    shop = demo_shop(midnight)

    assert [e.key for e in shop.experiments] == [s.key for s in STORIES]
    assert shop.start + shop.days * MICROSECONDS_PER_DAY == midnight + MICROSECONDS_PER_DAY
    ended = {e.key for e in shop.experiments if e.end_day is not None}
    assert ended == {"sticky-cart-button", "larger-photos"}
