"""Coverage of the nominal 95 % intervals by exact enumeration, and an answer for every table there is."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from reports.core.analyse import analyse
from reports.core.methods import compare
from reports.core.methods.base import Comparison, NotComputable, critical_value
from reports.core.methods.score import difference_limits, ratio_limits, z_difference, z_ratio
from reports.core.statistics import Proportion
from tests.reports.core import worlds

CRITICAL = critical_value(0.05)
VISITORS = (30, 40, 50, 60, 80, 100, 150, 200, 300, 400, 500)
SHARES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2)
FACTORS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
NEGLIGIBLE = 1e-7  # tables beyond this tail add nothing that a limit of a hundredth could feel


def _grid(least_expected: float) -> Iterator[tuple[int, float, float]]:
    """Visitors per variant and both shares of the grid with that many conversions expected in all."""
    for n in VISITORS:
        for control in SHARES:
            for treatment in (control * factor for factor in FACTORS):
                is_on_grid = SHARES[0] <= treatment <= SHARES[-1]
                if is_on_grid and n * (control + treatment) >= least_expected:
                    yield n, control, treatment


def _covered(n: int, control: float, treatment: float) -> tuple[float, float]:
    """The exact chances that the intervals of difference and ratio hold the truth.

    An interval by inversion holds it exactly when the statistic at the truth is within the critical value.
    """
    most_t, most_c = (min(n, int(stats.binom.isf(NEGLIGIBLE, n, p)) + 1) for p in (treatment, control))
    x_t, x_c = np.meshgrid(np.arange(most_t + 1), np.arange(most_c + 1), indexing="ij")
    chance = stats.binom.pmf(x_t, n, treatment) * stats.binom.pmf(x_c, n, control)
    difference = np.abs(z_difference(treatment - control, x_t, n, x_c, n)) <= CRITICAL
    ratio = np.abs(z_ratio(treatment / control, x_t, n, x_c, n)) <= CRITICAL
    return float(chance[difference].sum()), float(chance[ratio].sum())


def test_coverage__grid_from_five_expected_conversions__is_93_to_97_per_cent_everywhere() -> None:
    settings_seen = list(_grid(5.0))
    covered = np.array([_covered(*setting) for setting in settings_seen])
    assert len(covered) > 300
    outside = [
        (s, tuple(c)) for s, c in zip(settings_seen, covered, strict=True) if not np.all((c > 0.93) & (c < 0.97))
    ]
    assert outside == []


def test_coverage__fewer_conversions_than_that__is_never_below_93_per_cent() -> None:
    # With so few conversions an interval can only be too wide; it must not be too narrow.
    assert min(min(_covered(*setting)) for setting in _grid(0.0)) > 0.93


@pytest.mark.parametrize("n", [30, 120])
def test_interval__holds_a_value__exactly_when_the_statistic_there_is_within_the_critical_value(n: int) -> None:
    # What the coverage above stands on, for every table with up to a fifth of the visitors converted.
    x_t, x_c = (a.ravel() for a in np.meshgrid(np.arange(n // 5 + 1), np.arange(n // 5 + 1), indexing="ij"))
    for difference in (-0.03, 0.0, 0.05):
        low, high = difference_limits(x_t, n, x_c, n, critical=CRITICAL)
        holds = (low <= difference) & (difference <= high)
        assert np.array_equal(holds, np.abs(z_difference(difference, x_t, n, x_c, n)) <= CRITICAL)
    for ratio in (0.5, 1.0, 1.6):
        low, high = ratio_limits(x_t, n, x_c, n, critical=CRITICAL)
        holds = (low <= ratio) & (ratio <= high)
        assert np.array_equal(holds, np.abs(z_ratio(ratio, x_t, n, x_c, n)) <= CRITICAL)


@pytest.mark.parametrize("n", [30, 100, 500])
def test_answer__every_table_of_the_grid__has_finite_numbers_and_a_legal_interval(n: int) -> None:
    counts = np.arange(n // 5 + 1)
    x_t, x_c = (a.ravel() for a in np.meshgrid(counts, counts, indexing="ij"))
    z = z_difference(0.0, x_t, n, x_c, n)
    low, high = difference_limits(x_t, n, x_c, n, critical=CRITICAL)
    ratio_low, ratio_high = ratio_limits(x_t, n, x_c, n, critical=CRITICAL)
    effect = (x_t - x_c) / n
    assert np.all(np.isfinite(z))
    assert np.all((low >= -1) & (low <= effect) & (effect <= high) & (high <= 1) & (low < high))
    assert not np.any(np.isnan(ratio_low) | np.isnan(ratio_high))
    assert np.array_equal(np.isinf(ratio_high), x_c == 0)
    assert np.array_equal((low > 0) | (high < 0), 2 * special.ndtr(-np.abs(z)) < 0.05)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data(), st.sampled_from([0.05, 0.01, 0.002]))
def test_comparison__any_counts_and_split__is_an_answer(data: st.DataObject, alpha: float) -> None:
    n_t, n_c = data.draw(st.integers(1, 2000)), data.draw(st.integers(1, 2000))
    x_t, x_c = data.draw(st.integers(0, min(n_t, 60))), data.draw(st.integers(0, min(n_c, 60)))
    found = compare(Proportion(n_t, x_t), Proportion(n_c, x_c), alpha=alpha)
    assert isinstance(found, Comparison)
    assert all(map(math.isfinite, (found.effect, found.interval.low, found.interval.high, found.z, found.p_value)))
    assert found.interval.excludes(0) is (found.p_value < alpha)


@pytest.mark.parametrize(("alpha", "n_c"), [(0.05, 19), (0.01, 99), (0.1, 9)])
def test_mid_p__exactly_alpha__is_not_below_it_for_p_value_and_intervals_alike(alpha: float, n_c: int) -> None:
    # The one treatment visitor is the only one of n_c + 1 who did not convert: a tail of 1/(n_c + 1), halved, times two.
    for treatment, control in ((Proportion(1, 0), Proportion(n_c, n_c)), (Proportion(1, 1), Proportion(n_c, 0))):
        found = compare(treatment, control, alpha=alpha)
        assert isinstance(found, Comparison)
        assert found.method == "mid_p"
        assert found.p_value == pytest.approx(alpha, rel=1e-11)
        assert found.p_value >= alpha
        assert not found.interval.excludes(0)
        assert isinstance(found.lift, NotComputable) or not found.lift.interval.excludes(0)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.data())
def test_analysis__any_small_counts__never_fails_and_never_leaves_an_answer_out(data: st.DataObject) -> None:
    groups = {name: data.draw(st.integers(0, 60), label=name) for name in ("control", "treatment")}
    cart, bought = (
        {name: data.draw(st.integers(0, n), label=f"{key} {name}") for name, n in groups.items()}
        for key in ("cart", "purchase")
    )
    plan = worlds.plan(worlds.metric("cart"), worlds.macro_guardrail("purchase"))
    people = worlds.counted(groups, cart=cart, purchase=bought)
    analysis = analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(30))
    for metric in analysis.metrics:
        (comparison,) = metric.comparisons
        if all(groups.values()):
            assert isinstance(comparison.result, Comparison)
            assert comparison.result.interval.excludes(0) is (comparison.result.p_value < 0.05)
        else:
            assert isinstance(comparison.result, NotComputable)
            assert comparison.result.detail
    assert analysis.verdict.reasons
