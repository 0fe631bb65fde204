"""Learning wired: finished experiments feed it, a later start freezes it, the report says so."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from experiments import services as experiments
from experiments.core.plan import AnalysisPlan
from experiments.models import Experiment, ExperimentMetric, Metric, Site
from experiments.selectors.planning import planning_draft, sites
from experiments.selectors.plans import plan_of
from reports import learning, tasks
from reports.core.proxy.classes import VariantClass
from reports.core.proxy.judging import prior_of
from reports.core.proxy.reached import Reached, plan_steps
from reports.models import ProxyEvidence
from reports.sections.proxy import build as build_proxy
from tests.reports import documents
from tests.reports.factories import NOW, START, make_draft, make_run, make_site

pytestmark = pytest.mark.django_db

BASE = (20_000, 4_000, 1_000)


def funnel(treatment: tuple[int, int, int], control: tuple[int, int, int] = BASE) -> dict[str, Any]:
    steps = []
    for n, key in enumerate(("add_to_cart", "purchase")):
        counts = {"control": control, "banner": treatment}
        steps.append(
            {
                "key": key,
                "name": key,
                "variants": [{"variant": v, "at_risk": c[n], "reached": c[n + 1]} for v, c in counts.items()],
            }
        )
    return {"steps": steps, "places": []}


def finished(key: str, treatment: tuple[int, int, int], *, state: str = "no_effect", **fields: Any) -> Experiment:
    experiment = make_draft(key, metrics=False, **fields)
    for metric in Metric.objects.filter(key__in=["add_to_cart", "purchase"]):
        role = "proxy" if metric.key == "add_to_cart" else "guardrail"
        margin = None if role == "proxy" else 0.1
        ExperimentMetric.objects.create(experiment=experiment, metric=metric, role=role, margin=margin)
    started = experiments.start_experiment(experiment=experiment, now=START)
    stopped = experiments.stop_experiment(experiment=started, reason="Over.", now=NOW - timedelta(hours=1))
    document = documents.document(funnel=funnel(treatment))
    document["verdict"] = {**document["verdict"], "state": state}
    make_run(stopped, document)
    return stopped


@pytest.fixture
def site() -> Site:
    site = make_site()
    make_draft("first", site=site)
    Metric.objects.filter(key="add_to_cart").update(window_hours=24)
    return site


BAIT, NOTHING = (20_000, 4_700, 960), (20_000, 4_010, 1_003)


def test_learn__bait_and_nothing_alike_whatever_the_verdict__counts_every_finished_experiment(site: Site) -> None:
    for n in range(8):
        finished(f"bait-{n}", BAIT, state="conflict")
    for n in range(4):
        finished(f"nothing-{n}", NOTHING)
    finished("broken", BAIT, state="invalid")
    past = learning.past_comparisons("shop", now=NOW)
    assert len(past) == 12 and {one.steps for one in past} == {("add_to_cart", "purchase")}
    evidence, priors = learning.learn_site(site_key="shop", now=NOW)
    family = learning.proxy_evidence("shop", "layout")
    assert family is not None and family["grade"] == "B" and family["comparisons"] == 12
    assert family["shares"]["bait"] > 0.2 > 0.11
    assert set(priors) == {"", "other", "layout", "navigation", "performance", "trust"}
    assert priors["layout"]["evidence"] == evidence.pk
    promotion = learning.proxy_evidence("shop", "promo")
    assert promotion is not None and promotion["grade"] == "D"


def test_learn__imported_ones__count_a_quarter(site: Site) -> None:
    for n in range(4):
        Experiment.objects.filter(pk=finished(f"e{n}", BAIT).pk).update(is_imported=True)
    learning.learn_site(site_key="shop", now=NOW)
    family = learning.proxy_evidence("shop")
    assert family is not None and family["experiments"] == pytest.approx(1.0, abs=0.01)


def test_learn__nothing_new__stores_nothing_new_and_evidence_is_never_changed(site: Site) -> None:
    finished("e", BAIT)
    first, _ = learning.learn_site(site_key="shop", now=NOW)
    again, _ = learning.learn_site(site_key="shop", now=NOW + timedelta(days=1))
    assert first.pk == again.pk
    finished("f", NOTHING)
    third, _ = learning.learn_site(site_key="shop", now=NOW)
    assert third.pk != first.pk
    with pytest.raises(TypeError, match="append-only"):
        third.save()


def test_start__after_ten_experiments__freezes_what_was_learnt_and_the_engine_uses_it(site: Site) -> None:
    before = experiments.start_experiment(experiment=Experiment.objects.get(key="first"), now=NOW)
    # The task goes by the clock, for which they ended a while ago and count less.
    for n in range(24):
        finished(f"bait-{n}", BAIT)
    assert tasks.learn_proxies() == 1
    later = make_draft("later", site=site, metrics=False)
    for row in before.experiment_metrics.all():
        ExperimentMetric.objects.create(experiment=later, metric=row.metric, role=row.role, margin=row.margin)
    plan = plan_of(experiments.start_experiment(experiment=Experiment.objects.get(pk=later.pk), now=NOW))
    assert plan.learned is not None and plan.learned.grade == "B"
    assert AnalysisPlan.from_document(plan.to_document()) == plan
    reached = Reached(plan_steps(plan), (), (), {}, {})
    prior = prior_of(plan, reached)
    assert prior.shares[VariantClass.BAIT] > 0.2 and len(prior.pass_throughs) == 4
    # The certificate of the next draft reckons with the same.
    again = make_draft("again", site=site, metrics=False)
    assert planning_draft(Experiment.objects.get(pk=again.pk)).learned == plan.learned
    assert next(one.learned for one in sites() if one.key == "shop") == plan.learned
    # What started before keeps what it started with.
    assert plan_of(before).learned is None and "learned" not in plan_of(before).to_document()


def test_report__learned_prior__says_where_it_comes_from() -> None:
    words = build_proxy.__globals__["_source"]
    assert "worth 12 fresh ones (grade B)" in words({"learned_from": 12.2, "grade": "B"})
    assert "everybody begins with" in words({})


def test_command__site_with_experiments__prints_what_was_learnt(site: Site) -> None:
    for n in range(24):
        finished(f"bait-{n}", BAIT)
    out = StringIO()
    call_command("learn_proxies", stdout=out)
    text = out.getvalue()
    assert "24 comparisons" in text and "grade B" in text and "add_to_cart" in text
    site.refresh_from_db()
    assert site.learned_priors["layout"]["grade"] == "B"
    assert ProxyEvidence.objects.count() == 1
