"""Group-sequential bounds and inference: published tables, laws and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from experiments.core.plan import DAILY, WEEKLY, Futility
from reports.core.sequential.bounds import efficacy_bounds, nominal_alpha
from reports.core.sequential.design import Schedule, design
from reports.core.sequential.inference import repeated_p, sequential_p, stagewise
from reports.core.sequential.recursion import crossing_probabilities
from reports.core.sequential.spending import SPENDING, spending_named

LOOKS = (0.2, 0.4, 0.6, 0.8, 1.0)


def _paths(information: tuple[float, ...], drift: float, replicates: int, seed: int) -> np.ndarray:
    """Z statistics of simulated tests. Shapes: (replicates, looks)."""
    steps = np.diff((0.0, *information))
    rng = np.random.default_rng(seed)
    scores = np.cumsum(drift * steps + rng.standard_normal((replicates, len(steps))) * np.sqrt(steps), axis=1)
    return scores / np.sqrt(information)


@pytest.mark.parametrize("spending", ["LD-OBF", "LD-Pocock", "power rho=2"])
def test_bounds__no_effect__are_crossed_with_exactly_alpha(spending: str) -> None:
    bounds = efficacy_bounds(LOOKS, alpha=0.05, spending=spending)
    found = crossing_probabilities(LOOKS, [-b for b in bounds], bounds, drift=0.0)
    spent = [spending_named(spending)(t, 0.025) for t in LOOKS]
    assert np.cumsum(found.upper) == pytest.approx(spent, abs=1e-7)
    assert found.lower == pytest.approx(found.upper, abs=1e-12)


def test_bounds__one_look__is_the_plain_critical_value() -> None:
    assert efficacy_bounds([1.0], alpha=0.05) == pytest.approx([1.959964], abs=1e-6)


def test_crossing__with_drift__is_what_simulation_finds() -> None:
    bounds = efficacy_bounds(LOOKS, alpha=0.05)
    found = crossing_probabilities(LOOKS, [-b for b in bounds], bounds, drift=2.5)
    z = _paths(LOOKS, 2.5, 40_000, seed=11)
    crossed = np.cumsum(z >= np.asarray(bounds), axis=1) > 0
    expected = np.cumsum(found.upper)
    error = 4 * np.sqrt(expected * (1 - expected) / 40_000) + 1e-4
    assert np.all(np.abs(crossed.mean(axis=0) - expected) < error)


@pytest.mark.parametrize(
    ("horizon", "inflation"), [(14, 1.077), (21, 1.086), (28, 1.090), (35, 1.093), (42, 1.095), (56, 1.097)]
)
def test_default_design__inflation__equals_the_specified_table(horizon: int, inflation: float) -> None:
    # STATISTICS section 4.2.
    assert Schedule(horizon).design(alpha=0.05, power=0.8).inflation == pytest.approx(inflation, abs=6e-4)


def test_default_design__four_weeks__has_the_specified_bounds_and_sizes() -> None:
    found = Schedule(28).design(alpha=0.05, power=0.8)
    at = [Schedule(28).days.index(day) for day in (7, 14, 21, 28)]
    assert [found.efficacy[i] for i in at] == pytest.approx([4.333, 3.042, 2.475, 2.140], abs=6e-4)
    assert [found.futility[i] for i in at] == pytest.approx([-1.026, -0.128, 0.906, 2.140], abs=6e-4)
    assert found.expected_if_real == pytest.approx(0.76, abs=0.011)
    assert found.expected_if_null == pytest.approx(0.58, abs=0.006)


def test_design__with_futility__has_the_planned_power() -> None:
    found = Schedule(28).design(alpha=0.05, power=0.8)
    crossing = crossing_probabilities(found.information, found.futility, found.efficacy, drift=found.drift)
    assert crossing.upper.sum() == pytest.approx(0.8, abs=1e-5)


def test_design__without_futility__inflates_less() -> None:
    found = design(tuple(day / 28 for day in range(7, 29)), alpha=0.05, power=0.8, futility=None)
    assert found.inflation == pytest.approx(1.049, abs=6e-4)


@pytest.mark.parametrize(
    ("horizon", "every_days", "futility", "inflation", "if_null"),
    [
        (35, DAILY, Futility.EAGER, 1.155, 0.51),
        (28, DAILY, Futility.NEVER, 1.049, 1.04),
        (28, WEEKLY, Futility.GENTLE, 1.040, 0.652),
    ],
)
def test_schedule__other_looks_and_futility__equals_the_specified_table(
    horizon: int, every_days: int, futility: Futility, inflation: float, if_null: float
) -> None:
    # STATISTICS section 4.2, alternatives; its .99 for "never" is a share of the most, here it is of one look.
    found = Schedule(horizon, every_days, futility).design(alpha=0.05, power=0.8)
    assert found.inflation == pytest.approx(inflation, abs=1e-3)
    assert found.expected_if_null == pytest.approx(if_null, abs=0.006)


@pytest.mark.parametrize("days", [0, 5, 10, 30])
def test_horizon__not_whole_weeks__is_refused(days: int) -> None:
    with pytest.raises(ValueError, match="whole weeks"):
        Schedule(days)


def test_bounds__information_that_falls__is_refused() -> None:
    with pytest.raises(ValueError, match="grow from look to look"):
        efficacy_bounds([0.2, 0.5, 0.4, 1.0], alpha=0.05)


def test_bounds__too_early_to_spend_anything__are_out_of_reach() -> None:
    assert efficacy_bounds([0.0001, 1.0], alpha=0.05)[0] == np.inf


def test_overrun__final_look_with_more_than_planned__spends_the_rest_by_true_correlations() -> None:
    information = [n / 400 for n in (100, 200, 300, 450)]
    shares = [min(1.0, share) for share in information]
    bounds = efficacy_bounds(information, alpha=0.05, spending="power rho=2", shares=shares)
    found = crossing_probabilities(information, [-b for b in bounds], bounds, drift=0.0)
    assert np.cumsum(found.upper) == pytest.approx([0.025 * s**2 for s in (0.25, 0.5, 0.75, 1.0)], abs=1e-6)


def test_underrun__look_short_of_the_plan_declared_final__still_spends_all() -> None:
    bounds = efficacy_bounds([0.3, 0.6], alpha=0.05, shares=[0.3, 1.0])
    found = crossing_probabilities([0.3, 0.6], [-b for b in bounds], bounds, drift=0.0)
    assert found.upper.sum() == pytest.approx(0.025, abs=1e-7)


def test_stagewise__single_look__is_the_ordinary_answer() -> None:
    found = stagewise([1.0], [1.959964], stop_look=1, z=2.5, alpha=0.05)
    assert found.p_one_sided == pytest.approx(float(special.ndtr(-2.5)))
    assert found.estimate == pytest.approx(2.5, abs=1e-8)
    assert found.interval.low == pytest.approx(2.5 - 1.959964, abs=1e-6)


def test_stagewise__stop_exactly_on_the_bound__has_the_p_that_was_spent() -> None:
    bounds = efficacy_bounds(LOOKS, alpha=0.05)
    found = stagewise(LOOKS, bounds, stop_look=3, z=bounds[2], alpha=0.05)
    assert found.p_one_sided == pytest.approx(SPENDING["LD-OBF"](0.6, 0.025), abs=1e-7)


def test_stagewise__median_unbiased_estimate_and_interval__hold_what_they_promise() -> None:
    drift, replicates, looks = 2.2, 1500, (0.35, 0.7, 1.0)
    bounds = efficacy_bounds(looks, alpha=0.05)
    z = _paths(looks, drift, replicates, seed=7)
    estimates_low, covered = [], []
    # Answers depend on (look, z) only smoothly, so rounding z to 0.1 moves coverage less than the simulation error.
    cache: dict[tuple[int, float], tuple[float, float, float]] = {}
    for row in z:
        crossed = np.flatnonzero(np.abs(row) >= np.asarray(bounds))
        look = int(crossed[0]) if len(crossed) else len(looks) - 1
        key = (look, round(float(row[look]) / 0.1) * 0.1)
        if key not in cache:
            found = stagewise(looks, bounds, stop_look=look + 1, z=key[1], alpha=0.05)
            cache[key] = (found.estimate, found.interval.low, found.interval.high)
        estimate, low, high = cache[key]
        estimates_low.append(estimate < drift)
        covered.append(low <= drift <= high)
    assert np.mean(estimates_low) == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / replicates))
    assert np.mean(covered) == pytest.approx(0.95, abs=4 * np.sqrt(0.0475 / replicates))


def test_sequential_p__is_the_alpha_whose_bound_a_look_just_touches() -> None:
    z = [1.0, 2.2, 2.4, 2.1, 2.3]
    p = sequential_p(LOOKS, z)
    bounds = efficacy_bounds(LOOKS, alpha=p, is_one_sided=True)
    assert max(value - bound for value, bound in zip(z, bounds, strict=True)) == pytest.approx(0.0, abs=1e-6)


def test_sequential_p__nothing_ever_near__is_large() -> None:
    assert sequential_p(LOOKS, [-2.0, -2.5, -2.0, -3.0, -3.0]) > 0.9


def test_nominal_alpha__of_the_plain_critical_value__is_alpha() -> None:
    assert nominal_alpha(1.959963985) == pytest.approx(0.05, abs=1e-9)


def test_spending__unknown_name__is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="LD-OBF"):
        spending_named("linear-ish")


@pytest.mark.parametrize("name", sorted(SPENDING))
def test_spending__grows_from_nothing_to_all(name: str) -> None:
    spent = [SPENDING[name](t, 0.025) for t in np.linspace(0, 1.2, 25)]
    assert spent[0] == 0
    assert spent[-1] == 0.025
    assert np.all(np.diff(spent) >= 0)


@pytest.mark.parametrize("z", [1.0, 2.0, 2.9, 5.0])
def test_repeated_p__is_the_level_whose_bound_the_last_look_just_touches(z: float) -> None:
    information = [0.25, 0.5, 0.75]
    p = repeated_p(information, -z, alpha=0.05)
    assert efficacy_bounds(information, alpha=p)[-1] == pytest.approx(z, abs=0.01)
    bound = efficacy_bounds(information, alpha=0.05)[-1]
    assert (p < 0.05) is (z > bound)


def test_repeated_p__last_look_of_all_strongest__is_the_sequential_p_and_never_below_it() -> None:
    information, z = [0.25, 0.5, 0.75], [0.5, -1.2, 3.1]
    repeated = repeated_p(information, z[-1], alpha=0.05)
    assert repeated == pytest.approx(sequential_p(information, z, is_one_sided=False), rel=0.01)
    assert repeated_p(information, 1.0, alpha=0.05) > sequential_p(information, [0.5, 4.0, 1.0], is_one_sided=False)


def test_sequential_p__two_sided__is_about_twice_the_one_sided() -> None:
    information, z = [0.25, 0.5, 0.75], [0.5, 2.4, 2.8]
    assert sequential_p(information, z, is_one_sided=False) == pytest.approx(2 * sequential_p(information, z), rel=0.01)


@pytest.mark.parametrize(("looks", "stop", "above"), [(4, 2, 0.01), (22, 15, 0.5), (22, 22, 1.0), (22, 1, 4.0)])
def test_stagewise__its_three_drifts__give_the_probabilities_that_define_them(
    looks: int, stop: int, above: float
) -> None:
    # One recursion is reweighted for all drifts; here each drift has a recursion of its own.
    information = [(k + 1) / looks for k in range(looks)]
    bounds = efficacy_bounds(information, alpha=0.05)
    z = bounds[stop - 1] + above
    found = stagewise(information, bounds, stop_look=stop, z=z, alpha=0.05)
    lower, upper = [-b for b in bounds[:stop]], [*bounds[: stop - 1], z]
    for drift, probability in (
        (0.0, found.p_one_sided),
        (found.estimate, 0.5),
        (found.interval.low, 0.025),
        (found.interval.high, 0.975),
    ):
        crossing = crossing_probabilities(information[:stop], lower, upper, drift=drift)
        assert crossing.upper.sum() == pytest.approx(probability, abs=2e-5)


def test_bounds__a_look_every_day_of_a_year__are_crossed_by_chance_as_often_as_promised() -> None:
    # A grid too coarse for so many small steps would put the last bound at 2.24 and hold alpha at 4.6 %.
    schedule = Schedule(364)
    bounds = np.asarray(efficacy_bounds(schedule.information, alpha=0.05))
    days = np.arange(1, 365)
    z = np.random.default_rng(1).normal(size=(20_000, 364)).cumsum(axis=1) / np.sqrt(days)
    crossed = float(np.mean((np.abs(z[:, 6:]) >= bounds).any(axis=1)))
    assert crossed == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 20_000))


def test_bounds__more_and_more_looks__settle_down() -> None:
    last = [efficacy_bounds(np.arange(1, n + 1) / n, alpha=0.0035, is_one_sided=True)[-1] for n in (84, 168, 294)]
    assert last == sorted(last) and last[-1] < 2.9
