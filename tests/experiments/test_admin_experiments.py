"""The experiment in the admin: making, editing, locking, starting and stopping, by person and by role."""

from __future__ import annotations

from typing import Any

import pytest
from auditlog.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from experiments import services
from experiments.core.lifecycle import FROZEN_REASON, OVER_REASON
from experiments.models import Experiment, PublishedRuleset, Variant
from experiments.selectors.plans import frozen_hash_of
from experiments.selectors.previews import verify_preview
from tests.experiments.admin_client import Person, form_data, messages, text_of
from tests.experiments.shop import NOW, make_draft, make_metrics, make_site, make_with_status

pytestmark = pytest.mark.django_db
CHANGE, ADD, LIST = "experiments_experiment_change", "experiments_experiment_add", "experiments_experiment_changelist"


def _state(experiment: Experiment) -> tuple[Any, ...]:
    return (
        Experiment.objects.filter(pk=experiment.pk).values().get(),
        list(Variant.objects.order_by("id").values()),
        list(experiment.experiment_metrics.order_by("id").values()),
        frozen_hash_of(experiment),
    )


# --- making and editing a draft ---


def test_add__page_as_offered_with_a_name__makes_a_draft_with_the_two_suggested_variants() -> None:
    site, ann = make_site(), Person("experimenter")
    milestone, macro = make_metrics(site)
    data = form_data(ann.get(ADD)) | {
        "name": "Sticky cart",
        "key": "sticky",
        "tags": "mobile, cart",
        "traffic": "12.5",
        "audience": '{"country": "PT"}',
        "experiment_metrics-TOTAL_FORMS": "2",
        "experiment_metrics-0-metric": milestone.pk,
        "experiment_metrics-0-role": "proxy",
        "experiment_metrics-1-metric": macro.pk,
        "experiment_metrics-1-role": "guardrail",
        "experiment_metrics-1-margin": "10",
    }
    page = ann.post(ADD, data=data)
    experiment = Experiment.objects.get(key="sticky")
    assert "was added successfully" in messages(page)
    assert (experiment.site, experiment.owner, experiment.status) == (site, ann.user, "draft")
    assert (experiment.traffic, experiment.tags, experiment.audience) == (1_250, ["mobile", "cart"], {"country": "PT"})
    assert list(experiment.variants.values_list("key", "weight", "is_control")) == [
        ("control", 5_000, True),
        ("treatment", 5_000, False),
    ]
    assert list(experiment.experiment_metrics.order_by("id").values_list("role", "margin")) == [
        ("proxy", None),
        ("guardrail", 0.1),
    ]
    assert PublishedRuleset.objects.latest("version").document["experiments"][0]["key"] == "sticky"


def test_change__draft_saved_untouched__stays_as_it_was_and_publishes_nothing() -> None:
    draft, ann = make_draft(audience={"a": [1, "ü"]}, traffic=3_333, tags=["x"]), Person("experimenter")
    before, version = _state(draft), PublishedRuleset.objects.latest("version").version
    page = ann.post(CHANGE, draft.pk, data=ann.filled_in(draft))
    assert "was changed successfully" in messages(page)
    assert _state(draft) == before
    assert PublishedRuleset.objects.latest("version").version == version


def test_change__covariates_and_a_metric_compared_plainly__are_kept_and_nonsense_is_refused() -> None:
    draft, ann = make_draft(), Person("experimenter")
    sent = ann.filled_in(draft)
    sent.pop("experiment_metrics-0-is_adjusted")  # a box that is not ticked is not sent
    sent["covariates"] = "returning, activity view (7 days)"
    assert "was changed successfully" in messages(ann.post(CHANGE, draft.pk, data=sent))
    draft.refresh_from_db()
    assert draft.covariates == ["returning", "activity view (7 days)"]
    assert [row.is_adjusted for row in draft.experiment_metrics.order_by("id")] == [False, True]

    page = ann.post(CHANGE, draft.pk, data={**sent, "covariates": "age"})
    assert "is no covariate" in text_of(page)
    draft.refresh_from_db()
    assert draft.covariates == ["returning", "activity view (7 days)"]


