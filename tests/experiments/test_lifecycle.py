"""The lifecycle table, every action against every status, and what starting, stopping and cloning leave behind."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

import pytest

from experiments import services
from experiments.core.lifecycle import TRANSITIONS, Action, Status, TransitionRefused, allowed_actions, transition_for
from experiments.core.readiness import StartRefused
from experiments.core.refusal import Refused
from experiments.models import Experiment, ExperimentMetric, FrozenPlan, PublishedRuleset, Variant
from experiments.selectors.plans import plan_of
from tests.experiments.shop import NOW, make_draft, make_with_status

# Written out by hand from DESIGN.md section 3, not read from the table under test.
EXPECTED = {
    ("draft", "start"): "running",
    ("running", "pause"): "paused",
    ("paused", "resume"): "running",
    ("running", "stop"): "stopped",
    ("paused", "stop"): "stopped",
    ("draft", "archive"): "archived",
    ("stopped", "archive"): "archived",
}
PAIRS = list(product([s.value for s in Status], [a.value for a in Action]))


def _do(action: str, experiment: Experiment) -> Experiment:
    match action:
        case "start":
            return services.start_experiment(experiment=experiment, now=NOW)
        case "pause":
            return services.pause_experiment(experiment=experiment, now=NOW)
        case "resume":
            return services.resume_experiment(experiment=experiment, now=NOW)
        case "stop":
            return services.stop_experiment(experiment=experiment, reason="Because.", now=NOW)
        case "archive":
            return services.archive_experiment(experiment=experiment, now=NOW)
    raise AssertionError(action)


@pytest.mark.parametrize(("status", "action"), PAIRS)
def test_transition_for__every_pair__is_as_written_by_hand(status: str, action: str) -> None:
    expected = EXPECTED.get((status, action))
    if expected is None:
        with pytest.raises(TransitionRefused) as refused:
            transition_for(Action(action), Status(status), reason="Because.")
        assert refused.value.code == "wrong_status"
        assert status in refused.value.message
    else:
        assert transition_for(Action(action), Status(status), reason="Because.").target == expected


def test_allowed_actions__of_every_status__are_those_that_do_not_raise() -> None:
    for status in Status:
        expected = {action for (s, action) in EXPECTED if s == status}
        assert set(allowed_actions(status)) == expected


def test_transitions__each_action__has_one_row() -> None:
    assert sorted(t.action for t in TRANSITIONS) == sorted(Action)


@pytest.mark.django_db
@pytest.mark.parametrize(("status", "action"), PAIRS)
def test_services__every_action_from_every_status__does_it_or_changes_nothing(status: str, action: str) -> None:
    experiment = make_with_status(status)
    before = Experiment.objects.filter(pk=experiment.pk).values().get()
    rulesets = PublishedRuleset.objects.count()
    expected = EXPECTED.get((status, action))
    if expected is None:
        with pytest.raises(TransitionRefused):
            _do(action, experiment)
        assert Experiment.objects.filter(pk=experiment.pk).values().get() == before
        assert PublishedRuleset.objects.count() == rulesets
    else:
        assert _do(action, experiment).status == expected
        assert Experiment.objects.get(pk=experiment.pk).status == expected
        assert PublishedRuleset.objects.count() == rulesets + 1


@pytest.mark.django_db
def test_start__of_a_ready_draft__freezes_salt_plan_and_hash_and_publishes() -> None:
    experiment = services.start_experiment(experiment=make_draft(), now=NOW)
    frozen = FrozenPlan.objects.get(experiment=experiment)
    assert experiment.salt and experiment.started_at == NOW
    assert frozen.plan_hash == plan_of(experiment).hash()
    newest = PublishedRuleset.objects.latest("version").document
    (rule,) = newest["experiments"]
    assert (rule["key"], rule["status"], rule["seed"]) == ("cart", "running", experiment.salt)
    assert [v["key"] for v in rule["variants"]] == ["control", "treatment"]


@pytest.mark.django_db
def test_start__of_an_empty_draft__says_everything_that_is_missing_and_changes_nothing() -> None:
    draft = make_draft()
    draft.variants.all().delete()
    draft.experiment_metrics.all().delete()
    with pytest.raises(StartRefused) as refused:
        services.start_experiment(experiment=draft, now=NOW)
    assert [o.code for o in refused.value.obstacles] == ["too_few_variants", "no_control", "no_metric"]
    row = Experiment.objects.get(pk=draft.pk)
    assert (row.status, row.salt, row.started_at) == ("draft", "", None)
    assert not FrozenPlan.objects.exists()


@pytest.mark.django_db
def test_pause_and_resume__keep_the_salt_so_nobody_changes_variant() -> None:
    experiment = services.start_experiment(experiment=make_draft(), now=NOW)
    salt = experiment.salt
    services.pause_experiment(experiment=experiment, now=NOW)
    services.resume_experiment(experiment=experiment, now=NOW)
    assert Experiment.objects.get(pk=experiment.pk).salt == salt


@pytest.mark.django_db
@pytest.mark.parametrize("reason", ["", "   ", "\n"])
def test_stop__without_a_reason__is_refused(reason: str) -> None:
    experiment = make_with_status("running")
    with pytest.raises(TransitionRefused) as refused:
        services.stop_experiment(experiment=experiment, reason=reason, now=NOW)
    assert refused.value.code == "reason_missing"
    assert Experiment.objects.get(pk=experiment.pk).status == "running"


@pytest.mark.django_db
def test_stop__with_a_reason__keeps_when_and_why() -> None:
    experiment = make_with_status("running")
    services.stop_experiment(experiment=experiment, reason=" B won. ", now=NOW + timedelta(days=3))
    row = Experiment.objects.get(pk=experiment.pk)
    assert (row.ended_at, row.end_reason) == (NOW + timedelta(days=3), "B won.")


@pytest.mark.django_db
@pytest.mark.parametrize("status", [s.value for s in Status])
def test_clone__from_any_status__is_a_new_draft_that_is_dealt_afresh(status: str) -> None:
    source = make_with_status(status)
    clone = services.clone_experiment(experiment=source, now=NOW)
    assert (clone.key, clone.status, clone.salt, clone.started_at) == ("cart-2", "draft", "", None)
    assert list(clone.variants.values_list("key", "weight")) == list(source.variants.values_list("key", "weight"))
    assert list(clone.experiment_metrics.order_by("id").values_list("metric", "role", "margin")) == list(
        source.experiment_metrics.order_by("id").values_list("metric", "role", "margin")
    )
    started = services.start_experiment(experiment=clone, now=NOW)
    assert started.salt and started.salt != source.salt


@pytest.mark.django_db
def test_clone__twice__takes_the_next_free_key() -> None:
    source = make_draft()
    assert services.clone_experiment(experiment=source, now=NOW).key == "cart-2"
    assert services.clone_experiment(experiment=source, now=NOW).key == "cart-3"


@pytest.mark.django_db
def test_clone__of_one_with_a_late_metric__takes_it_over_as_planned_from_the_start() -> None:
    source = make_with_status("running")
    late = services.ensure_metric(site=source.site, key="newsletter")
    services.add_exploratory_metric(experiment=source, metric=late)
    clone = services.clone_experiment(experiment=source, now=NOW)
    assert not clone.experiment_metrics.filter(added_after_start=True).exists()
    assert clone.experiment_metrics.count() == 3


@pytest.mark.django_db
def test_close_due__ends_what_is_over_and_leaves_the_rest() -> None:
    over = make_draft("over", ends_at=NOW + timedelta(days=1))
    later = make_draft("later", ends_at=NOW + timedelta(days=9))
    open_ended = make_draft("open")
    for experiment in (over, later, open_ended):
        services.start_experiment(experiment=experiment, now=NOW)
    closed = services.close_due_experiments(now=NOW + timedelta(days=2))
    assert [e.key for e in closed] == ["over"]
    assert services.close_due_experiments(now=NOW + timedelta(days=2)) == []
    over.refresh_from_db()
    assert (over.status, over.end_reason) == ("stopped", "Reached its planned end.")


@pytest.mark.django_db
def test_delete_draft__of_a_started_experiment__is_refused() -> None:
    experiment = make_with_status("stopped")
    with pytest.raises(Refused) as refused:
        services.delete_draft(experiment=experiment, now=NOW)
    assert refused.value.code == "started_is_kept"
    assert Experiment.objects.filter(pk=experiment.pk).exists()


@pytest.mark.django_db
def test_delete_draft__of_a_draft__takes_it_out_of_the_ruleset() -> None:
    experiment = make_draft()
    assert PublishedRuleset.objects.latest("version").document["experiments"]
    services.delete_draft(experiment=experiment, now=NOW)
    assert PublishedRuleset.objects.latest("version").document["experiments"] == []
    assert not Variant.objects.exists() and not ExperimentMetric.objects.exists()


@pytest.mark.django_db
def test_open_due__starts_what_is_ready_and_says_what_keeps_the_rest() -> None:
    ready = make_draft("ready", starts_at=NOW + timedelta(days=1))
    broken = make_draft("broken", starts_at=NOW + timedelta(days=1))
    Variant.objects.filter(experiment=broken).update(weight=1_000)
    make_draft("later", starts_at=NOW + timedelta(days=9))
    make_draft("by-hand")

    opened = services.open_due_experiments(now=NOW + timedelta(days=2))

    assert [e.key for e in opened] == ["ready"]
    ready.refresh_from_db()
    broken.refresh_from_db()
    assert (ready.status, ready.started_at) == ("running", NOW + timedelta(days=2))
    assert broken.status == "draft" and broken.start_refusal
    assert services.open_due_experiments(now=NOW + timedelta(days=2)) == []

    Variant.objects.filter(experiment=broken).update(weight=5_000)
    assert [e.key for e in services.open_due_experiments(now=NOW + timedelta(days=3))] == ["broken"]
    broken.refresh_from_db()
    assert broken.start_refusal == ""
