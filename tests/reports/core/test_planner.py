"""Planning: durations and detectable lifts agree with each other, with sizes and with the published tables."""

from __future__ import annotations

import dataclasses
import math

import pytest

from experiments.core.power import visitors_for_shares
from reports.core.planner import Question, detectable_lift, duration, guardrail_outlook
from reports.core.sequential.design import Schedule

ONE_METRIC = Question(base=0.05, lift=0.24, visitors_per_day=800, guardrails=0)


def test_duration__one_success_metric__is_the_fixed_size_times_the_inflation() -> None:
    found = duration(ONE_METRIC)
    fixed = visitors_for_shares(0.05, 0.062, alpha=0.05, power=0.8)
    assert found.weeks is not None
    design = Schedule(7 * found.weeks).design(alpha=0.05, power=0.8)
    assert found.per_variant == math.ceil(fixed * design.inflation)
    assert found.total == 2 * found.per_variant
    # The horizon is the shortest: a week less does not carry the visitors.
    assert 400 * 7 * found.weeks >= found.per_variant
    assert found.weeks == 2 or 400 * 7 * (found.weeks - 1) < found.per_variant


def test_duration__averages__are_those_of_the_default_design() -> None:
    # STATISTICS section 4.2: over four weeks .76 of the fixed sample if real, .58 if null, at an inflation of 1.09.
    found = duration(dataclasses.replace(ONE_METRIC, visitors_per_day=460))
    assert found.weeks == 4
    assert found.expected_if_real * found.inflation == pytest.approx(0.76, abs=0.011)
    assert found.expected_if_null * found.inflation == pytest.approx(0.58, abs=0.006)


def test_duration__long_window__costs_the_days_in_which_nobody_has_matured() -> None:
    short, long = duration(ONE_METRIC), duration(dataclasses.replace(ONE_METRIC, window_days=14.0))
    assert short.weeks is not None
    assert long.weeks is not None
    assert long.weeks >= short.weeks + 2


def test_duration__more_tests__need_more_visitors() -> None:
    several = dataclasses.replace(ONE_METRIC, variants=3, success_metrics=2, guardrails=1)
    assert several.alpha_per_test == pytest.approx(0.05 / 4)
    assert several.power_per_metric == pytest.approx(0.9)
    assert duration(several).per_variant > duration(ONE_METRIC).per_variant


def test_duration__hopeless_traffic__has_no_horizon_and_says_what_it_would_take() -> None:
    found = duration(dataclasses.replace(ONE_METRIC, visitors_per_day=20))
    assert found.weeks is None
    assert found.per_variant > 20 * 56 / 2


def test_detectable_lift__of_a_horizon__needs_exactly_that_horizon() -> None:
    lift = detectable_lift(ONE_METRIC, weeks=4)
    assert lift is not None
    found = duration(dataclasses.replace(ONE_METRIC, lift=lift), weeks=(4,))
    assert found.per_variant == pytest.approx(400 * 28, rel=1e-3)


def test_detectable_lift__window_longer_than_the_horizon__is_none() -> None:
    assert detectable_lift(dataclasses.replace(ONE_METRIC, window_days=30.0), weeks=4) is None


@pytest.mark.parametrize(
    ("visitors", "margin", "chance"), [(10_000, 0.1, 0.19), (50_000, 0.1, 0.51), (5_000, 0.3, 0.56)]
)
def test_guardrail_outlook__base_of_one_per_cent__equals_the_published_table(
    visitors: int, margin: float, chance: float
) -> None:
    # STATISTICS section 7: 100, 500 and 50 macro conversions per variant.
    found = guardrail_outlook(0.01, visitors, margin=margin, alpha=0.05)
    assert found.chance_of_safe == pytest.approx(chance, abs=0.0101)
    assert found.is_powered is (chance >= 0.5)


@pytest.mark.parametrize(("base", "lift"), [(0.0, 0.1), (0.6, 0.9), (0.05, 0.0)])
def test_question__impossible_shares__are_refused(base: float, lift: float) -> None:
    with pytest.raises(ValueError, match="no plan"):
        Question(base=base, lift=lift, visitors_per_day=100)