def test_change__no_planned_end__takes_an_empty_horizon_and_planned_visitors() -> None:
    draft, ann = make_draft(), Person("experimenter")
    chosen = {"monitoring": "confidence_sequence", "horizon_weeks": "", "planned_visitors": "4000"}
    page = ann.post(CHANGE, draft.pk, data=ann.filled_in(draft) | chosen)
    assert "was changed successfully" in messages(page)
    stored = Experiment.objects.get(pk=draft.pk)
    assert (stored.has_no_end, stored.horizon_days, stored.planned_visitors) == (True, None, 4_000)
    # The list and the page do without a planned end too.
    assert ann.get(LIST).status_code == 200
    assert "no planned end" in text_of(ann.get(CHANGE, draft.pk)).lower()
    copy = services.clone_experiment(experiment=stored, now=NOW)
    assert (copy.has_no_end, copy.horizon_weeks) == (True, None)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"monitoring": "confidence_sequence", "planned_visitors": "4000"}, "leave it empty"),
        ({"monitoring": "confidence_sequence", "horizon_weeks": ""}, "for how many visitors"),
        ({"horizon_weeks": ""}, "needs its weeks"),
    ],
)
def test_change__end_and_horizon_that_contradict__are_refused(changes: dict[str, str], says: str) -> None:
    draft, ann = make_draft(), Person("experimenter")
    page = ann.post(CHANGE, draft.pk, data=ann.filled_in(draft) | changes)
    assert says in text_of(page)
    assert Experiment.objects.get(pk=draft.pk).horizon_weeks == 4


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("audience", '{"country": {"$nearly": "PT"}}', "$nearly"),
        ("audience", "{not json", "valid JSON"),
        ("audience", "[" * 100_000, "nested too deeply"),
        ("audience", '{"a": NaN}', "not a number"),
        ("traffic", "101", "100"),
        ("traffic", "33.333", "2 decimal places"),
        ("key", "has space", "letters, digits"),
        ("key", "", "required"),
        ("layer_end", "0", "must end after"),
        ("variants-0-weight", "0", "greater than or equal"),
        ("variants-0-payload", '{"a": "\\u0000"}', "NUL"),
        ("experiment_metrics-1-margin", "", "loss that you could live with"),
        ("experiment_metrics-0-margin", "10", "Only a guardrail"),
    ],
)
def test_change__draft_with_a_value_that_makes_no_sense__says_so_and_stores_nothing(
    field: str, value: str, says: str
) -> None:
    draft, ann = make_draft(), Person("experimenter")
    before = _state(draft)
    page = ann.post(CHANGE, draft.pk, data=ann.filled_in(draft) | {field: value})
    assert page.status_code == 200
    assert says in text_of(page)
    assert _state(draft) == before


def test_change__html_and_sql_in_every_text__is_shown_as_text() -> None:
    evil = "<script>alert(1)</script>'; DROP TABLE x;--"
    draft, ann = make_draft(), Person("experimenter")
    fields = ("name", "hypothesis", "description", "tags", "variants-0-name", "variants-0-key")
    ann.post(CHANGE, draft.pk, data=ann.filled_in(draft) | dict.fromkeys(fields, evil))
    assert Experiment.objects.get().name == evil
    for page in (
        ann.get(CHANGE, draft.pk),
        ann.get(LIST),
        ann.get("index"),
        ann.get("experiments_experiment_history", draft.pk),
        ann.client.get(reverse("admin:experiments_experiment_do", args=["start"]), {"ids": draft.pk}),
    ):
        assert page.status_code == 200
        assert "<script>alert(1)" not in page.content.decode()


def test_page__of_a_draft_that_is_not_ready__lists_what_is_missing() -> None:
    draft, ann = make_draft(), Person("experimenter")
    draft.experiment_metrics.all().delete()
    draft.variants.filter(key="treatment").update(weight=4_000)
    page = ann.get(CHANGE, draft.pk).content.decode()
    assert 'data-code="no_metric"' in page and 'data-code="weights_do_not_add_up"' in page
    assert "The weights add up to 90 %, not 100 %." in page


def test_page__of_every_status__opens_and_offers_only_what_is_allowed() -> None:
    offered = {
        "draft": {"start", "archive", "clone"},
        "running": {"pause", "stop", "clone"},
        "paused": {"resume", "stop", "clone"},
        "stopped": {"archive", "clone"},
        "archived": {"clone"},
    }
    ann = Person("experimenter")
    for status, deeds in offered.items():
        experiment = make_with_status(status, key=status)
        page = ann.get(CHANGE, experiment.pk)
        shown = {a["path"].rstrip("/").rsplit("/", 1)[-1] for a in page.context["actions_detail"]}
        assert (status, shown) == (status, deeds)


