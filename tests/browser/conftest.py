"""A real Chromium on the product's own pages, filled with experiments that try the layout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, sync_playwright
from pytest_django.live_server_helper import LiveServer

from experiments import services as experiments
from tests.reports import documents
from tests.reports.factories import make_draft, make_person, make_run, make_running

PASSWORD = "a-long-enough-password"


@pytest.fixture(scope="session", autouse=True)
def _playwright_and_django() -> Iterator[None]:
    # Playwright runs an event loop in this thread, and Django would refuse the database beside one.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    yield
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
    else:
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    from tests.services import chromium_path

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path())
        yield browser
        browser.close()


@pytest.fixture
def shop(transactional_db: Any, live_server: LiveServer) -> str:
    """Fill the database with an experiment in every state and return the address of the site."""
    now = timezone.now()
    start = now - timedelta(days=27)
    make_run(make_running(at=start, planned_visitors=3000), documents.document(), at=now - timedelta(minutes=8))
    names = [v["key"] for v in documents.five_variants()["variants"]]
    long_name = "Checkout rebuilt: one page instead of four, address completion, and no account needed before paying"
    five = make_running("five", at=now - timedelta(days=11), variants=names, name=long_name)
    make_run(five, documents.five_variants(), at=now - timedelta(minutes=3))
    make_running("waiting", at=now - timedelta(hours=3), name="Navigation at the bottom on phones")
    broken = make_running("broken", at=now - timedelta(days=9), name="Loyalty teaser")
    blocked = documents.finding(
        "sample_ratio", "blocking", "The split is broken", "Far from half and half.", p_value=1e-9
    )
    invalid = {"state": "invalid", "summary": "Do not trust these numbers: the split is broken.", "reasons": []}
    make_run(broken, documents.document(verdict=invalid, health=[blocked]), at=now - timedelta(minutes=30))
    make_run(broken, None, at=now - timedelta(minutes=4))
    old = make_running("old", at=now - timedelta(days=80), name="Shorter product texts")
    make_run(old, documents.document(), at=now - timedelta(days=50))
    experiments.stop_experiment(experiment=old, reason="Planned end.", now=now - timedelta(days=52))
    make_draft("draft")
    make_person("erin", "experimenter", PASSWORD)
    return live_server.url
