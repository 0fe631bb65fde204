"""Means and ratios: Welch, Fieller and the delta method, against scipy, root finding and raw visitors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from experiments.core.metric_kinds.base import StatisticKind, VisitorValues
from reports.core.methods import compare
from reports.core.methods.base import Blocker, Comparison, Lift, NotComputable
from reports.core.methods.fieller import fieller_lift
from reports.core.methods.single import value_interval
from reports.core.statistics import Mean, Proportion, Statistic, summarise


def _mean(values: object) -> Statistic:
    return summarise(StatisticKind.MEAN, VisitorValues(np.asarray(values, dtype=float)))


def _ratio(top: object, bottom: object) -> Statistic:
    return summarise(StatisticKind.RATIO, VisitorValues(np.asarray(top, float), np.asarray(bottom, float)))


def _revenue(seed: int, n: int = 400, buyers: float = 0.2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(n) < buyers, rng.lognormal(3, 1, n), 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_welch__random_revenue__equals_scipy(seed: int) -> None:
    t, c = _revenue(seed, 300, 0.25), _revenue(100 + seed, 500)
    expected = stats.ttest_ind(t, c, equal_var=False)
    interval = expected.confidence_interval(0.95)
    got = compare(_mean(t), _mean(c), alpha=0.05)
    assert isinstance(got, Comparison)
    assert got.p_value == pytest.approx(expected.pvalue, rel=1e-10)
    assert got.degrees_of_freedom == pytest.approx(expected.df, rel=1e-10)
    assert (got.interval.low, got.interval.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert 2 * stats.norm.sf(abs(got.z)) == pytest.approx(got.p_value, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_fieller__limits__are_the_ratios_that_root_finding_just_rejects(seed: int) -> None:
    t, c = _revenue(seed, 300, 0.25), _revenue(100 + seed, 500, 0.4)
    got = compare(_mean(t), _mean(c), alpha=0.05)
    assert isinstance(got, Comparison)
    assert isinstance(got.lift, Lift)
    critical = stats.t.isf(0.025, got.degrees_of_freedom)

    def distance(ratio: float) -> float:
        error = np.sqrt(t.var(ddof=1) / len(t) + ratio**2 * c.var(ddof=1) / len(c))
        return float((t.mean() - ratio * c.mean()) / error)

    estimate = t.mean() / c.mean()
    low = optimize.brentq(lambda r: distance(r) - critical, -5, estimate)
    high = optimize.brentq(lambda r: distance(r) + critical, estimate, 50)
    assert (got.lift.interval.low, got.lift.interval.high) == pytest.approx((low - 1, high - 1), rel=1e-8)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 0.9), st.floats(0.5, 2.0))
def test_lift__agrees_with_the_absolute_effect__about_zero(seed: int, buyers: float, factor: float) -> None:
    t, c = _revenue(seed, 150, buyers) * factor, _revenue(seed + 1, 200, buyers)
    if t.var() == 0 or c.var() == 0:
        return
    got = compare(_mean(t), _mean(c), alpha=0.05)
    assert isinstance(got, Comparison)
    assert got.interval.excludes(0) is (got.p_value < 0.05)
    if isinstance(got.lift, Lift):
        assert got.lift.interval.excludes(0) is (got.p_value < 0.05)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.01, 100.0, 3600.0]))
def test_comparison__another_unit__scales_the_effect_and_leaves_p_and_lift(seed: int, unit: float) -> None:
    t, c = _revenue(seed, 200, 0.5), _revenue(seed + 1, 200, 0.5)
    plain, scaled = compare(_mean(t), _mean(c), alpha=0.05), compare(_mean(unit * t), _mean(unit * c), alpha=0.05)
    assert isinstance(plain, Comparison)
    assert isinstance(scaled, Comparison)
    assert scaled.effect == pytest.approx(unit * plain.effect, rel=1e-9)
    assert scaled.interval.low == pytest.approx(unit * plain.interval.low, rel=1e-7)
    assert scaled.p_value == pytest.approx(plain.p_value, rel=1e-7)
    if isinstance(plain.lift, Lift):
        assert isinstance(scaled.lift, Lift)
        assert scaled.lift.value == pytest.approx(plain.lift.value, rel=1e-7)


def test_delta__ratio_of_sums__equals_welch_on_the_linearised_visitors() -> None:
    rng = np.random.default_rng(3)
    arms = []
    for n in (250, 320):
        sessions = rng.poisson(1.5, n) + 1.0
        orders = rng.binomial(sessions.astype(int), 0.1).astype(float)
        arms.append((orders, sessions))
    (top_t, bottom_t), (top_c, bottom_c) = arms
    got = compare(_ratio(top_t, bottom_t), _ratio(top_c, bottom_c), alpha=0.05)
    assert isinstance(got, Comparison)

    def linear(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
        ratio = top.sum() / bottom.sum()
        return ratio + (top - ratio * bottom) / bottom.mean()

    expected = stats.ttest_ind(linear(top_t, bottom_t), linear(top_c, bottom_c), equal_var=False)
    assert got.effect == pytest.approx(top_t.sum() / bottom_t.sum() - top_c.sum() / bottom_c.sum())
    assert got.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert got.method == "delta"


@pytest.mark.parametrize(
    ("t", "c", "blocker"),
    [
        ([], [1.0, 2.0], Blocker.NO_VISITORS),
        ([1.0], [1.0, 2.0], Blocker.TOO_FEW_VISITORS),
        ([0.0, 0.0, 0.0], [0.0, 3.0], Blocker.NO_VARIATION),
        ([0.1, 0.1, 0.1], [0.0, 3.0], Blocker.NO_VARIATION),
    ],
)
def test_welch__too_little_to_judge__gives_the_reason_and_no_number(
    t: list[float], c: list[float], blocker: Blocker
) -> None:
    got = compare(_mean(t), _mean(c), alpha=0.05)
    assert isinstance(got, NotComputable)
    assert got.blocker is blocker


def test_delta__nobody_in_the_denominator__gives_the_reason() -> None:
    got = compare(_ratio([0.0, 0.0], [0.0, 0.0]), _ratio([1.0, 0.0], [2.0, 1.0]), alpha=0.05)
    assert isinstance(got, NotComputable)
    assert got.blocker is Blocker.NO_DENOMINATOR


def test_fieller__control_not_told_apart_from_zero__leaves_the_lift_out() -> None:
    got = fieller_lift(1.0, 0.1, 0.1, 0.1, critical=1.96)
    assert isinstance(got, NotComputable)
    assert got.blocker is Blocker.BASELINE_NEAR_ZERO


def test_fieller__negative_control__has_no_lift() -> None:
    got = fieller_lift(1.0, 0.1, -5.0, 0.1, critical=1.96)
    assert isinstance(got, NotComputable)
    assert got.blocker is Blocker.BASELINE_IS_NEGATIVE


def test_value_interval__mean__equals_the_one_sample_t_interval() -> None:
    values = _revenue(1)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    got = value_interval(_mean(values), alpha=0.05)
    assert got is not None
    assert (got.low, got.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("statistic", [Proportion(0, 0), Mean(0, 0.0, 0.0), Mean(1, 3.0, 0.0)])
def test_value_interval__no_data__is_none(statistic: Statistic) -> None:
    assert value_interval(statistic, alpha=0.05) is None