def test_page__preview_links__are_ours_and_one_per_variant() -> None:
    site = services.create_site(key="shop", allowed_origins=["https://shop.example"])
    draft, ann = make_draft(site=site), Person("viewer")
    links = ann.get(CHANGE, draft.pk).context["page"].previews
    assert [verify_preview(link.token).variant for link in links] == ["control", "treatment"]
    assert all(link.address.startswith("https://shop.example/?inkling_preview=") for link in links)


# --- after the start ---


def test_change__running_experiment__takes_name_traffic_and_a_late_metric() -> None:
    experiment, ann = make_with_status("running"), Person("experimenter")
    late = services.ensure_metric(site=experiment.site, key="newsletter")
    frozen_hash = frozen_hash_of(experiment)
    data = ann.filled_in(experiment) | {
        "name": "Better name",
        "traffic": "20",
        "experiment_metrics-TOTAL_FORMS": "3",
        "experiment_metrics-2-metric": late.pk,
        "experiment_metrics-2-role": "exploratory",
    }
    page = ann.post(CHANGE, experiment.pk, data=data)
    assert "was changed successfully" in messages(page)
    experiment.refresh_from_db()
    assert (experiment.name, experiment.traffic) == ("Better name", 2_000)
    assert experiment.experiment_metrics.get(metric=late).added_after_start
    assert frozen_hash_of(experiment) == frozen_hash
    assert PublishedRuleset.objects.latest("version").document["experiments"][0]["traffic"] == 2_000


@pytest.mark.parametrize(
    ("status", "reason"), [("running", FROZEN_REASON), ("paused", FROZEN_REASON), ("stopped", OVER_REASON)]
)
def test_page__of_a_started_experiment__says_why_the_rest_is_locked(status: str, reason: str) -> None:
    experiment, ann = make_with_status(status), Person("experimenter")
    page = ann.get(CHANGE, experiment.pk)
    assert reason in text_of(page)
    boxes = set(form_data(page))
    assert not boxes & {"key", "site", "audience", "horizon_weeks", "hypothesis", "layer_start"}
    assert not any(box.endswith(("-weight", "-payload", "-is_control", "-margin", "-DELETE")) for box in boxes)


CRAFTED = {
    "key": "other",
    "audience": '{"country": "PT"}',
    "hypothesis": "Afterwards I knew it",
    "horizon_weeks": "9",
    "layer_start": "3",
    "status": "draft",
    "salt": "mine",
    "variants-0-weight": "9000",
    "variants-1-is_control": "on",
    "variants-0-DELETE": "on",
    "experiment_metrics-0-role": "primary",
    "experiment_metrics-1-margin": "90",
    "experiment_metrics-1-DELETE": "on",
}


@pytest.mark.parametrize("status", ["running", "archived"])
@pytest.mark.parametrize("field", CRAFTED)
def test_change__crafted_post_to_a_locked_field__is_refused_by_name_and_changes_nothing(
    status: str, field: str
) -> None:
    experiment, ann = make_with_status("stopped" if status == "archived" else status), Person("experimenter")
    if status == "archived":
        services.archive_experiment(experiment=experiment, now=NOW)
    before, version = _state(experiment), PublishedRuleset.objects.latest("version").version
    data = ann.filled_in(experiment) | {field: CRAFTED[field], "name": "Sneaked in beside it"}
    page = ann.post(CHANGE, experiment.pk, data=data)
    assert page.status_code == 200
    assert f"Not changed: {field}" in text_of(page)
    assert _state(experiment) == before
    assert PublishedRuleset.objects.latest("version").version == version


def test_change__page_opened_as_a_draft_and_sent_after_the_start__is_refused() -> None:
    draft, ann = make_draft(), Person("experimenter")
    data = ann.filled_in(draft) | {"variants-0-weight": "10", "variants-1-weight": "90"}
    services.start_experiment(experiment=draft, now=NOW)
    before = _state(draft)
    page = ann.post(CHANGE, draft.pk, data=data)
    assert FROZEN_REASON in text_of(page)
    assert _state(draft) == before


def test_change__late_metric_sent_as_primary__is_not_accepted() -> None:
    experiment, ann = make_with_status("running"), Person("experimenter")
    late = services.ensure_metric(site=experiment.site, key="newsletter")
    data = ann.filled_in(experiment) | {
        "experiment_metrics-TOTAL_FORMS": "3",
        "experiment_metrics-2-metric": late.pk,
        "experiment_metrics-2-role": "primary",
    }
    ann.post(CHANGE, experiment.pk, data=data)
    assert not experiment.experiment_metrics.filter(metric=late).exists()


