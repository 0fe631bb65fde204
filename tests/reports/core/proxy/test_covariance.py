"""Learning how effects move together: unbiased where the naive scatter plot flatters, and honest where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from reports.core.proxy.covariance import (
    composite_weights,
    correlation,
    deserves_weight,
    positive,
    total_covariance,
)

PRIOR = np.diag([0.01, 0.01])
EFFECTS = np.array([[0.0100, 0.0021], [0.0021, 0.0040]])  # slope of the macro on the micro: 0.21
NOISE = np.array([[0.0060, 0.0055], [0.0055, 0.0200]])


def experiments(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    truth = rng.multivariate_normal([0, 0], EFFECTS, size=count)
    error = rng.multivariate_normal([0, 0], NOISE, size=count)
    return truth + error, np.broadcast_to(NOISE, (count, 2, 2))


def test_total_covariance__a_thousand_experiments__slope_is_right_where_the_naive_one_flatters() -> None:
    estimates, noise = experiments(4_000, np.random.default_rng(1))

    found = total_covariance(estimates, noise, PRIOR)

    assert found.slope == pytest.approx(0.21, abs=0.05)
    # (0.0021 + 0.0055) / (0.01 + 0.006) = 0.475: the shared noise alone more than doubles it.
    assert found.naive_slope == pytest.approx(0.475, abs=0.05)
    assert correlation(found.corrected) == pytest.approx(0.0021 / np.sqrt(0.01 * 0.004), abs=0.08)


def test_total_covariance__few_experiments_many_times__is_unbiased_before_it_is_made_possible() -> None:
    rng = np.random.default_rng(2)
    for count in (5, 12):
        raw = np.mean([total_covariance(*experiments(count, rng), PRIOR).raw for _ in range(3_000)], axis=0)
        assert raw == pytest.approx(EFFECTS + NOISE, rel=0.08)


def test_total_covariance__placebo__labels_drawn_at_random_leave_no_slope() -> None:
    rng = np.random.default_rng(3)
    estimates = rng.multivariate_normal([0, 0], NOISE, size=2_000)

    found = total_covariance(estimates, np.broadcast_to(NOISE, (2_000, 2, 2)), PRIOR)

    assert found.is_too_weak
    assert found.naive_slope is not None and found.naive_slope > 0.5
    assert np.abs(found.corrected).max() < 0.1 * NOISE[1, 1]


def test_total_covariance__one_experiment__stays_near_the_prior() -> None:
    found = total_covariance(np.array([[0.3, 0.3]]), NOISE[None], PRIOR)

    assert found.shrunk == pytest.approx((10 * PRIOR + found.corrected) / 11)


def test_total_covariance__weights__two_halves_count_as_one() -> None:
    rng = np.random.default_rng(4)
    estimates, noise = experiments(12, rng)
    twice, noise_twice = np.repeat(estimates, 2, axis=0), np.repeat(noise, 2, axis=0)

    once = total_covariance(estimates, noise, PRIOR)
    halves = total_covariance(twice, noise_twice, PRIOR, weights=np.full(24, 0.5))

    # Equal but for the degree of freedom that the mean takes: 12/11 against 24/23.
    assert halves.raw * (23 / 24) == pytest.approx(once.raw * (11 / 12))


def test_total_covariance__shapes_that_do_not_fit__are_refused() -> None:
    with pytest.raises(ValueError, match="need noise of shape"):
        total_covariance(np.zeros((3, 2)), np.zeros((3, 2)), PRIOR)


def test_positive__a_negative_variance__becomes_none() -> None:
    found = positive(np.array([[1.0, 0.0], [0.0, -0.5]]))

    assert found == pytest.approx(np.array([[1.0, 0.0], [0.0, 0.0]]))


@pytest.mark.parametrize("seed", range(5))
def test_deserves_weight__equals_the_sign_of_the_regression_coefficient(seed: int) -> None:
    rng = np.random.default_rng(seed)
    effects, noise = (a @ a.T for a in rng.normal(size=(2, 2, 2)))

    # E[macro effect | both estimates] is linear in them with these coefficients.
    coefficient = np.linalg.solve(effects + noise, effects[:, 1])[0]

    assert deserves_weight(effects, noise) == (coefficient > 0)


def test_composite__equals_the_quadratic_programme() -> None:
    rng = np.random.default_rng(7)
    root = rng.normal(size=(4, 4))
    effects, noise = root @ root.T, np.diag([5.0, 0.1, 2.0])
    effects[0, -1] = effects[-1, 0] = -0.2

    found = composite_weights(effects, noise, visitors=10)

    spread = effects[:-1, :-1] + noise / 10
    spread = spread + np.eye(3) * 0.1 * np.trace(spread) / 3
    shared = effects[:-1, -1]
    best = optimize.minimize(
        lambda x: x @ spread @ x,
        np.where(shared > 0, 1 / np.maximum(shared, 1e-9), 0),
        constraints={"type": "eq", "fun": lambda x: shared @ x - 1},
        bounds=[(0, None)] * 3,
    )
    assert found == pytest.approx(best.x / best.x.sum(), abs=1e-3)
    assert found.min() >= 0 and found.sum() == pytest.approx(1)


def test_composite__more_traffic__moves_from_the_sensitive_to_the_aligned_metric() -> None:
    effects = np.array([[1.0, 0.2, 0.4], [0.2, 1.0, 0.9], [0.4, 0.9, 1.0]])
    noise = np.diag([10.0, 2_000.0])

    few, many = (composite_weights(effects, noise, visitors=n) for n in (100, 100_000))

    assert many[1] > few[1]


def test_composite__nothing_moves_with_the_macro__is_refused() -> None:
    with pytest.raises(ValueError, match="No micro metric"):
        composite_weights(np.diag([1.0, 1.0, 1.0]), np.eye(2), visitors=10)
