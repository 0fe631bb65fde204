"""The frozen plan: a round trip through JSON and databases leaves it and its hash as they were."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import services
from experiments.core.metrics import Comparator, Conversion, Direction, MetricDefinition, PropertyTest, Role
from experiments.core.plan import AnalysisPlan, PlannedMetric, PlannedVariant
from experiments.models import FrozenPlan
from experiments.selectors.plans import draft_plan, plan_of
from tests.experiments.shop import NOW, make_draft

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
positive = st.floats(min_value=1e-6, max_value=1e12, allow_nan=False)
tests_ = st.builds(
    PropertyTest,
    name=words,
    comparator=st.sampled_from(Comparator),
    value=st.one_of(
        words, st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False)
    ),
)
definitions = st.builds(
    MetricDefinition,
    key=words,
    name=words,
    conversion=st.sampled_from(Conversion),
    kind=words,
    event=words,
    where=st.lists(tests_, max_size=3).map(tuple),
    value_property=st.none() | words,
    denominator_event=st.none() | words,
    window_hours=st.none() | positive,
    cap=st.none() | positive,
    direction=st.sampled_from(Direction),
    funnel_order=st.none() | st.integers(0, 50),
    parent=st.none() | words,
    expected_pass_through=st.none() | st.floats(0, 1),
    version=st.integers(1, 99),
    options=st.dictionaries(words, words | st.integers(0, 9), max_size=2),
)
roles = st.sampled_from([r for r in Role if r is not Role.GUARDRAIL])
planned = st.builds(PlannedMetric, metric=definitions, role=roles, added_after_start=st.booleans()) | st.builds(
    PlannedMetric, metric=definitions, role=st.just(Role.GUARDRAIL), margin=st.floats(0.001, 0.999)
)


@st.composite
def plans(draw: Any) -> AnalysisPlan:
    parts = draw(st.lists(st.integers(1, 1_000), min_size=2, max_size=5))
    variants = tuple(
        PlannedVariant(key=f"v{i}", weight=part / sum(parts), is_control=i == 0) for i, part in enumerate(parts)
    )
    started = st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
    return AnalysisPlan(
        site=draw(words),
        experiment=draw(words),
        time_zone="Europe/Lisbon",
        variants=variants,
        metrics=tuple(draw(st.lists(planned, max_size=4))),
        alpha=draw(st.floats(0.001, 0.5)),
        horizon_days=draw(st.none() | st.integers(7, 364)),
        planned_visitors=draw(st.none() | st.integers(2, 10**9)),
        target_step=draw(st.none() | words),
        change_type=draw(words),
        is_imported=draw(st.booleans()),
        started_at=draw(started),
    )


@settings(max_examples=50, deadline=None)
@given(plans())
def test_document__through_json_text_and_back__is_the_same_plan_with_the_same_hash(plan: AnalysisPlan) -> None:
    again = AnalysisPlan.from_document(json.loads(json.dumps(plan.to_document())))
    assert again == plan
    assert again.hash() == plan.hash()


def _as_postgres_would(value: Any) -> Any:
    """jsonb keeps numbers as decimals: whole floats may come back as integers."""
    if isinstance(value, dict):
        return {k: _as_postgres_would(v) for k, v in reversed(value.items())}
    if isinstance(value, list):
        return [_as_postgres_would(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@settings(max_examples=50, deadline=None)
@given(plans())
def test_hash__whole_floats_come_back_as_integers_and_keys_in_another_order__is_the_same(plan: AnalysisPlan) -> None:
    assert AnalysisPlan.from_document(_as_postgres_would(plan.to_document())).hash() == plan.hash()


@settings(max_examples=40, deadline=None)
@given(plans(), plans())
def test_hash__two_plans__is_equal_only_when_what_was_frozen_is(one: AnalysisPlan, other: AnalysisPlan) -> None:
    def frozen(plan: AnalysisPlan) -> Any:
        document = plan.to_document()
        kept = [m for m in document["metrics"] if not m["added_after_start"]]
        return _as_postgres_would({**document, "metrics": kept})

    assert (one.hash() == other.hash()) == (frozen(one) == frozen(other))


@settings(max_examples=50, deadline=None)
@given(plans(), definitions)
def test_hash__exploratory_metric_added_after_the_start__stays(
    plan: AnalysisPlan, definition: MetricDefinition
) -> None:
    late = PlannedMetric(definition, Role.EXPLORATORY, added_after_start=True)
    assert replace(plan, metrics=(*plan.metrics, late)).hash() == plan.hash()


def test_hash__margin_changed__changes() -> None:
    def plan(margin: float) -> AnalysisPlan:
        metric = MetricDefinition("m", "M", Conversion.MACRO, "conversion", "buy")
        variants = (PlannedVariant("a", 0.5, True), PlannedVariant("b", 0.5, False))
        return AnalysisPlan("s", "e", "UTC", variants, (PlannedMetric(metric, Role.GUARDRAIL, margin),))

    assert plan(0.1).hash() != plan(0.1000001).hash()


@pytest.mark.parametrize(
    ("variants", "says"),
    [
        ([("a", 0.5, True), ("b", 0.5, True)], "exactly one control"),
        ([("a", 0.5, False), ("b", 0.5, False)], "exactly one control"),
        ([("a", 1.0, True)], "two variants"),
        ([("a", 0.5, True), ("b", 0.6, False)], "add up to 1"),
    ],
)
def test_plan__variants_that_cannot_be_compared__are_refused(variants: list[Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        AnalysisPlan("s", "e", "UTC", tuple(PlannedVariant(*v) for v in variants), ())


def test_from_document__another_schema__is_refused_with_the_number() -> None:
    with pytest.raises(ValueError, match="99"):
        AnalysisPlan.from_document({"schema": 99})


@pytest.mark.django_db
def test_plan_of__frozen_at_the_start__is_what_the_configuration_said() -> None:
    draft = make_draft(horizon_weeks=3, planned_visitors=5_000, target_step="add_to_cart", change_type="copy")
    experiment = services.start_experiment(experiment=draft, now=NOW)
    plan = plan_of(experiment)
    assert (plan.site, plan.experiment, plan.time_zone) == ("shop", "cart", "UTC")
    assert [(v.key, v.weight, v.is_control) for v in plan.variants] == [
        ("control", 0.5, True),
        ("treatment", 0.5, False),
    ]
    assert [(m.metric.key, m.role, m.margin) for m in plan.metrics] == [
        ("add_to_cart", "proxy", None),
        ("purchase", "guardrail", 0.1),
    ]
    assert (plan.horizon_days, plan.planned_visitors, plan.target_step, plan.change_type) == (
        21,
        5_000,
        "add_to_cart",
        "copy",
    )
    assert plan.started_at == NOW and plan.hash() == FrozenPlan.objects.get().plan_hash


@pytest.mark.django_db
def test_plan_of__covariates_and_a_metric_compared_plainly__are_frozen_and_cloned() -> None:
    draft = make_draft(covariates=["returning", "amount purchase (7 days)"])
    draft.experiment_metrics.filter(role="proxy").update(is_adjusted=False)
    plan = plan_of(services.start_experiment(experiment=draft, now=NOW))
    assert [c.text for c in plan.covariates] == ["returning", "amount purchase (7 days)"]
    assert [(m.role, m.is_adjusted) for m in plan.metrics] == [("proxy", False), ("guardrail", True)]
    clone = services.clone_experiment(experiment=draft, now=NOW)
    assert [m.is_adjusted for m in draft_plan(clone).metrics] == [False, True]


@pytest.mark.django_db
def test_plan_of__no_planned_end__says_so_and_has_no_horizon() -> None:
    draft = make_draft(monitoring="confidence_sequence", horizon_weeks=None, planned_visitors=5_000)
    for row in draft.experiment_metrics.all():
        row.metric.window_hours = 24.0
        row.metric.save()
    plan = plan_of(services.start_experiment(experiment=draft, now=NOW))
    assert plan.has_no_end
    assert (plan.horizon_days, plan.planned_visitors) == (None, 5_000)


@pytest.mark.django_db
def test_plan_of__metric_redefined_after_the_stop__still_says_what_was_frozen() -> None:
    experiment = services.start_experiment(experiment=make_draft(), now=NOW)
    before = plan_of(experiment)
    services.stop_experiment(experiment=experiment, reason="Enough.", now=NOW)
    metric = experiment.experiment_metrics.get(role="proxy").metric
    metric.event_name = "something_else"
    services.save_metric(metric=metric)
    assert plan_of(experiment) == before
