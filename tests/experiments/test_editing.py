"""What may still change once an experiment has started, and what publishing does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from experiments import services
from experiments.core.lifecycle import Status
from experiments.core.refusal import Refused
from experiments.models import Experiment, ExperimentMetric, Holdout, Layer, PublishedRuleset, Variant
from experiments.selectors.plans import frozen_hash_of, plan_of
from tests.experiments.shop import NOW, make_draft, make_site, make_with_status

pytestmark = pytest.mark.django_db

FREE = {"name": "New name", "description": "More words", "tags": ["a"], "traffic": 2_000, "ends_at": NOW + timedelta(9)}
LOCKED: dict[str, Any] = {
    "key": "other",
    "hypothesis": "Changed my mind",
    "change_type": "copy",
    "target_step": "add_to_cart",
    "audience": {"country": "PT"},
    "hash_attribute": "email",
    "layer_start": 10,
    "layer_end": 9_000,
    "risk_preset": "fast",
    "look_every_days": 7,
    "futility": "never",
    "monitoring": "confidence_sequence",
    "horizon_weeks": 9,
    "planned_visitors": 100,
    "covariates": ["returning"],
    "starts_at": NOW - timedelta(days=400),
}


@pytest.mark.parametrize("status", ["running", "paused"])
@pytest.mark.parametrize("field", FREE)
def test_save__a_free_field_of_a_started_experiment__is_stored(status: str, field: str) -> None:
    experiment = make_with_status(status)
    setattr(experiment, field, FREE[field])
    services.save_experiment(experiment=experiment, now=NOW)
    assert getattr(Experiment.objects.get(pk=experiment.pk), field) == FREE[field]


@pytest.mark.parametrize("status", ["running", "paused", "stopped"])
@pytest.mark.parametrize("field", LOCKED)
def test_save__a_locked_field_of_a_started_experiment__is_refused_and_named(status: str, field: str) -> None:
    experiment = make_with_status(status)
    before = getattr(experiment, field)
    setattr(experiment, field, LOCKED[field])
    with pytest.raises(Refused) as refused:
        services.save_experiment(experiment=experiment, now=NOW)
    assert refused.value.code == "plan_frozen"
    assert field in refused.value.message
    assert getattr(Experiment.objects.get(pk=experiment.pk), field) == before


def test_save__every_editable_field__is_either_free_or_locked_here() -> None:
    editable = {f.name for f in Experiment._meta.concrete_fields if f.editable and not f.primary_key}
    elsewhere = {"site", "owner", "layer", "holdout", "retest_of"}
    assert editable == set(FREE) | set(LOCKED) | elsewhere


@pytest.mark.parametrize("field", ["traffic", "ends_at"])
def test_save__traffic_or_end_of_a_stopped_experiment__is_refused(field: str) -> None:
    experiment = make_with_status("stopped")
    setattr(experiment, field, FREE[field])
    with pytest.raises(Refused, match=field):
        services.save_experiment(experiment=experiment, now=NOW)


@pytest.mark.parametrize(("field", "value"), [("status", "running"), ("salt", "x"), ("started_at", NOW)])
def test_save__a_draft_that_sets_what_only_starting_sets__is_refused(field: str, value: Any) -> None:
    draft = make_draft()
    setattr(draft, field, value)
    with pytest.raises(Refused) as refused:
        services.save_experiment(experiment=draft, now=NOW)
    assert refused.value.code == "lifecycle_field"
    assert Experiment.objects.get(pk=draft.pk).status == Status.DRAFT


def test_rows__variant_of_a_started_experiment__can_neither_change_nor_come_nor_go() -> None:
    experiment = make_with_status("running")
    variant = experiment.variants.get(key="treatment")
    variant.weight = 100
    for save, delete in (([variant], []), ([Variant(key="third", weight=1)], []), ([], [variant])):
        with pytest.raises(Refused) as refused:
            services.save_draft_rows(experiment=experiment, now=NOW, save=save, delete=delete)
        assert refused.value.code == "plan_frozen"
    assert list(experiment.variants.values_list("key", "weight")) == [("control", 5_000), ("treatment", 5_000)]


def test_rows__changed_metric_of_a_started_experiment__is_refused() -> None:
    experiment = make_with_status("running")
    row = experiment.experiment_metrics.get(role="guardrail")
    row.margin = 0.5
    with pytest.raises(Refused):
        services.save_draft_rows(experiment=experiment, now=NOW, save=[row])
    assert experiment.experiment_metrics.get(role="guardrail").margin == 0.1


def test_rows__control_passed_from_one_variant_to_another__is_stored() -> None:
    draft = make_draft()
    old, new = draft.variants.get(key="control"), draft.variants.get(key="treatment")
    old.is_control, new.is_control = False, True
    services.save_draft_rows(experiment=draft, now=NOW, save=[new, old])
    assert draft.variants.get(is_control=True).key == "treatment"


def test_late_metric__asked_for_as_primary__is_exploratory_and_leaves_the_frozen_plan_as_it_was() -> None:
    experiment = make_with_status("running")
    before, frozen_hash = plan_of(experiment), frozen_hash_of(experiment)
    late = services.ensure_metric(site=experiment.site, key="newsletter")
    services.save_draft_rows(experiment=experiment, now=NOW, save=[ExperimentMetric(metric=late, role="primary")])
    after = plan_of(experiment)
    assert after.metrics[:-1] == before.metrics
    assert (after.metrics[-1].role, after.metrics[-1].added_after_start) == ("exploratory", True)
    assert frozen_hash_of(experiment) == frozen_hash


@pytest.mark.parametrize("case", ["twice", "other site"])
def test_late_metric__that_cannot_be_added__is_refused(case: str) -> None:
    experiment = make_with_status("running")
    if case == "twice":
        metric, code = experiment.experiment_metrics.get(role="proxy").metric, "metric_already_there"
    else:
        metric, code = services.ensure_metric(site=make_site("blog"), key="read"), "metric_of_another_site"
    with pytest.raises(Refused) as refused:
        services.add_exploratory_metric(experiment=experiment, metric=metric)
    assert refused.value.code == code


def test_publish__nothing_changed__gives_the_same_version_again() -> None:
    experiment = make_with_status("running")
    newest = PublishedRuleset.objects.latest("version")
    assert services.publish_ruleset(site=experiment.site, now=NOW) == newest
    experiment.name = "Names are not for clients"
    services.save_experiment(experiment=experiment, now=NOW)
    assert PublishedRuleset.objects.latest("version") == newest


def test_publish__traffic_changed__gives_the_next_version_with_it() -> None:
    experiment = make_with_status("running")
    newest = PublishedRuleset.objects.latest("version").version
    services.change_traffic(experiment=experiment, traffic=2_500, now=NOW)
    latest = PublishedRuleset.objects.latest("version")
    assert (latest.version, latest.document["experiments"][0]["traffic"]) == (newest + 1, 2_500)


@pytest.mark.parametrize("traffic", [-1, 10_001])
def test_change_traffic__off_the_grid__is_refused_with_the_value(traffic: int) -> None:
    with pytest.raises(Refused, match=str(traffic)):
        services.change_traffic(experiment=make_draft(), traffic=traffic, now=NOW)


def test_publish__archived_and_other_sites__stay_out() -> None:
    make_with_status("archived", "old")
    running = make_with_status("running", "now")
    make_draft("elsewhere", site=make_site("blog"))
    newest = PublishedRuleset.objects.filter(site=running.site).latest("version")
    assert [rule["key"] for rule in newest.document["experiments"]] == ["now"]


def test_holdout__share_changed_while_an_experiment_uses_it__is_refused() -> None:
    site = make_site()
    holdout = Holdout.objects.create(site=site, key="all", name="All", share=500)
    experiment = make_draft(site=site, holdout=holdout)
    holdout.share = 600
    services.save_holdout(holdout=holdout, now=NOW)
    services.start_experiment(experiment=experiment, now=NOW)
    holdout.share = 700
    with pytest.raises(Refused) as refused:
        services.save_holdout(holdout=holdout, now=NOW)
    assert refused.value.code == "holdout_in_use"
    assert Holdout.objects.get().share == 600


def test_layer_and_holdout__reach_the_ruleset_with_their_seeds() -> None:
    site = make_site()
    layer = Layer.objects.create(site=site, key="top", name="Top")
    holdout = Holdout.objects.create(site=site, key="all", name="All", share=500)
    make_draft(site=site, layer=layer, layer_end=4_000, holdout=holdout)
    (rule,) = PublishedRuleset.objects.latest("version").document["experiments"]
    assert rule["layer"] == {"key": "top", "seed": layer.seed, "start": 0, "end": 4_000}
    assert rule["holdout"] == {"key": "all", "seed": holdout.seed, "share": 500}


def test_owner__of_a_started_experiment__may_change() -> None:
    experiment = make_with_status("running")
    experiment.owner = User.objects.create_user("ann")
    services.save_experiment(experiment=experiment, now=NOW)
    assert Experiment.objects.get(pk=experiment.pk).owner.username == "ann"
