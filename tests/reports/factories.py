"""Experiments and runs for the tests of reports, made through the product's own services."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import Group, User

from experiments import services
from experiments.models import Experiment, ExperimentMetric, Site, Variant
from reports.models import AnalysisRun

START = datetime(2026, 3, 2, 6, tzinfo=UTC)
NOW = START + timedelta(days=28)


def make_site(key: str = "shop", **fields: Any) -> Site:
    return services.ensure_site(key=key, **fields)


def make_draft(
    key: str = "free-shipping",
    *,
    site: Site | None = None,
    variants: Sequence[str] = ("control", "banner"),
    name: str = "Free shipping banner on the product page",
    metrics: bool = True,
    **fields: Any,
) -> Experiment:
    site = site or make_site()
    experiment = Experiment.objects.create(
        site=site,
        key=key,
        name=name,
        hypothesis="Because many leave at the shipping costs, a banner will help.",
        **fields,
    )
    share, rest = divmod(10_000, len(variants))
    for position, variant in enumerate(variants):
        Variant.objects.create(
            experiment=experiment,
            key=variant,
            position=position,
            is_control=position == 0,
            weight=share + (rest if position == 0 else 0),
        )
    if metrics:
        cart = services.ensure_metric(
            site=site,
            key="add_to_cart",
            event_name="add_to_cart",
            conversion="milestone",
            name="Add to cart",
            funnel_order=1,
        )
        purchase = services.ensure_metric(
            site=site, key="purchase", event_name="purchase", conversion="macro", name="Purchase", window_hours=72
        )
        revenue = services.ensure_metric(
            site=site, key="revenue", event_name="purchase", conversion="macro", kind="value_sum", name="Revenue"
        )
        ExperimentMetric.objects.create(experiment=experiment, metric=cart, role="proxy")
        ExperimentMetric.objects.create(experiment=experiment, metric=purchase, role="guardrail", margin=0.1)
        ExperimentMetric.objects.create(experiment=experiment, metric=revenue, role="exploratory")
    return experiment


def make_running(key: str = "free-shipping", *, at: datetime = START, **fields: Any) -> Experiment:
    return services.start_experiment(experiment=make_draft(key, **fields), now=at)


def make_run(
    experiment: Experiment, document: dict[str, Any] | None, *, at: datetime = NOW, **fields: Any
) -> AnalysisRun:
    """Store a run with a given document; None makes a failed one."""
    failed = {"code": "analysis_failed", "message": "The analysis stopped.", "advice": "It is tried again."}
    values: dict[str, Any] = {
        "status": "done" if document is not None else "failed",
        "as_of": at,
        "plan_hash": experiment.frozen_plan.plan_hash,
        "code_version": "0.1.0+abc",
        "result": None if document is None else {**document, "experiment": experiment.key, "as_of": at.isoformat()},
        "error": failed if document is None else None,
        "started_at": at,
        "finished_at": at,
    }
    return AnalysisRun.objects.create(experiment=experiment, **{**values, **fields})


def make_person(name: str = "vera", group: str = "viewer", password: str | None = None) -> User:
    person = User.objects.create_user(name, password=password)
    person.groups.add(Group.objects.get(name=group))
    return person
