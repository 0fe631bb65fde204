"""The guardrail's four outcomes and what it can rule out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep

from experiments.core.metric_kinds.base import StatisticKind
from experiments.core.metrics import Direction
from reports.core import explain
from reports.core.methods.base import critical_value
from reports.core.methods.noninferiority import GuardrailOutcome, GuardrailResult, judge_guardrail, safe_power
from reports.core.methods.score import ScoreMethod, z_ratio
from reports.core.methods.welch import WelchMethod
from reports.core.results import MetricResult
from reports.core.statistics import Mean, Proportion
from tests.reports.core import worlds

ONE_SIDED = 0.05


def _judge(t: Proportion, c: Proportion, *, margin: float = 0.1, growth: float | None = None) -> GuardrailResult:
    return judge_guardrail(
        ScoreMethod(), t, c, margin=margin, alpha=ONE_SIDED, direction=Direction.INCREASE, growth=growth
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 300), st.integers(1, 300), st.sampled_from([0.05, 0.1, 0.3]))
def test_safe__exactly_when_the_score_z_at_the_margin_is_large(x_t: int, x_c: int, margin: float) -> None:
    result = _judge(Proportion(3000, x_t), Proportion(3000, x_c), margin=margin)
    z = float(z_ratio(1 - margin, x_t, 3000, x_c, 3000))
    assert (result.outcome is GuardrailOutcome.SAFE) is (z > critical_value(2 * ONE_SIDED))


@pytest.mark.parametrize(
    ("per_arm", "margin", "expected"),
    # The power table of STATISTICS section 7, base rate 1 %.
    [
        (10, 0.5, 0.48),
        (20, 0.5, 0.71),
        (50, 0.3, 0.56),
        (100, 0.1, 0.19),
        (100, 0.2, 0.48),
        (200, 0.2, 0.72),
        (500, 0.1, 0.51),
        (1000, 0.1, 0.77),
        (5000, 0.05, 0.82),
    ],
)
def test_power__equals_the_published_table(per_arm: int, margin: float, expected: float) -> None:
    arm = Proportion(100 * per_arm, per_arm)
    got = safe_power(arm, arm, margin=margin, alpha=ONE_SIDED, direction=Direction.INCREASE)
    assert got == pytest.approx(expected, abs=0.0101)


def test_power__means__is_what_simulation_finds() -> None:
    rng = np.random.default_rng(5)
    n, replicates, margin = 400, 4000, 0.1
    c, t = rng.gamma(4, 1, (replicates, n)), rng.gamma(4, 1, (replicates, n))
    error = np.sqrt(t.var(axis=1, ddof=1) / n + (1 - margin) ** 2 * c.var(axis=1, ddof=1) / n)
    found = np.mean((t.mean(axis=1) - (1 - margin) * c.mean(axis=1)) / error > critical_value(2 * ONE_SIDED))
    arm = Mean(n, 4.0, 4.0 * (n - 1))  # gamma(4): mean 4, variance 4
    got = safe_power(arm, arm, margin=margin, alpha=ONE_SIDED, direction=Direction.INCREASE)
    assert got == pytest.approx(found, abs=4 * np.sqrt(found * (1 - found) / replicates))


def test_outcome__clear_drop__is_harm() -> None:
    assert _judge(Proportion(10_000, 400), Proportion(10_000, 520)).outcome is GuardrailOutcome.HARM


def test_outcome__large_and_equal__is_safe() -> None:
    result = _judge(Proportion(200_000, 10_000), Proportion(200_000, 10_000))
    assert result.outcome is GuardrailOutcome.SAFE
    assert result.is_safe
    assert result.ruled_out is not None
    assert 0 < result.ruled_out < 0.1


def test_outcome__small_true_drop_in_a_huge_sample__is_safe_with_a_small_drop_likely() -> None:
    result = _judge(Proportion(1_000_000, 49_000), Proportion(1_000_000, 50_000))
    assert result.outcome is GuardrailOutcome.SAFE
    assert result.is_small_drop_likely
    assert not result.is_safe
    assert result.is_harmed


def test_outcome__few_conversions_and_little_to_come__cannot_be_powered() -> None:
    result = _judge(Proportion(2000, 20), Proportion(2000, 20), growth=1.5)
    assert result.outcome is GuardrailOutcome.CANNOT_BE_POWERED
    assert result.power_at_horizon is not None
    assert result.power_at_horizon < 0.5


def test_outcome__few_conversions_but_much_to_come__is_inconclusive() -> None:
    result = _judge(Proportion(2000, 20), Proportion(2000, 20), growth=80)
    assert result.outcome is GuardrailOutcome.INCONCLUSIVE


def test_outcome__not_significant__is_not_safe() -> None:
    # A true drop of 20 % is "not significant" in most experiments of this size; that must never read as safe.
    result = _judge(Proportion(5600, 45), Proportion(5600, 56), margin=0.2)
    assert result.outcome in {GuardrailOutcome.INCONCLUSIVE, GuardrailOutcome.CANNOT_BE_POWERED}


def test_outcome__metric_where_less_is_better__mirrors() -> None:
    worse, equal = Proportion(10_000, 620), Proportion(10_000, 500)
    result = judge_guardrail(ScoreMethod(), worse, equal, margin=0.1, alpha=ONE_SIDED, direction=Direction.DECREASE)
    assert result.outcome is GuardrailOutcome.HARM
    safe = judge_guardrail(
        ScoreMethod(),
        Proportion(100_000, 4_000),
        Proportion(100_000, 5_000),
        margin=0.1,
        alpha=ONE_SIDED,
        direction=Direction.DECREASE,
    )
    assert safe.outcome is GuardrailOutcome.SAFE
    assert safe.ruled_out == 0


def test_outcome__nobody_converted__is_open_with_the_reason() -> None:
    result = _judge(Proportion(500, 0), Proportion(500, 0))
    assert result.outcome is GuardrailOutcome.INCONCLUSIVE
    assert result.blocker is not None
    assert result.ruled_out is None


def test_outcome__mean_without_variation__is_open_with_the_reason() -> None:
    result = judge_guardrail(
        WelchMethod(),
        Mean(50, 0.0, 0.0),
        Mean(50, 1.0, 20.0),
        margin=0.1,
        alpha=ONE_SIDED,
        direction=Direction.INCREASE,
    )
    assert not result.is_safe
    assert result.blocker is not None


def test_sentence__open_guardrail__says_what_can_be_ruled_out() -> None:
    result = _judge(Proportion(5600, 50), Proportion(5600, 56))
    metric = MetricResult(worlds.macro_guardrail(), StatisticKind.PROPORTION, (), (), True)
    text = explain.guardrail(metric, result)
    low, _ = confint_proportions_2indep(50, 5600, 56, 5600, compare="ratio", method="score", alpha=0.1)
    assert f"We can only rule out a drop larger than {100 * (1 - low):.3g} %" in text
