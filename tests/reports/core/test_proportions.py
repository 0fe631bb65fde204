"""Two proportions: score test, mid-P and their intervals, judged by laws, brute force, exact enumeration and statsmodels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import optimize, special, stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from reports.core.methods import compare, method_for
from reports.core.methods.base import Blocker, Comparison, Lift, NotComputable, critical_value
from reports.core.methods.midp import (
    MidPMethod,
    difference_statistic,
    mid_p_difference_limits,
    mid_p_ratio_limits,
    mid_p_z,
    ratio_statistic,
)
from reports.core.methods.newcombe import newcombe_interval, wilson_interval
from reports.core.methods.score import ScoreMethod, difference_limits, ratio_limits, z_difference, z_ratio
from reports.core.statistics import Proportion

CRITICAL = critical_value(0.05)
METHODS = (ScoreMethod(), MidPMethod())


@st.composite
def tables(draw: st.DrawFn) -> tuple[int, int, int, int]:
    n_t, n_c = draw(st.integers(1, 400)), draw(st.integers(1, 400))
    return draw(st.integers(0, n_t)), n_t, draw(st.integers(0, n_c)), n_c


def _compare(method: ScoreMethod | MidPMethod, x_t: int, n_t: int, x_c: int, n_c: int) -> Comparison:
    result = method.compare(Proportion(n_t, x_t), Proportion(n_c, x_c), alpha=0.05)
    assert isinstance(result, Comparison)
    return result


def _restricted_log_likelihood(r_c: float, d: float, x_t: int, n_t: int, x_c: int, n_c: int) -> float:
    r_t = min(max(r_c + d, 0.0), 1.0)
    return float(
        special.xlogy(x_c, r_c)
        + special.xlogy(n_c - x_c, 1 - r_c)
        + special.xlogy(x_t, r_t)
        + special.xlogy(n_t - x_t, 1 - r_t)
    )


def _brute_force_z(d: float, x_t: int, n_t: int, x_c: int, n_c: int) -> float:
    """The score z with the restricted shares found by maximising the likelihood numerically."""
    low, high = max(0.0, -d), min(1.0, 1 - d)
    found = optimize.minimize_scalar(
        lambda r: -_restricted_log_likelihood(r, d, x_t, n_t, x_c, n_c),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-13},
    )
    r_c, r_t = found.x, found.x + d
    variance = (r_t * (1 - r_t) / n_t + r_c * (1 - r_c) / n_c) * (n_t + n_c) / (n_t + n_c - 1)
    return float((x_t / n_t - x_c / n_c - d) / np.sqrt(variance))


@pytest.mark.parametrize(
    "table", [(7, 34, 1, 34), (56, 70, 48, 80), (3, 500, 9, 480), (0, 40, 4, 30), (120, 5000, 90, 5100)]
)
@pytest.mark.parametrize("d", [-0.2, -0.03, 0.004, 0.1, 0.35])
def test_score__z_at_any_difference__equals_brute_force_likelihood(table: tuple[int, int, int, int], d: float) -> None:
    assert float(z_difference(d, *table)) == pytest.approx(_brute_force_z(d, *table), abs=2e-5)


@pytest.mark.parametrize("table", [(7, 34, 1, 34), (56, 70, 48, 80), (13, 900, 29, 880), (5, 40, 20, 40)])
def test_score__limits__are_the_roots_that_brute_force_finds(table: tuple[int, int, int, int]) -> None:
    estimate = table[0] / table[1] - table[2] / table[3]
    low = optimize.brentq(lambda d: _brute_force_z(d, *table) - CRITICAL, -0.999, estimate)
    high = optimize.brentq(lambda d: _brute_force_z(d, *table) + CRITICAL, estimate, 0.999)
    got = difference_limits(*table, critical=CRITICAL)
    assert got[0] == pytest.approx(low, abs=1e-6)
    assert got[1] == pytest.approx(high, abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.lists(tables(), min_size=1, max_size=12), st.floats(0.3, 6.0), st.booleans())
def test_limits__many_looks_at_once__equal_plain_root_finding_one_by_one(
    looks: list[tuple[int, int, int, int]], critical: float, is_score: bool
) -> None:
    if not is_score:
        # Anchored to mid-P, the statistic of a handful of visitors may cross a low critical value more than once.
        looks = [t for t in looks if min(t[1], t[3]) >= 10 and 0 < t[0] + t[2] < t[1] + t[3]]
        critical = max(critical, 1.0)
        assume(looks)
    counts = np.array(looks, dtype=float).T
    z_d = z_difference if is_score else lambda d, *table: difference_statistic(*table)(np.asarray(d))
    z_r = z_ratio if is_score else lambda r, *table: ratio_statistic(*table)(np.asarray(r))
    limits = (difference_limits, ratio_limits) if is_score else (mid_p_difference_limits, mid_p_ratio_limits)
    together = [limit for found in limits for limit in found(*counts, critical=critical)]

    def crossing(falling: Callable[[float], float], low: float, high: float) -> float:
        # Infinite where a variance vanishes; brentq asks for numbers.
        values = [float(np.clip(falling(at), -1e9, 1e9)) for at in (low, high)]
        if values[0] <= 0 or values[1] >= 0:
            return low if values[0] <= 0 else high
        return float(optimize.brentq(lambda at: np.clip(falling(at), -1e9, 1e9), low, high, xtol=1e-14, rtol=1e-14))

    for k, table in enumerate(looks):
        for low, sign in ((together[0][k], 1), (together[1][k], -1)):
            alone = crossing(lambda d, s=sign, t=table: float(z_d(d, *t)) - s * critical, -1.0, 1.0)
            assert low == pytest.approx(alone, abs=1e-10)
        for low, sign in ((together[2][k], 1), (together[3][k], -1)):
            alone = crossing(lambda r, s=sign, t=table: float(z_r(np.exp(r), *t)) - s * critical, -50.0, 50.0)
            if 0 < low < np.inf:
                assert np.log(low) == pytest.approx(alone, abs=1e-10, rel=1e-10)
            else:
                assert (table[0] if low == 0 else table[2]) == 0


@settings(max_examples=40, deadline=None)
@given(tables())
def test_score__without_difference__is_the_n_minus_one_chi_square(table: tuple[int, int, int, int]) -> None:
    x_t, n_t, x_c, n_c = table
    if 0 < x_t + x_c < n_t + n_c:
        observed = np.array([[x_t, n_t - x_t], [x_c, n_c - x_c]])
        chi2 = stats.chi2_contingency(observed, correction=False).statistic
        expected = chi2 * (n_t + n_c - 1) / (n_t + n_c)
        assert float(z_difference(0.0, *table)) ** 2 == pytest.approx(expected, rel=1e-9, abs=1e-12)
        assert float(z_ratio(1.0, *table)) == pytest.approx(float(z_difference(0.0, *table)), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("table", [(7, 34, 1, 34), (56, 70, 48, 80), (13, 900, 29, 880), (110, 5600, 96, 5600)])
def test_ratio__score_interval__equals_statsmodels(table: tuple[int, int, int, int]) -> None:
    for corrected in (True, False):
        expected = confint_proportions_2indep(*table, compare="ratio", method="score", correction=corrected)
        got = ratio_limits(*table, critical=CRITICAL, corrected=corrected)
        assert [float(x) for x in got] == pytest.approx(list(expected), rel=1e-6)


@pytest.mark.parametrize("table", [(7, 34, 1, 34), (0, 10, 10, 10), (13, 900, 29, 880)])
def test_newcombe__interval__equals_statsmodels(table: tuple[int, int, int, int]) -> None:
    expected = confint_proportions_2indep(*table, compare="diff", method="newcomb")
    got = newcombe_interval(*table, critical=CRITICAL)
    assert (got.low, got.high) == pytest.approx(tuple(expected), abs=1e-9)


def test_wilson__interval__equals_statsmodels() -> None:
    got = wilson_interval(7, 34, critical=CRITICAL)
    assert (got.low, got.high) == pytest.approx(proportion_confint(7, 34, method="wilson"), abs=1e-12)


@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_intervals__over_all_tables_of_40_and_20__exclude_the_null_exactly_when_p_is_below_alpha(alpha: float) -> None:
    x_t, x_c = (a.ravel() for a in np.meshgrid(np.arange(41), np.arange(21), indexing="ij"))
    critical = critical_value(alpha)
    for z, difference, ratio in (
        (
            z_difference(0.0, x_t, 40, x_c, 20),
            difference_limits(x_t, 40, x_c, 20, critical=critical),
            ratio_limits(x_t, 40, x_c, 20, critical=critical),
        ),
        (
            mid_p_z(x_t, 40, x_c, 20),
            mid_p_difference_limits(x_t, 40, x_c, 20, critical=critical),
            mid_p_ratio_limits(x_t, 40, x_c, 20, critical=critical),
        ),
    ):
        is_significant = 2 * special.ndtr(-np.abs(z)) < alpha
        assert np.array_equal((difference[0] > 0) | (difference[1] < 0), is_significant)
        assert np.array_equal((ratio[0] > 1) | (ratio[1] < 1), is_significant)
        estimate = x_t / 40 - x_c / 20
        assert np.all((difference[0] <= estimate + 1e-9) & (estimate - 1e-9 <= difference[1]))


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.key)
@settings(max_examples=25, deadline=None)
@given(table=tables())
def test_comparison__variants_swapped__negates_difference_and_inverts_ratio(
    method: ScoreMethod | MidPMethod, table: tuple[int, int, int, int]
) -> None:
    x_t, n_t, x_c, n_c = table
    one, other = _compare(method, x_t, n_t, x_c, n_c), _compare(method, x_c, n_c, x_t, n_t)
    assert one.p_value == pytest.approx(other.p_value, rel=1e-6, abs=1e-12)
    assert one.effect == pytest.approx(-other.effect)
    assert one.interval.low == pytest.approx(-other.interval.high, abs=1e-6)
    assert one.interval.high == pytest.approx(-other.interval.low, abs=1e-6)
    if isinstance(one.lift, Lift) and isinstance(other.lift, Lift) and x_t and x_c:
        assert one.lift.interval.low + 1 == pytest.approx(1 / (other.lift.interval.high + 1), rel=1e-5)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.key)
@settings(max_examples=25, deadline=None)
@given(table=tables())
def test_comparison__one_more_conversion_in_the_treatment__never_lowers_z_or_limits(
    method: ScoreMethod | MidPMethod, table: tuple[int, int, int, int]
) -> None:
    x_t, n_t, x_c, n_c = table
    if x_t < n_t:
        fewer, more = _compare(method, x_t, n_t, x_c, n_c), _compare(method, x_t + 1, n_t, x_c, n_c)
        assert more.z >= fewer.z - 1e-9
        assert more.interval.low >= fewer.interval.low - 1e-6
        assert more.interval.high >= fewer.interval.high - 1e-6


@pytest.mark.parametrize(
    "table",
    [
        (0, 1, 0, 1),
        (1, 1, 0, 1),
        (0, 1, 1, 1),
        (1, 1, 1, 1),
        (0, 5000, 0, 3),
        (5000, 5000, 3, 3),
        (0, 7, 9, 9),
        (1, 2, 0, 900),
    ],
)
@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.key)
def test_comparison__zero_or_all_converted_or_one_visitor__is_legal_and_honest(
    method: ScoreMethod | MidPMethod, table: tuple[int, int, int, int]
) -> None:
    result = _compare(method, *table)
    assert -1 <= result.interval.low <= result.effect <= result.interval.high <= 1
    assert result.interval.excludes(0) is (result.p_value < 0.05)
    assert result.interval.high > result.interval.low


def test_comparison__nobody_converted__has_an_interval_but_no_lift() -> None:
    result = compare(Proportion(200, 0), Proportion(180, 0), alpha=0.05)
    assert isinstance(result, Comparison)
    assert result.interval.low < 0 < result.interval.high
    assert isinstance(result.lift, NotComputable)
    assert result.lift.blocker is Blocker.BASELINE_IS_ZERO


def test_comparison__control_without_conversions__has_an_infinite_lift_with_a_finite_lower_limit() -> None:
    result = compare(Proportion(200, 9), Proportion(200, 0), alpha=0.05)
    assert isinstance(result, Comparison)
    assert isinstance(result.lift, Lift)
    assert np.isinf(result.lift.value)
    assert np.isinf(result.lift.interval.high)
    assert 0 < result.lift.interval.low < 100


def test_comparison__no_visitors__is_not_computable_with_the_reason() -> None:
    result = compare(Proportion(0, 0), Proportion(200, 5), alpha=0.05)
    assert isinstance(result, NotComputable)
    assert result.blocker is Blocker.NO_VISITORS
    assert "treatment" in result.detail


@pytest.mark.parametrize(
    ("t", "c", "expected"),
    [
        (Proportion(500, 5), Proportion(500, 4), "score"),
        (Proportion(560, 6), Proportion(5040, 50), "mid_p"),
        (Proportion(5600, 1500), Proportion(50400, 14000), "score"),
        (Proportion(100, 99), Proportion(900, 890), "mid_p"),
    ],
)
def test_rule__mid_p__only_for_unequal_splits_with_few_conversions(t: Proportion, c: Proportion, expected: str) -> None:
    assert method_for(t, c).key == expected


def test_mid_p__tails__are_sums_of_hypergeometric_probabilities() -> None:
    # 3 of 10 against 1 of 12: tables with 4 conversions in all.
    probabilities = [stats.hypergeom.pmf(k, 22, 10, 4) for k in range(5)]
    up = probabilities[4] + probabilities[3] / 2
    assert float(mid_p_z(3, 10, 1, 12)) == pytest.approx(-special.ndtri(up), abs=1e-12)


def _coverage(n_t: int, n_c: int, p_t: float, p_c: float, method: str) -> tuple[float, float]:
    """The exact chance that the interval lies wholly above or below the true difference."""
    top_t, top_c = int(stats.binom.isf(1e-7, n_t, p_t)) + 1, int(stats.binom.isf(1e-7, n_c, p_c)) + 1
    x_t, x_c = np.meshgrid(np.arange(min(top_t, n_t) + 1), np.arange(min(top_c, n_c) + 1), indexing="ij")
    limits = {"score": difference_limits, "mid_p": mid_p_difference_limits}[method]
    low, high = limits(x_t, n_t, x_c, n_c, critical=CRITICAL)
    weight = stats.binom.pmf(x_t, n_t, p_t) * stats.binom.pmf(x_c, n_c, p_c)
    return float(weight[low > p_t - p_c].sum()), float(weight[high < p_t - p_c].sum())


@pytest.mark.parametrize(("n", "p"), [(30, 0.2), (60, 0.1), (120, 0.05), (250, 0.02), (500, 0.01)])
def test_coverage__equal_split_from_five_conversions__is_within_93_to_97_per_cent(n: int, p: float) -> None:
    for p_t in (p, 1.5 * p):
        above, below = _coverage(n, n, p_t, p, "score")
        assert 0.93 <= 1 - above - below <= 0.97


@pytest.mark.parametrize(
    ("n_t", "n_c", "p_t", "p_c"), [(200, 1800, 0.02, 0.01), (560, 2800, 0.01, 0.01), (1800, 200, 0.05, 0.05)]
)
def test_coverage__unequal_split_with_few_conversions__keeps_both_tails_of_mid_p(
    n_t: int, n_c: int, p_t: float, p_c: float
) -> None:
    above, below = _coverage(n_t, n_c, p_t, p_c, "mid_p")
    assert above <= 0.03
    assert below <= 0.03
    # The score interval leans on the same tables: that is why the rule exists.
    assert max(_coverage(n_t, n_c, p_t, p_c, "score")) > 0.03
