"""Evidence that may be read at any time: e-processes and the confidence sequence; and the Bayesian view."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from reports.core.bayes import FLAT, Beta, baseline_prior, bayes_view, expected_loss, p_greater, skeptical_view
from reports.core.sequential.confidence import confidence_sequence, is_burnt_in, pooled_standard_error
from reports.core.sequential.eprocess import (
    highest_log_e,
    log_dirichlet_multinomial_e,
    log_worsening_e,
    rare_event_concentration,
)
from reports.core.statistics import Proportion


def test_split_e__arrival_by_arrival__is_the_product_of_predictive_probabilities() -> None:
    shares, concentration = (0.25, 0.75), 20.0
    prior, log_e = np.array(shares) * concentration, 0.0
    for cell in (0, 1, 1, 0, 0, 1, 0):
        log_e += math.log(prior[cell] / prior.sum() / shares[cell])
        prior[cell] += 1
    assert log_dirichlet_multinomial_e([4, 3], shares, concentration=concentration) == pytest.approx(log_e)


def test_split_e__true_split_watched_daily__alarms_less_often_than_alpha() -> None:
    rng = np.random.default_rng(4)
    replicates, alarms = 400, 0
    for _ in range(replicates):
        treated = rng.binomial(400, 0.5, 28)
        _, highest = highest_log_e(np.column_stack([treated, 400 - treated]), (0.5, 0.5), concentration=1000.0)
        alarms += highest >= math.log(20)
    assert alarms / replicates <= 0.05


def test_split_e__clear_mismatch__alarms() -> None:
    now, highest = highest_log_e([[220, 180]] * 14, (0.5, 0.5), concentration=1000.0)
    assert now == highest > math.log(100)


def test_split_e__no_arrivals__says_nothing() -> None:
    assert highest_log_e([], (0.5, 0.5), concentration=100.0) == (0.0, 0.0)


@pytest.mark.parametrize(("x_t", "x_c", "share"), [(5, 20, 0.5), (0, 9, 0.5), (30, 25, 0.4), (3, 60, 0.1)])
def test_worsening_e__truncated_mixture__equals_numerical_integration(x_t: int, x_c: int, share: float) -> None:
    concentration = 30.0
    a, b = concentration * share, concentration * (1 - share)

    def prior(part: float) -> float:
        return float(np.exp((a - 1) * np.log(part) + (b - 1) * np.log1p(-part)))

    def weighted(part: float) -> float:
        return prior(part) * (part / share) ** x_t * ((1 - part) / (1 - share)) ** x_c

    expected = integrate.quad(weighted, 0, share)[0] / integrate.quad(prior, 0, share)[0]
    got = math.exp(log_worsening_e(x_t, x_c, share, concentration=concentration))
    assert got == pytest.approx(expected, rel=1e-6)


def test_worsening_e__equal_or_better_rates_watched_after_every_conversion__alarms_less_often_than_alpha() -> None:
    rng = np.random.default_rng(6)
    concentration = rare_event_concentration(0.5, 0.8)
    for part in (0.5, 0.55):
        is_theirs = rng.random((400, 150)) < part
        won = np.cumsum(is_theirs, axis=1)
        lost = np.arange(1, 151) - won
        looks = range(9, 150, 10)
        alarms = [
            max(log_worsening_e(int(won[i, k]), int(lost[i, k]), 0.5, concentration=concentration) for k in looks)
            >= math.log(20)
            for i in range(400)
        ]
        assert np.mean(alarms) <= 0.05


def test_worsening_e__treatment_without_any_conversion__becomes_strong_evidence() -> None:
    concentration = rare_event_concentration(0.5, 0.5)
    assert log_worsening_e(0, 0, 0.5, concentration=concentration) == pytest.approx(0.0)
    assert log_worsening_e(0, 25, 0.5, concentration=concentration) > math.log(20)


def test_confidence_sequence__interval_excludes_zero__exactly_when_p_is_below_alpha() -> None:
    for z in np.linspace(0.5, 5, 40):
        found = confidence_sequence(0.01 * z, 0.01, 700, tuned_for=1000, alpha=0.05)
        assert found.interval.excludes(0) == (found.p_value < 0.05)


def test_confidence_sequence__no_effect_watched_daily__misses_less_often_than_alpha() -> None:
    rng = np.random.default_rng(14)
    replicates, rejected = 800, 0
    x = np.cumsum(rng.binomial(50, 0.1, (replicates, 2, 40)), axis=2)
    for t, c in x:
        for day in range(5, 40):
            n = 50 * (day + 1)
            if not is_burnt_in(int(t[day]), int(c[day])):
                continue
            error = pooled_standard_error(int(t[day]), n, int(c[day]), n)
            found = confidence_sequence((t[day] - c[day]) / n, error, 2 * n, tuned_for=4000, alpha=0.05)
            if found.p_value < 0.05:
                rejected += 1
                break
    assert rejected / replicates <= 0.05


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 200), st.integers(1, 60), st.integers(1, 200))
def test_p_greater__finite_sum__equals_quadrature(a: int, b: int, c: int, d: int) -> None:
    expected, _ = integrate.quad(
        lambda x: stats.beta.pdf(x, a, b) * special.betainc(c, d, x), 0, 1, points=[a / (a + b)], limit=200
    )
    assert p_greater(Beta(a, b), Beta(c, d)) == pytest.approx(expected, abs=1e-8)
    # A parameter that is no whole number takes the other way.
    assert p_greater(Beta(a + 1e-9, b), Beta(c, d)) == pytest.approx(expected, abs=1e-6)


def test_p_greater__swapped__adds_up_to_one() -> None:
    one, other = Beta(4.5, 90.2), Beta(7.3, 101.0)
    assert p_greater(one, other) + p_greater(other, one) == pytest.approx(1.0, abs=1e-10)


def test_expected_loss__equals_two_dimensional_quadrature() -> None:
    ship, keep = Beta(10, 40), Beta(12, 40)
    grid = (np.arange(4000) + 0.5) / 4000
    f, g = stats.beta.pdf(grid, 10, 40) / 4000, stats.beta.pdf(grid, 12, 40) / 4000
    expected = float(f @ np.maximum(grid[None, :] - grid[:, None], 0) @ g)
    assert expected_loss(ship=ship, keep=keep) == pytest.approx(expected, abs=1e-7)


def test_bayes_view__credible_interval__holds_what_a_large_sample_says() -> None:
    view = bayes_view(Proportion(200, 9), Proportion(200, 3))
    rng = np.random.default_rng(1)
    draws = rng.beta(10, 192, 400_000) - rng.beta(4, 198, 400_000)
    inside = np.mean((draws > view.difference.low) & (draws < view.difference.high))
    assert inside == pytest.approx(0.95, abs=4 * math.sqrt(0.0475 / 400_000))


def test_bayes_view__huge_counts__stay_probabilities() -> None:
    view = bayes_view(Proportion(600_000, 90_000), Proportion(600_000, 91_000), prior=FLAT)
    normal = special.ndtr(-1000 / 600_000 / math.sqrt(2 * 0.15083 * 0.84917 / 600_000))
    assert view.p_better == pytest.approx(normal, abs=1e-4)
    assert view.difference.high < 0


def test_baseline_prior__weight__is_capped_at_fifty_conversions() -> None:
    prior = baseline_prior(0.02, planned_visitors=1_000_000)
    assert prior.mean == pytest.approx(0.02)
    assert prior.a == pytest.approx(50)
    assert baseline_prior(0.02, planned_visitors=1000).a == pytest.approx(2)


def test_skeptical_view__same_counts__doubts_more_than_a_wide_prior() -> None:
    narrow = skeptical_view(Proportion(500, 40), Proportion(500, 25), least_lift=0.1)
    wide = skeptical_view(Proportion(500, 40), Proportion(500, 25), least_lift=5.0)
    assert 0.5 < narrow.p_better < wide.p_better < 1