def test_change__draft_that_sends_a_status__is_refused() -> None:
    draft, ann = make_draft(), Person("experimenter")
    page = ann.post(CHANGE, draft.pk, data=ann.filled_in(draft) | {"status": "running"})
    assert "Use start, pause, resume, stop or archive." in text_of(page)
    assert Experiment.objects.get().status == "draft"


# --- buttons ---


def test_buttons__a_get__asks_and_changes_nothing() -> None:
    ann = Person("experimenter")
    for status, deed in (("draft", "start"), ("running", "pause"), ("paused", "resume"), ("stopped", "archive")):
        experiment = make_with_status(status, key=f"{status}-one")
        page = ann.client.get(reverse(f"admin:experiments_experiment_{deed}", args=[experiment.pk]), follow=True)
        assert page.status_code == 200 and "what will happen" in text_of(page)
        assert Experiment.objects.get(pk=experiment.pk).status == status


def test_buttons__a_whole_life__by_the_experimenter() -> None:
    experiment, ann = make_draft(), Person("experimenter")
    for deed, status, data in (
        ("start", "running", {}),
        ("pause", "paused", {}),
        ("resume", "running", {}),
        ("stop", "stopped", {"reason": "B won."}),
        ("archive", "archived", {}),
    ):
        page = ann.do(deed, experiment, **data)
        assert page.status_code == 200
        experiment.refresh_from_db()
        assert experiment.status == status
        assert LogEntry.objects.filter(additional_data__action=deed).latest("pk").actor == ann.user
    assert experiment.end_reason == "B won."


def test_stop__without_a_reason__asks_again() -> None:
    experiment, ann = make_with_status("running"), Person("experimenter")
    page = ann.do("stop", experiment, reason="  ")
    assert "required" in text_of(page)
    assert Experiment.objects.get().status == "running"


def test_start__of_a_draft_that_is_not_ready__shows_why_and_changes_nothing() -> None:
    draft, ann = make_draft(), Person("experimenter")
    draft.variants.filter(key="control").delete()
    before = _state(draft)
    page = ann.do("start", draft)
    assert "was not started" in messages(page) and "No variant is the control." in messages(page)
    assert _state(draft) == before


def test_clone__with_a_key__opens_the_new_draft_and_a_taken_key_is_refused() -> None:
    source, ann = make_with_status("running"), Person("experimenter")
    page = ann.do("clone", source, name="Again", key="again")
    assert page.context["original"].key == "again" and page.context["original"].status == "draft"
    page = ann.do("clone", source, name="Again", key="again")
    assert "was not cloned" in messages(page)
    assert Experiment.objects.count() == 2


def test_list_actions__over_several__do_what_is_possible_and_say_what_was_not() -> None:
    ready, running, ann = make_draft("ready"), make_with_status("running", "running"), Person("experimenter")
    page = ann.post(LIST, data={"action": "start_selected", "_selected_action": [ready.pk, running.pk]})
    assert [bool(c.obstacles) for c in page.context["candidates"]] == [False, True]
    page = ann.do("start", ready, running)
    assert "“Ready” was started." in messages(page) and "“Running” was not started." in messages(page)
    for action, status in (("stop_selected", "stopped"), ("archive_selected", "archived")):
        page = ann.post(LIST, data={"action": action, "_selected_action": [ready.pk]})
        ann.do(page.context["deed"].key, ready, reason="Enough.")
        assert Experiment.objects.get(pk=ready.pk).status == status


@pytest.mark.parametrize("ids", ["", "x", "0", "-1", "1,1,1,x", "9" * 40, "²"])
def test_buttons__ids_that_name_nothing__lead_back_to_the_list(ids: str) -> None:
    ann = Person("experimenter")
    page = ann.client.get(reverse("admin:experiments_experiment_do", args=["start"]), {"ids": ids}, follow=True)
    assert page.status_code == 200 and page.request["PATH_INFO"] == reverse(f"admin:{LIST}")


def test_buttons__unknown_deed__is_not_found() -> None:
    assert Person("superuser").get("experiments_experiment_do", "explode").status_code == 404


# --- roles ---

