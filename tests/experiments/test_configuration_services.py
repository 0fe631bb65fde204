"""Sites, keys, metrics, imports and previews through their services."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.core.exceptions import ValidationError
from django.db import connection

from experiments import services
from experiments.core.refusal import Refused
from experiments.models import ApiKey, Experiment, FrozenPlan, Metric, PublishedRuleset, Site
from experiments.selectors.experiments import (
    analysable_experiments,
    experiment_by_key,
    latest_ruleset_version,
    site_by_key,
)
from experiments.selectors.plans import plan_of
from experiments.selectors.previews import Preview, make_preview_token, verify_preview
from experiments.services.imports import default_roles
from tests.experiments.shop import NOW, make_draft, make_metrics, make_site, make_with_status

pytestmark = pytest.mark.django_db


# --- sites ---


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key", "has space"),
        ("key", "ends\n"),
        ("key", "x" * 101),
        ("time_zone", "Mars/Olympus"),
        ("time_zone", "../../etc/passwd"),
        ("currency", "euro"),
        ("allowed_origins", ["https://shop.example/path"]),
        ("allowed_origins", ["shop.example"]),
        ("allowed_origins", ["javascript:alert(1)"]),
        ("retention_days", 0),
        ("settings", [1]),
        ("settings", {"a": float("nan")}),
        ("settings", {"a": "\x00"}),
        ("settings", {"a": "\ud800"}),
    ],
)
def test_create_site__value_that_makes_no_sense__is_refused_at_its_field(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        services.create_site(**{"key": "shop", field: value})
    assert list(refused.value.message_dict) == [field]
    assert not Site.objects.exists()


def test_ensure_site__twice__is_the_same_site() -> None:
    assert services.ensure_site(key="shop", time_zone="Europe/Lisbon") == services.ensure_site(key="shop")
    assert Site.objects.get().time_zone == "Europe/Lisbon"


def test_save_site__key_changed__is_refused() -> None:
    site = make_site()
    site.key = "other"
    with pytest.raises(Refused) as refused:
        services.save_site(site=site)
    assert refused.value.code == "site_key_frozen"


# --- keys ---


def _whole_database() -> str:
    text = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            text.append(repr(cursor.fetchall()))
    return "\n".join(text)


def test_create_api_key__server__is_nowhere_in_the_database_but_its_hash_is() -> None:
    key, secret = services.create_api_key(site=make_site(), kind="server", name="backend")
    everything = _whole_database()
    assert secret not in everything
    assert hashlib.sha256(secret.encode()).hexdigest() == ApiKey.objects.get().secret_hash
    assert secret.startswith(key.prefix) and len(secret) - len(key.prefix) > 20


def test_create_api_key__client__can_be_shown_again() -> None:
    key, token = services.create_api_key(site=make_site(), kind="client", name="page")
    assert ApiKey.objects.get(pk=key.pk).public_value == token


def test_create_api_key__many__are_all_different() -> None:
    site = make_site()
    tokens = {services.create_api_key(site=site, kind="server", name="k")[1] for _ in range(20)}
    assert len(tokens) == 20


def test_create_api_key__unknown_kind__is_refused() -> None:
    with pytest.raises(ValueError, match="root"):
        services.create_api_key(site=make_site(), kind="root", name="k")


def test_revoke__twice__keeps_the_first_time() -> None:
    key, _ = services.create_api_key(site=make_site(), kind="server", name="k")
    services.revoke_api_key(key=key, now=NOW)
    services.revoke_api_key(key=key, now=NOW + timedelta(days=1))
    assert ApiKey.objects.get().revoked_at == NOW


def test_note_key_use__older_time_after_newer__keeps_the_newer() -> None:
    key, _ = services.create_api_key(site=make_site(), kind="server", name="k")
    services.note_key_use(uses={key.pk: NOW})
    services.note_key_use(uses={key.pk: NOW - timedelta(hours=1), 999: NOW})
    assert ApiKey.objects.get().last_used_at == NOW


# --- metrics ---


def test_ensure_metric__existing__is_left_as_it_is() -> None:
    site = make_site()
    first = services.ensure_metric(site=site, key="buy", conversion="macro")
    again = services.ensure_metric(site=site, key="buy", conversion="secondary", kind="value_sum")
    assert (again.pk, again.conversion, again.kind) == (first.pk, "macro", "conversion")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"kind": "median"}, "metric_kind_unknown"),
        ({"kind": "ratio"}, "metric_incomplete"),
        ({"cap": 2.0}, "metric_incomplete"),
    ],
)
def test_ensure_metric__definition_without_sense__is_refused(fields: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as refused:
        services.ensure_metric(site=make_site(), key="m", **fields)
    assert refused.value.code == code
    assert not Metric.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "bumps"),
    [
        ("event_name", "order", 1),
        ("window_hours", 48.0, 1),
        ("property_filters", [{"name": "a", "comparator": "eq", "value": 1}], 1),
        ("direction", "decrease", 1),
        ("kind", "event_count", 1),
        ("name", "Another name", 0),
        ("description", "Words", 0),
        ("is_archived", True, 0),
    ],
)
def test_save_metric__field_changed__bumps_the_version_only_when_the_number_changes(
    field: str, value: Any, bumps: int
) -> None:
    metric = services.ensure_metric(site=make_site(), key="buy", conversion="macro")
    setattr(metric, field, value)
    assert services.save_metric(metric=metric).definition_version == 1 + bumps


@pytest.mark.parametrize("status", ["running", "paused"])
def test_save_metric__used_by_a_started_experiment__takes_a_new_name_but_no_new_definition(status: str) -> None:
    metric = make_with_status(status).experiment_metrics.get(role="proxy").metric
    metric.name = "Better name"
    services.save_metric(metric=metric)
    metric.window_hours = 24.0
    with pytest.raises(Refused) as refused:
        services.save_metric(metric=metric)
    assert refused.value.code == "metric_in_use"
    assert "'cart' is" in refused.value.message and "window_hours" in refused.value.message
    assert Metric.objects.get(pk=metric.pk).window_hours is None


# --- imports ---


def _import(site: Site, metrics: list[Metric], **more: Any) -> Experiment:
    values: dict[str, Any] = {
        "site": site,
        "key": "mail",
        "control": "No E-Mail",
        "variants": ["Mens E-Mail", "Womens E-Mail", "No E-Mail"],
        "metrics": metrics,
        "started_at": NOW,
        "ended_at": NOW + timedelta(days=14),
    }
    return services.ensure_imported_experiment(**{**values, **more})


def test_import__new__is_stopped_marked_and_can_be_analysed_with_exact_shares() -> None:
    site = make_site()
    experiment = _import(site, list(make_metrics(site)))
    plan = plan_of(experiment)
    assert (experiment.status, experiment.is_imported, plan.is_imported, plan.horizon_days) == (
        "stopped",
        True,
        True,
        None,
    )
    assert plan.control.key == "No E-Mail"
    assert [v.weight for v in plan.variants] == [1 / 3] * 3
    assert sum(experiment.variants.values_list("weight", flat=True)) == 10_000
    assert [(m.metric.key, m.role, m.margin) for m in plan.metrics] == [
        ("add_to_cart", "proxy", None),
        ("purchase", "guardrail", 0.1),
    ]
    assert list(analysable_experiments()) == [experiment]
    assert FrozenPlan.objects.get().plan_hash == plan.hash()


def test_import__the_same_again__changes_nothing() -> None:
    site = make_site()
    metrics = list(make_metrics(site))
    _import(site, metrics, weights={"Mens E-Mail": 2, "Womens E-Mail": 1, "No E-Mail": 1})
    before, trail = FrozenPlan.objects.values().get(), LogEntry.objects.count()
    _import(site, metrics)
    assert FrozenPlan.objects.values().get() == before
    assert LogEntry.objects.count() == trail


def test_import__more_metrics_later__are_added_and_the_plan_written_anew() -> None:
    site = make_site()
    milestone, macro = make_metrics(site)
    first = plan_of(_import(site, [milestone])).hash()
    second = plan_of(_import(site, [macro], ended_at=NOW + timedelta(days=20)))
    assert [m.metric.key for m in second.metrics] == ["add_to_cart", "purchase"]
    assert second.hash() != first
    assert Experiment.objects.get().ended_at == NOW + timedelta(days=20)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"control": "nobody"}, "control_unknown"),
        ({"variants": ["No E-Mail"]}, "too_few_variants"),
        ({"weights": {"No E-Mail": 1.0}}, "weight_missing"),
    ],
)
def test_import__data_that_cannot_be_compared__is_refused_and_leaves_nothing(more: dict[str, Any], code: str) -> None:
    site = make_site()
    with pytest.raises(Refused) as refused:
        _import(site, [], **more)
    assert refused.value.code == code
    assert not Experiment.objects.exists()


@pytest.mark.parametrize(
    ("more", "code"),
    [({"variants": ["No E-Mail", "New"]}, "variants_differ"), ({"control": "Mens E-Mail"}, "control_differs")],
)
def test_import__into_one_with_other_variants__is_refused(more: dict[str, Any], code: str) -> None:
    site = make_site()
    _import(site, [])
    with pytest.raises(Refused) as refused:
        _import(site, [], **more)
    assert refused.value.code == code


def test_import__into_a_running_experiment_of_our_own__leaves_its_plan_frozen() -> None:
    running = make_with_status("running")
    before = FrozenPlan.objects.values().get()
    extra = services.ensure_metric(site=running.site, key="newsletter")
    found = _import(running.site, [extra], key="cart", control="control", variants=["control", "treatment"])
    assert found == running
    assert FrozenPlan.objects.values().get() == before


def test_import__is_not_told_to_clients() -> None:
    site = make_site()
    _import(site, [])
    services.publish_ruleset(site=site, now=NOW)
    assert PublishedRuleset.objects.latest("version").document["experiments"] == []


def _kinds(*conversions: str) -> list[Metric]:
    return [Metric(key=f"m{i}", conversion=c) for i, c in enumerate(conversions)]


@pytest.mark.parametrize(
    ("conversions", "roles"),
    [
        (("milestone", "macro", "macro"), ["proxy", "guardrail", "guardrail"]),
        (("macro", "macro"), ["primary", "guardrail"]),
        (("secondary", "macro"), ["exploratory", "primary"]),
        (("secondary", "secondary"), ["primary", "exploratory"]),
        ((), []),
    ],
)
def test_default_roles__by_conversion__always_leave_something_to_judge_by(
    conversions: tuple[str, ...], roles: list[str]
) -> None:
    assert [role.value for role, _ in default_roles(_kinds(*conversions)).values()] == roles


# --- reading ---


def test_experiment_by_key__unknown_or_ambiguous__says_which() -> None:
    make_draft("cart")
    make_draft("cart", site=make_site("blog"))
    with pytest.raises(Refused) as ambiguous:
        experiment_by_key(None, "cart")
    assert ambiguous.value.code == "ambiguous_experiment"
    assert experiment_by_key("blog", "cart").site.key == "blog"
    with pytest.raises(Refused, match="nothing"):
        experiment_by_key(None, "nothing")
    with pytest.raises(Refused, match="nowhere"):
        site_by_key("nowhere")


def test_latest_ruleset_version__before_and_after_publishing() -> None:
    site = make_site()
    assert latest_ruleset_version(site) is None
    services.publish_ruleset(site=site, now=NOW)
    assert latest_ruleset_version("shop") == latest_ruleset_version(site) == 1


def test_analysable__by_status__is_what_started_and_is_not_archived() -> None:
    for status in ("draft", "running", "paused", "stopped", "archived"):
        make_with_status(status, key=status)
    assert {e.key for e in analysable_experiments()} == {"running", "paused", "stopped"}


# --- previews ---


def test_preview__of_our_own_token__names_site_experiment_and_variant() -> None:
    assert verify_preview(make_preview_token("shop", "cart", "b c/ü")) == Preview("shop", "cart", "b c/ü")


@pytest.mark.parametrize("token", ["", "x", "a:b:c", "é", "\x00", "W10:1w2kA:" + "a" * 43])
def test_preview__of_a_token_that_is_not_ours__is_nothing(token: str) -> None:
    assert verify_preview(token) is None


def test_preview__every_changed_character__is_noticed() -> None:
    token = make_preview_token("shop", "cart", "treatment")
    for place in range(len(token)):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert verify_preview(changed) != Preview("shop", "cart", "treatment") or changed == token
        assert verify_preview(changed) is None
