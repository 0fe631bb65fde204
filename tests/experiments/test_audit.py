"""Every change is in the audit trail: who, when, what, and why where a reason was asked."""

from __future__ import annotations

import pytest
from auditlog.context import set_extra_data
from auditlog.models import LogEntry
from django.contrib.auth.models import User

from experiments import services
from experiments.audit import acting
from experiments.models import ExperimentMetric, Site, Variant
from tests.experiments.shop import NOW, make_draft, make_site

pytestmark = pytest.mark.django_db


def _last(action: str) -> LogEntry:
    return LogEntry.objects.filter(additional_data__action=action).latest("pk")


def test_trail__of_a_whole_life__says_who_did_what_and_why() -> None:
    ann = User.objects.create_user("ann")
    experiment = make_draft()
    services.start_experiment(experiment=experiment, now=NOW, by=ann)
    services.pause_experiment(experiment=experiment, now=NOW, by=ann)
    services.resume_experiment(experiment=experiment, now=NOW, by=ann)
    services.stop_experiment(experiment=experiment, reason="B won.", now=NOW, by=ann)
    services.archive_experiment(experiment=experiment, now=NOW, by=ann)
    for action, change in {
        "start": ["draft", "running"],
        "pause": ["running", "paused"],
        "resume": ["paused", "running"],
        "stop": ["running", "stopped"],
        "archive": ["stopped", "archived"],
    }.items():
        entry = _last(action)
        assert entry.actor == ann
        assert entry.changes["status"] == change
        assert entry.additional_data["experiment"] == experiment.pk
    assert _last("stop").additional_data["reason"] == "B won."


def test_trail__by_a_command__has_no_actor_but_the_action() -> None:
    experiment = make_draft()
    services.start_experiment(experiment=experiment, now=NOW)
    assert _last("start").actor is None


def test_trail__variant_and_metric_rows__belong_to_their_experiment() -> None:
    experiment = make_draft()
    variant = experiment.variants.get(key="treatment")
    variant.weight = 4_000
    services.save_draft_rows(experiment=experiment, now=NOW, save=[variant])
    row = experiment.experiment_metrics.get(role="proxy")
    services.save_draft_rows(experiment=experiment, now=NOW, delete=[row])
    entries = LogEntry.objects.filter(additional_data__experiment=experiment.pk)
    changed = entries.get(content_type__model=Variant._meta.model_name, action=LogEntry.Action.UPDATE)
    assert changed.changes == {"weight": ["5000", "4000"]}
    assert entries.filter(content_type__model=ExperimentMetric._meta.model_name, action=LogEntry.Action.DELETE).exists()


def test_trail__of_a_key__never_holds_the_key_or_its_hash() -> None:
    key, token = services.create_api_key(site=make_site(), kind="client", name="page")
    services.revoke_api_key(key=key, now=NOW)
    for entry in LogEntry.objects.all():
        text = f"{entry.changes} {entry.object_repr} {entry.additional_data}"
        assert token not in text and key.secret_hash not in text


def test_trail__refused_action__leaves_no_entry() -> None:
    experiment = make_draft()
    before = LogEntry.objects.count()
    with pytest.raises(ValueError, match="cannot pause"):
        services.pause_experiment(experiment=experiment, now=NOW)
    assert LogEntry.objects.count() == before


def test_acting__inside_a_request__gives_the_request_back_afterwards() -> None:
    ann, bob = User.objects.create_user("ann"), User.objects.create_user("bob")
    with set_extra_data({"actor": ann, "remote_addr": "10.0.0.1"}):
        services.create_site(key="one", by=bob)
        services.create_site(key="two", by=None)
        services.create_site(key="three", by=ann)
    services.create_site(key="four")
    who = {
        entry.object_repr: (entry.actor.username if entry.actor else None, entry.remote_addr)
        for entry in LogEntry.objects.filter(content_type__model="site")
    }
    assert who == {
        "one": ("bob", None),
        "two": ("ann", "10.0.0.1"),
        "three": ("ann", "10.0.0.1"),
        "four": (None, None),
    }


def test_acting__when_the_change_fails__gives_the_request_back_too() -> None:
    ann, bob = User.objects.create_user("ann"), User.objects.create_user("bob")
    with set_extra_data({"actor": ann}):
        with pytest.raises(RuntimeError), acting(bob):
            raise RuntimeError
        Site.objects.create(key="after", name="after")
    assert LogEntry.objects.get(content_type__model="site").actor == ann
