"""Shipping with a holdback: one step, all or nothing; the follow-up watches the goal and warns when it falls."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client

from experiments import services as experiments
from experiments.core.metrics import Conversion, Role
from experiments.core.refusal import Refused
from experiments.models import Experiment, ExperimentMetric
from experiments.selectors.plans import plan_of
from reports.core.analyse import analyse
from tests.reports import documents
from tests.reports.core import worlds
from tests.reports.factories import NOW, START, make_draft, make_person, make_run, make_running

pytestmark = pytest.mark.django_db


def test_ship__winner__stops_the_experiment_and_holds_back_a_tenth_by_the_same_salt() -> None:
    running = make_running()
    follow_up = experiments.ship_with_holdback(experiment=running, variant="banner", now=NOW)
    running.refresh_from_db()
    assert running.status == "stopped" and "with a holdback" in running.end_reason
    assert follow_up.status == "running" and follow_up.salt == running.salt
    assert {v.key: v.weight for v in follow_up.variants.all()} == {"control": 1_000, "banner": 9_000}
    assert follow_up.ends_at == NOW + timedelta(weeks=8)
    plan = plan_of(follow_up)
    assert [(m.metric.key, m.role) for m in plan.metrics] == [("purchase", Role.PRIMARY)]
    assert plan.holdback_of == running.key and plan.decision_rule == "metric_rule"


def test_ship__control_unknown_or_not_running__is_refused_and_nothing_changes() -> None:
    running = make_running()
    for variant, code in (("control", "unknown_variant"), ("nothing", "unknown_variant")):
        with pytest.raises(Refused) as refused:
            experiments.ship_with_holdback(experiment=running, variant=variant, now=NOW)
        assert refused.value.code == code
    with pytest.raises(Refused, match="draft"):
        experiments.ship_with_holdback(experiment=make_draft("other"), variant="banner", now=NOW)
    running.refresh_from_db()
    assert running.status == "running" and Experiment.objects.count() == 2


def test_ship__without_a_macro_or_twice__is_refused() -> None:
    running = make_running()
    ExperimentMetric.objects.filter(experiment=running, metric__conversion="macro").delete()
    with pytest.raises(Refused) as refused:
        experiments.ship_with_holdback(experiment=running, variant="banner", now=NOW)
    assert refused.value.code == "no_macro"
    make_draft("second-holdback")
    with pytest.raises(Refused) as twice:
        experiments.ship_with_holdback(experiment=make_running("second"), variant="banner", now=NOW)
    assert twice.value.code == "holdback_exists"


def watched(control: int, treatment: int):  # type: ignore[no-untyped-def]
    goal = worlds.metric("buy", Role.PRIMARY, conversion=Conversion.MACRO, window_hours=24)
    plan = worlds.plan(goal, weights={"control": 0.1, "treatment": 0.9}, is_imported=False, horizon_days=56)
    people = worlds.counted({"control": 1_000, "treatment": 9_000}, buy={"control": control, "treatment": treatment})
    found = analyse(replace(plan, holdback_of="banner"), people, worlds.exposures_of(people), as_of=worlds.at_day(14))
    return next((f for f in found.findings if f.code == "holdback_loss"), None)


def test_alarm__goal_falls__warns_with_the_chance_and_stays_silent_while_it_holds() -> None:
    loss = watched(40, 250)  # 4.0 % held back against 2.8 %
    assert loss is not None and loss.severity == "warning"
    assert loss.evidence["chance_of_loss"] > 0.95
    assert watched(25, 250) is None
    assert watched(4, 20) is None  # too few to say


def test_page__shipped_by_the_steps__offers_the_holdback_and_does_it() -> None:
    running = make_running(at=START)
    treatment = {"variant": "banner", "state": "ship_proxy", "quality": [], "step_effects": []}
    document = documents.document(proxy={"prior": {}, "treatments": [treatment]})
    document["verdict"] = {**document["verdict"], "state": "ship"}
    make_run(running, document)
    client = Client()
    client.force_login(make_person("erin", "experimenter", "a-long-enough-password"))
    assert "with a holdback" in client.get(f"/reports/{running.key}/").content.decode()
    viewer = Client()
    viewer.force_login(make_person())
    assert "with a holdback" not in viewer.get(f"/reports/{running.key}/").content.decode()
    assert viewer.post(f"/reports/{running.key}/ship/", {"variant": "banner"}).status_code == 403
    done = client.post(f"/reports/{running.key}/ship/", {"variant": "banner"})
    assert done.status_code == 302 and f"{running.key}-holdback" in done["Location"]
    again = client.post(f"/reports/{running.key}/ship/", {"variant": "banner"}, follow=True)
    assert "Only a running experiment can be shipped" in again.content.decode()
