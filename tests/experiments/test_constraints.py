"""The database itself refuses nonsense, whatever code wrote it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, models, transaction

from experiments.models import (
    ApiKey,
    Experiment,
    ExperimentMetric,
    Flag,
    FlagRule,
    Holdout,
    Layer,
    Metric,
    PublishedRuleset,
    Site,
    Variant,
)
from tests.experiments.shop import NOW, make_draft, make_metrics, make_site

pytestmark = pytest.mark.django_db


def _site(**values: Any) -> Site:
    return Site(**{"key": "other", "name": "Other", **values})


def _metric(**values: Any) -> Metric:
    base = {"site": Site.objects.get(key="shop"), "key": "m", "name": "M", "conversion": "secondary", "event_name": "m"}
    return Metric(**{**base, **values})


def _experiment(**values: Any) -> Experiment:
    return Experiment(**{"site": Site.objects.get(key="shop"), "key": "e", "name": "E", **values})


def _variant(**values: Any) -> Variant:
    return Variant(**{"experiment": Experiment.objects.get(key="cart"), "key": "v", **values})


def _row(**values: Any) -> ExperimentMetric:
    other = Metric.objects.create(
        site=Site.objects.get(key="shop"), key="x", name="X", conversion="secondary", event_name="x"
    )
    base = {"experiment": Experiment.objects.get(key="cart"), "metric": other, "role": "exploratory"}
    return ExperimentMetric(**{**base, **values})


def _key(**values: Any) -> ApiKey:
    base = {"site": Site.objects.get(key="shop"), "kind": "client", "name": "k", "prefix": "p", "public_value": "v"}
    return ApiKey(**{**base, "secret_hash": "0" * 64, **values})


def _holdout(**values: Any) -> Holdout:
    return Holdout(**{"site": Site.objects.get(key="shop"), "key": "h", "name": "H", "share": 100, **values})


def _flag(**values: Any) -> Flag:
    base = {"site": Site.objects.get(key="shop"), "key": "f", "name": "F", "kind": "boolean", "value": True}
    return Flag(**{**base, **values})


STARTED = {"status": "running", "salt": "s", "started_at": NOW}
VIOLATIONS: dict[str, Callable[[], models.Model]] = {
    "site_retention_at_least_a_day": lambda: _site(retention_days=0),
    "site_has_a_key": lambda: _site(key=""),
    "apikey_kind_known": lambda: _key(kind="root"),
    "apikey_secret_value_is_never_stored": lambda: _key(kind="server", public_value="secret"),
    "apikey_public_value_is_always_shown": lambda: _key(public_value=""),
    "metric_key_unique_in_site": lambda: _metric(key="purchase"),
    "metric_has_a_key": lambda: _metric(key=""),
    "metric_has_an_event": lambda: _metric(event_name=""),
    "metric_has_a_kind": lambda: _metric(kind=""),
    "metric_conversion_known": lambda: _metric(conversion="tiny"),
    "metric_direction_known": lambda: _metric(direction="sideways"),
    "metric_window_positive": lambda: _metric(window_hours=0),
    "metric_cap_positive": lambda: _metric(cap=-1),
    "metric_only_milestones_have_an_order": lambda: _metric(funnel_order=1),
    "metric_pass_through_is_a_share": lambda: _metric(expected_pass_through=1.5),
    "layer_key_unique_in_site": lambda: Layer(site=Site.objects.get(key="shop"), key="top", name="Again"),
    "holdout_key_unique_in_site": lambda: _holdout(key="held"),
    "holdout_share_up_to_half": lambda: _holdout(share=5_001),
    "experiment_key_unique_in_site": lambda: _experiment(key="cart"),
    "experiment_status_known": lambda: _experiment(**{**STARTED, "status": "sleeping"}),
    "experiment_traffic_on_grid": lambda: _experiment(traffic=10_001),
    "experiment_layer_range_on_grid": lambda: _experiment(layer_start=10, layer_end=10),
    "experiment_ends_after_it_starts": lambda: _experiment(starts_at=NOW, ends_at=NOW - timedelta(1)),
    "experiment_started_has_salt_and_time": lambda: _experiment(status="running"),
    "experiment_stopped_says_when_and_why": lambda: _experiment(**{**STARTED, "status": "stopped"}),
    "experiment_horizon_in_weeks_or_no_end": lambda: _experiment(horizon_weeks=53),
    "experiment_looks_daily_or_weekly": lambda: _experiment(look_every_days=3),
    "experiment_futility_known": lambda: _experiment(futility="sometimes"),
    "experiment_preset_known": lambda: _experiment(risk_preset="reckless"),
    "experiment_has_a_key": lambda: _experiment(key=""),
    "experiment_has_a_hash_attribute": lambda: _experiment(hash_attribute=""),
    "experiment_ended_after_it_started": lambda: _experiment(**STARTED, ended_at=NOW - timedelta(1)),
    "variant_key_unique_in_experiment": lambda: _variant(key="treatment"),
    "variant_one_control": lambda: _variant(is_control=True),
    "variant_has_a_key": lambda: _variant(key=""),
    "variant_weight_on_grid": lambda: _variant(weight=0),
    "experimentmetric_once": lambda: _row(metric=Metric.objects.get(key="purchase")),
    "experimentmetric_role_known": lambda: _row(role="judge"),
    "experimentmetric_guardrail_has_margin": lambda: _row(role="guardrail"),
    "experimentmetric_only_guardrails_have_margin": lambda: _row(margin=0.1),
    "experimentmetric_late_is_exploratory": lambda: _row(role="primary", added_after_start=True),
    "flag_key_unique_in_site": lambda: _flag(key="lit"),
    "flag_rule_share_on_grid": lambda: FlagRule(flag=Flag.objects.get(key="lit"), value=True, share=10_001),
    "ruleset_version_unique_in_site": lambda: PublishedRuleset(
        site=Site.objects.get(key="shop"), version=1, document={}, content_hash="0"
    ),
}


@pytest.fixture(autouse=True)
def shop() -> None:
    site = make_site()
    Layer.objects.create(site=site, key="top", name="Top")
    Holdout.objects.create(site=site, key="held", name="Held", share=100)
    Flag.objects.create(site=site, key="lit", name="Lit", kind="boolean", value=False)
    make_draft(site=site)


@pytest.mark.parametrize("name", VIOLATIONS)
def test_database__row_that_breaks_a_constraint__is_refused(name: str) -> None:
    row = VIOLATIONS[name]()
    constraint = next(c for c in row._meta.constraints if c.name == name)
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        row.save(force_insert=True)
    # SQLite names a check that fails, but not a uniqueness; PostgreSQL names both.
    assert name in str(refused.value) or isinstance(constraint, models.UniqueConstraint)


def test_database__metric_that_follows_itself__is_refused() -> None:
    metric = Metric.objects.get(key="add_to_cart")
    metric.parent = metric
    with pytest.raises(IntegrityError), transaction.atomic():
        metric.save()


def test_violations__every_named_constraint__has_a_case() -> None:
    named = {c.name for model in apps.get_app_config("experiments").get_models() for c in model._meta.constraints}
    assert named == set(VIOLATIONS) | {"metric_is_not_its_own_parent"}


@pytest.mark.parametrize("make", [_site, _metric, _experiment, _variant, _row, _key, _holdout])
def test_database__the_same_rows_without_the_fault__are_accepted(make: Callable[[], models.Model]) -> None:
    make().save(force_insert=True)


def test_site__with_experiments__is_not_deleted() -> None:
    with pytest.raises(models.ProtectedError):
        Site.objects.get(key="shop").delete()


def test_metric__of_an_experiment__is_not_deleted() -> None:
    milestone, _macro = make_metrics(Site.objects.get(key="shop"))
    with pytest.raises(models.ProtectedError):
        milestone.delete()
