"""Certificates: asked for, simulated by a worker, registered with the start, shown in the report."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from experiments import services as experiments
from experiments.models import Experiment, Metric
from experiments.selectors import live
from reports import certificates, planning, tasks
from reports.core.planning.ask import Ask
from reports.core.planning.site_plan import SitePlan
from reports.models import Certificate
from reports.sections.forecast import build as build_forecast
from reports.sections.forecast_words import certificate_words
from reports.selectors import report_input
from tests.reports.factories import make_draft, make_person, make_site
from tracking.core.events import Event
from tracking.core.timestamps import DAY_US
from tracking.stores.memory import MemoryStore

pytestmark = pytest.mark.django_db
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
NOW = TODAY + timedelta(hours=12)
A_DAY = 150


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of the certificates handed to a worker."""
    found: list[int] = []
    monkeypatch.setattr(tasks.simulate_certificate, "delay", found.append)
    return found


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    made = MemoryStore()
    monkeypatch.setattr(planning, "event_store", lambda: made)
    monkeypatch.setattr(certificates, "REPLICATES", 40)
    return made


@pytest.fixture
def draft() -> Experiment:
    experiment = make_draft(site=make_site(), horizon_weeks=4)
    Metric.objects.filter(key="add_to_cart").update(window_hours=24)
    return experiment


