"""Planning sizes, against statsmodels, published tables and their own inverses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import samplesize_proportions_2indep_onetail

from experiments.core.power import (
    alpha_per_success_test,
    detectable_mean_difference,
    detectable_share,
    equal_visitors,
    power_for_shares,
    power_per_metric,
    unequal_split_factor,
    visitors_for_means,
    visitors_for_noninferiority,
    visitors_for_shares,
    visitors_in_all,
)
from experiments.core.sharing import cost_of_sharing


@pytest.mark.parametrize(("p1", "p2"), [(0.01, 0.016), (0.05, 0.0622), (0.3, 0.325)])
def test_visitors_for_shares__equals_statsmodels(p1: float, p2: float) -> None:
    expected = samplesize_proportions_2indep_onetail(p2 - p1, p1, 0.8, alpha=0.05, alternative="two-sided")
    assert visitors_for_shares(p1, p2, alpha=0.05, power=0.8) == pytest.approx(expected, rel=1e-9)


def test_visitors_for_shares__known_answer_of_power_prop_test() -> None:
    # R: power.prop.test(p1 = .50, p2 = .75, power = .90) gives n = 76.65294 (in its documentation, rounded to 76.7).
    assert visitors_for_shares(0.5, 0.75, alpha=0.05, power=0.9) == pytest.approx(76.7, abs=0.05)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.002, 0.6), st.floats(200, 50_000))
def test_detectable_share__needs_exactly_the_visitors_it_was_asked_for(p1: float, visitors: float) -> None:
    p2 = detectable_share(p1, visitors, alpha=0.05, power=0.8)
    if p2 is not None:
        assert p2 > p1
        assert visitors_for_shares(p1, p2, alpha=0.05, power=0.8) == pytest.approx(visitors, rel=1e-5)
        assert power_for_shares(p1, p2, visitors, alpha=0.05) == pytest.approx(0.8, abs=1e-7)


@pytest.mark.parametrize(("base", "lift"), [(0.003, 1.22), (0.01, 0.60), (0.05, 0.24), (0.30, 0.082)])
def test_detectable_share__low_traffic_table__is_met(base: float, lift: float) -> None:
    # STATISTICS section 9: what 5,600 visitors per variant can find.
    found = detectable_share(base, 5600, alpha=0.05, power=0.8)
    assert found is not None
    assert found / base - 1 == pytest.approx(lift, abs=0.011)


def test_detectable_share__hopelessly_few_visitors__is_none() -> None:
    assert detectable_share(0.5, 3, alpha=0.05, power=0.8) is None


def test_visitors_for_means__equals_statsmodels() -> None:
    # statsmodels adds the far tail, a few parts in a million.
    expected = NormalIndPower().solve_power(effect_size=0.2, alpha=0.05, power=0.8)
    assert visitors_for_means(5.0, 1.0, alpha=0.05, power=0.8) == pytest.approx(expected, rel=1e-5)
    assert visitors_for_means(5.0, 1.0, alpha=0.05, power=0.8, r_squared=0.25) == pytest.approx(
        0.75 * expected, rel=1e-5
    )


def test_visitors_for_noninferiority__has_its_power_in_simulation() -> None:
    p, margin = 0.2, 0.03
    total = visitors_for_noninferiority(p, p, margin=margin, alpha_one_sided=0.05, power=0.8)
    n = math.ceil(total / 2)
    rng = np.random.default_rng(3)
    replicates = 20_000
    t, c = rng.binomial(n, p, replicates) / n, rng.binomial(n, p, replicates) / n
    # With this many visitors the unrestricted variance differs from the restricted one by a few parts in a thousand.
    z = (t - c + margin) / np.sqrt(t * (1 - t) / n + c * (1 - c) / n)
    assert np.mean(z > 1.6449) == pytest.approx(0.8, abs=0.012)


def test_visitors_for_noninferiority__true_drop_beyond_the_margin__is_refused() -> None:
    with pytest.raises(ValueError, match="margin"):
        visitors_for_noninferiority(0.2, 0.15, margin=0.03, alpha_one_sided=0.05, power=0.8)


@pytest.mark.parametrize(("ratio", "factor"), [(1.0, 1.0), (9.0, 100 / 36), (1 / 9, 100 / 36)])
def test_unequal_split__costs_the_known_factor(ratio: float, factor: float) -> None:
    assert unequal_split_factor(ratio) == pytest.approx(factor)


def test_multiplicity__three_success_tests_and_four_guardrails__equals_the_published_rule() -> None:
    assert alpha_per_success_test(0.05, success_tests=3) == pytest.approx(0.05 / 3)
    assert power_per_metric(0.8, metrics=4) == pytest.approx(0.95)


@pytest.mark.parametrize("shares", [(0.0, 0.1), (0.1, 1.0), (0.1, 0.1)])
def test_visitors_for_shares__shares_that_no_plan_has__are_refused(shares: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"0"):
        visitors_for_shares(*shares, alpha=0.05, power=0.8)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.05, 0.9), st.floats(10, 1e6))
def test_visitors_in_all__two_variants__is_the_factor_of_an_unequal_split(share: float, per_variant: float) -> None:
    ratio = max(share, 1 - share) / min(share, 1 - share)
    total = visitors_in_all(per_variant, share, 1 - share)
    assert total == pytest.approx(2 * per_variant * unequal_split_factor(ratio))
    assert equal_visitors(total, share, 1 - share) == pytest.approx(per_variant)


def test_detectable_mean_difference__needs_exactly_the_visitors_it_was_asked_for() -> None:
    difference = detectable_mean_difference(12.0, 5_000, alpha=0.05, power=0.8)
    assert visitors_for_means(12.0, difference, alpha=0.05, power=0.8) == pytest.approx(5_000)
    with pytest.raises(ValueError, match="spread"):
        detectable_mean_difference(0.0, 5_000, alpha=0.05, power=0.8)


def test_cost_of_sharing__several_metrics__is_the_ratio_of_their_sizes() -> None:
    alone = visitors_for_means(1.0, 0.1, alpha=0.05, power=0.8)
    for count in (1, 2, 3, 10):
        shared = visitors_for_means(1.0, 0.1, alpha=0.05 / count, power=0.8)
        assert cost_of_sharing(count) == pytest.approx(shared / alone)