EDITED = ("name", "key", "hypothesis", "owner", "tags", "traffic", "ends_at_0", "audience")


def test_viewer__reads_everything_and_changes_nothing() -> None:
    experiment, vera = make_with_status("running"), Person("viewer")
    before = _state(experiment)
    page = vera.get(CHANGE, experiment.pk)
    assert page.status_code == 200 and page.context["actions_detail"] == []
    assert not any(box.split("-")[-1] in {*EDITED, "weight", "payload", "role", "margin"} for box in form_data(page))
    assert vera.post(CHANGE, experiment.pk, data={"name": "Mine"}).status_code == 403
    assert vera.get(ADD).status_code == 403
    for deed in ("start", "pause", "resume", "stop", "archive", "clone"):
        assert vera.do(deed, experiment, reason="x").status_code == 403
        assert vera.get(f"experiments_experiment_{deed}", experiment.pk).status_code == 403
    assert _state(experiment) == before
    assert Experiment.objects.count() == 1


def test_stranger__without_login__is_sent_to_the_login() -> None:
    experiment, ann = make_draft(), Person("experimenter")
    ann.client.logout()
    page = ann.do("start", experiment)
    assert "/login/" in page.request["PATH_INFO"]
    assert Experiment.objects.get().status == "draft"


def test_deleting__draft_yes_started_no() -> None:
    ann = Person("experimenter")
    draft, running = make_draft("draft"), make_with_status("running", "running")
    assert ann.post("experiments_experiment_delete", draft.pk, data={"post": "yes"}).status_code == 200
    assert ann.post("experiments_experiment_delete", running.pk, data={"post": "yes"}).status_code == 403
    page = ann.post(LIST, data={"action": "delete_selected", "_selected_action": [running.pk], "post": "yes"})
    assert page.status_code in (200, 403)
    assert [e.key for e in Experiment.objects.all()] == ["running"]


# --- list, history, start page ---


def test_list__archived__stay_out_until_asked_for() -> None:
    ann = Person("viewer")
    make_with_status("archived", "old")
    make_draft("new")
    assert [e.key for e in ann.get(LIST).context["cl"].result_list] == ["new"]
    assert {e.key for e in ann.get(LIST, status="all").context["cl"].result_list} == {"new", "old"}
    assert [e.key for e in ann.get(LIST, status="archived").context["cl"].result_list] == ["old"]


def test_history__of_an_experiment__tells_of_its_variants_and_why_it_was_stopped() -> None:
    experiment, ann = make_draft(), Person("experimenter")
    ann.post(CHANGE, experiment.pk, data=ann.filled_in(experiment) | {"variants-1-payload": '{"colour": "red"}'})
    ann.do("start", experiment)
    ann.do("stop", experiment, reason="It was dull.")
    text = text_of(ann.get("experiments_experiment_history", experiment.pk))
    assert "experimenter stopped experiment" in text and "It was dull." in text
    assert "experimenter changed variant" in text and "colour" in text
    assert text.index("stopped experiment") < text.index("started experiment")


def test_start_page__before_there_is_anything__says_what_to_do_first() -> None:
    root = Person("superuser")
    assert [s["title"] for s in root.get("index").context["steps"]] == ["Add your site"]
    make_site()
    titles = [s["title"] for s in root.get("index").context["steps"]]
    assert titles == ["Create a client key", "Define your macro metric", "Set up your first experiment"]


def test_start_page__with_experiments__says_what_runs_and_what_waits() -> None:
    root = Person("superuser")
    make_draft("ready")
    unready = make_draft("unready")
    unready.variants.all().delete()
    paused = make_with_status("paused", "paused")
    long_over = make_with_status("running", "over")
    Experiment.objects.filter(pk=paused.pk).update(started_at=timezone.now())
    Experiment.objects.filter(pk=long_over.pk).update(started_at=NOW.replace(year=2020))
    page = root.get("index")
    assert {card["row"].experiment.key for card in page.context["running"]} == {"paused", "over"}
    titles = {s["title"] for s in page.context["steps"]}
    assert {"Decide about “Over”", "Resume or stop “Paused”", "Start “Ready”", "Finish “Unready”"} <= titles


def test_start_page__for_a_viewer__offers_only_reading() -> None:
    make_with_status("paused", "paused")
    Experiment.objects.update(started_at=timezone.now())
    page = Person("viewer").get("index")
    assert len(page.context["running"]) == 1
    assert page.context["steps"] == []