@pytest.fixture
def past(store: MemoryStore, draft: Experiment) -> None:
    """Five weeks of 150 new visitors a day; one in five takes something into the cart, one in twenty buys."""
    chance = random.Random(7)
    midnight = (TODAY - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    events = []
    for day in range(1, 36):
        for n in range(A_DAY):
            time = midnight - day * DAY_US + chance.randrange(DAY_US // 2)
            seen = ["page_view"] + ["add_to_cart"] * (n % 5 == 0) + ["purchase"] * (n % 20 == 0)
            events += [
                Event(event_id=f"{day}-{n}-{name}", name=name, visitor_id=f"v{day}-{n}", time=time + k, received=time)
                for k, name in enumerate(seen)
            ]
    store.load("shop", events)


@pytest.fixture
def reader() -> Iterator[Client]:
    client = Client()
    client.force_login(make_person("erin", "experimenter", "a-long-enough-password"))
    yield client


def plan_of_draft(experiment: Experiment) -> SitePlan:
    ask = Ask(site="shop", experiment=experiment.key)
    return planning.plan_for(ask, planning.subject_of(ask), now=NOW)


def simulated(experiment: Experiment) -> Certificate:
    row = certificates.request_certificate(plan=plan_of_draft(experiment), experiment=experiment, now=NOW)
    done = certificates.compute_certificate(certificate_id=row.pk, now=NOW, replicates=40)
    assert done is not None
    return done


@pytest.mark.usefixtures("past")
def test_certificate__site_with_a_past__simulates_its_own_rates_traffic_and_windows(draft: Experiment) -> None:
    row = simulated(draft)
    assert row.status == "done" and row.truths_done == row.truths == 5
    assert row.inputs["reach"] == pytest.approx([0.2, 8 / 150])
    assert row.inputs["per_week"] == pytest.approx(7 * A_DAY)
    assert row.inputs["maturity_days"] == [1.0, 3.0]
    assert (row.inputs["weeks"], row.inputs["preset"]) == (4, "balanced")
    assert [t["truth"] for t in row.result["truths"]] == ["gain", "nothing", "curiosity", "bait", "harm"]
    for truth in row.result["truths"]:
        assert sum(truth["states"].values()) == pytest.approx(1.0)


@pytest.mark.usefixtures("past")
def test_request__same_question_twice__is_one_certificate_and_another_lift_is_another(draft: Experiment) -> None:
    plan = plan_of_draft(draft)
    first, again = (
        certificates.request_certificate(plan=plan, experiment=draft, now=NOW),
        certificates.request_certificate(plan=plan, experiment=draft, now=NOW),
    )
    assert first.pk == again.pk
    ask = Ask(site="shop", experiment=draft.key, lift=0.2)
    bolder = planning.plan_for(ask, planning.subject_of(ask), now=NOW)
    assert certificates.certificate_for(bolder, draft, now=NOW) is None
    assert certificates.certificate_for(plan, draft, now=NOW) == first
    assert certificates.certificate_for(plan, draft, now=NOW + timedelta(days=8)) is None


@pytest.mark.usefixtures("past")
def test_compute__two_workers__one_of_them_simulates_and_a_dead_one_is_followed(draft: Experiment) -> None:
    row = certificates.request_certificate(plan=plan_of_draft(draft), experiment=draft, now=NOW)
    Certificate.objects.filter(pk=row.pk).update(status="running", taken_at=NOW)
    assert certificates.compute_certificate(certificate_id=row.pk, now=NOW + timedelta(minutes=1)) is None
    late = NOW + timedelta(minutes=16)
    done = certificates.compute_certificate(certificate_id=row.pk, now=late, replicates=40)
    assert done is not None and done.status == "done"
    assert certificates.compute_certificate(certificate_id=row.pk, now=late) is None


@pytest.mark.usefixtures("past")
def test_compute__inputs_that_cannot_be__is_kept_as_failed_with_its_reason(draft: Experiment) -> None:
    row = certificates.request_certificate(plan=plan_of_draft(draft), experiment=draft, now=NOW)
    Certificate.objects.filter(pk=row.pk).update(inputs={**row.inputs, "reach": [0.1, 0.2]})
    failed = certificates.compute_certificate(certificate_id=row.pk, now=NOW)
    assert failed is not None and failed.status == "failed"
    assert failed.error["code"] == "simulation_failed" and "0.2" in failed.error["message"]


@pytest.mark.usefixtures("past")
def test_clock__draft_then_start__registers_what_was_simulated_before(draft: Experiment, sent: list[int]) -> None:
    assert tasks.certify_due() == 1
    row = Certificate.objects.get(pk=sent[0])
    assert row.experiment == draft and row.registered_at is None
    tasks.simulate_certificate(row.pk)
    draft.refresh_from_db()
    assert draft.forecast["ship"] == Certificate.objects.get().result["truths"][0]["ship"]
    assert tasks.certify_due() == 0
    started = experiments.start_experiment(experiment=draft, now=row.requested_at + timedelta(hours=1))
    tasks.certify_due()
    registered = certificates.registered_certificate(started)
    assert registered is not None and registered.pk == row.pk
    assert registered.registered_at == started.started_at and not registered.is_late
    view = build_forecast(report_input(started, now=NOW))
    assert view is not None and "before the start" in view.made


@pytest.mark.usefixtures("past")
def test_clock__started_without_one__is_simulated_from_the_history_before_and_called_late(
    draft: Experiment, sent: list[int]
) -> None:
    started = experiments.start_experiment(experiment=draft, now=NOW)
    assert tasks.certify_due() == 1
    tasks.simulate_certificate(sent[0])
    row = certificates.registered_certificate(started)
    assert row is not None and row.is_late
    view = build_forecast(report_input(started, now=NOW))
    assert view is not None and "after the start" in view.made


def test_clock__no_history__is_noted_on_the_draft_and_not_tried_every_tick(
    store: MemoryStore, draft: Experiment, monkeypatch: pytest.MonkeyPatch, sent: list[int]
) -> None:
    assert tasks.certify_due() == 0
    draft.refresh_from_db()
    assert draft.forecast["problem"] == "no_history"
    monkeypatch.setattr(planning, "plan_for", lambda *a, **k: pytest.fail("tried again at once"))
    assert tasks.certify_due() == 0 and sent == []


@pytest.mark.usefixtures("past")
def test_page__button__asks_a_worker_and_the_page_shows_progress_then_the_answer(
    draft: Experiment, reader: Client, sent: list[int]
) -> None:
    address = f"/reports/planner/?experiment={draft.key}"
    page = reader.get(address).content.decode()
    assert "Ways to decide" in page and "Simulate" in page and "answers a different question" in page
    posted = reader.post(f"/reports/planner/simulate/?experiment={draft.key}")
    assert posted.status_code == 302 and posted["Location"].startswith(address)
    waiting = reader.get(address).content.decode()
    assert "0 of 5 truths" in waiting and 'http-equiv="refresh"' in waiting
    tasks.simulate_certificate(sent[0])
    done = reader.get(address).content.decode()
    assert "Curiosity" in done and "Goal alone ships" in done and 'http-equiv="refresh"' not in done


@pytest.mark.usefixtures("past")
def test_api__post_then_get__answers_with_the_certificate(draft: Experiment, sent: list[int]) -> None:
    _, secret = experiments.create_api_key(site=draft.site, kind="server", name="test")
    live.refresh()
    headers = {"Authorization": f"Bearer {secret}"}
    query = f"/api/v1/plan?experiment={draft.key}"
    assert Client().get(query, headers=headers).json()["certificate"] is None
    asked = Client().post(query, headers=headers)
    assert asked.status_code == 202 and asked.json()["certificate"]["status"] == "waiting"
    tasks.simulate_certificate(sent[0])
    found: dict[str, Any] = Client().get(query, headers=headers).json()
    assert found["certificate"]["status"] == "done"
    assert {o["way"] for o in found["options"]} == {"macro_once", "macro_looks", "together", "micro"}


@pytest.mark.usefixtures("store")
def test_api__nothing_to_simulate__is_refused_with_the_reason() -> None:
    site = make_site()
    _, secret = experiments.create_api_key(site=site, kind="server", name="test")
    experiments.ensure_metric(site=site, key="buy", event_name="buy", conversion="macro", window_hours=24)
    live.refresh()
    refused = Client().post(
        "/api/v1/plan?visitors_per_week=1000&rate=0.05", headers={"Authorization": f"Bearer {secret}"}
    )
    assert refused.status_code == 400 and refused.json()["error"]["code"] == "no_funnel"


def test_start__hopeless_forecast__needs_a_tick(draft: Experiment, admin_client: Client) -> None:
    forecast = {"gain": 0.1, "ship": 0.04, "weeks": 3.9, "is_hopeless": True, "at": NOW.isoformat()}
    experiments.note_forecast(experiment=draft, forecast=forecast)
    address = f"/admin/experiments/experiment/do/start/?ids={draft.pk}"
    assert "shipped in 4 % of cases" in admin_client.get(address).content.decode()
    admin_client.post(address, {})
    draft.refresh_from_db()
    assert draft.status == "draft"
    admin_client.post(address, {"knows_it_is_hopeless": "on"})
    draft.refresh_from_db()
    assert draft.status == "running"


@pytest.mark.parametrize(("shipped", "is_said"), [(0.0, True), (0.01, False)])
def test_words__nothing_shipped_in_the_simulation__say_how_often_it_may_happen_all_the_same(
    shipped: float, is_said: bool
) -> None:
    weeks = {"mean": 4.0, "median": 4.0, "p90": 6.0}
    truths = [
        {"truth": truth, "ship": ship, "ship_error": 0.02, "states": {}, "weeks": weeks}
        | {"macro_alone": {"ship": 0.5, "weeks": 6.0}}
        for truth, ship in (("gain", 0.6), ("nothing", shipped))
    ]
    words = certificate_words({"gain": 0.1}, {"truths": truths, "replicates": 600, "is_hopeless": False})
    assert ("0.5" in words.note) == is_said
