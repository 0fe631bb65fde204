"""Quantiles by the bootstrap: against scipy, and by the coverage of simulated amounts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.stats.mstats import mjci

from experiments.core.metric_kinds.base import StatisticKind, VisitorValues
from experiments.core.metrics import Role
from reports.core.analyse import Analysis, analyse
from reports.core.methods.base import Blocker, Comparison, Lift, NotComputable
from reports.core.methods.bootstrap import BootstrapMethod
from reports.core.quantiles import REPLICATES, Quantile
from reports.core.statistics import summarise
from reports.core.wire import to_document
from tests.reports.core import worlds


def _quantile(values: np.ndarray, level: float = 0.5, seed: int = 1) -> Quantile:
    found = summarise(StatisticKind.QUANTILE, VisitorValues(values, level=level, seed=seed))
    assert isinstance(found, Quantile)
    return found


def _amounts(rng: np.random.Generator, n: int, *, scale: float = 1.0, buyers: float = 1.0) -> np.ndarray:
    amounts = scale * rng.lognormal(3, 1.1, n)
    return np.where(rng.random(n) < buyers, amounts, np.nan)


@settings(max_examples=50)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=40), st.floats(0.01, 0.99))
def test_quantile__any_values__is_the_inverse_of_the_empirical_distribution(values: list[int], level: float) -> None:
    array = np.asarray(values, dtype=float)
    expected = np.quantile(array, level, method="inverted_cdf")
    assert _quantile(array, level).value == expected


@pytest.mark.parametrize(("level", "seed"), [(0.5, 0), (0.9, 1), (0.25, 2)])
def test_bootstrap__two_skewed_samples__has_the_limits_of_scipy(level: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    t, c = _amounts(rng, 400, scale=1.2), _amounts(rng, 500)

    def difference(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.quantile(a, level, axis=axis, method="inverted_cdf") - np.quantile(
            b, level, axis=axis, method="inverted_cdf"
        )

    oracle = stats.bootstrap((t, c), difference, n_resamples=4000, method="percentile", rng=np.random.default_rng(9))
    got = BootstrapMethod().compare(_quantile(t, level, 5), _quantile(c, level, 6), alpha=0.05)
    assert isinstance(got, Comparison)
    # Both limits are random: some 3 % of the interval's width with this many resamples.
    limits = oracle.confidence_interval
    width = limits.high - limits.low
    assert (got.interval.low, got.interval.high) == pytest.approx((limits.low, limits.high), abs=0.08 * width)
    assert got.standard_error == pytest.approx(oracle.standard_error, rel=0.1)


def test_variance__smooth_values__is_that_of_maritz_and_jarrett() -> None:
    values = np.random.default_rng(4).normal(10, 3, 501)
    found = _quantile(values, 0.5)
    # scipy's interval is the estimate of the same variance around its own quantile; its weights are those of the median.
    low, high = mjci_limits(values)
    assert np.sqrt(found.variance / found.visitors) == pytest.approx((high - low) / (2 * 1.959964), rel=0.02)
    assert np.std(found.resampled()) == pytest.approx(np.sqrt(found.variance / found.visitors), rel=0.04)


def mjci_limits(values: np.ndarray) -> tuple[float, float]:
    error = float(mjci(values, prob=[0.5])[0])
    return -1.959964 * error, 1.959964 * error


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 9999), st.floats(0.8, 1.3), st.sampled_from([0.2, 0.05, 0.01, 0.0501]), st.booleans())
def test_bootstrap__any_two_variants__interval_excludes_no_difference_exactly_when_p_is_below_alpha(
    seed: int, scale: float, alpha: float, is_coarse: bool
) -> None:
    rng = np.random.default_rng(seed)
    t, c = _amounts(rng, 250, scale=scale), _amounts(rng, 250)
    if is_coarse:  # many equal values, as with prices
        t, c = np.ceil(t / 10), np.ceil(c / 10)
    got = BootstrapMethod().compare(_quantile(t, seed=1), _quantile(c, seed=2), alpha=alpha)
    assert isinstance(got, Comparison)
    assert got.interval.excludes(0) is (got.p_value < alpha)
    assert isinstance(got.lift, Lift)
    assert got.lift.interval.excludes(0) is (got.p_value < alpha)


def test_bootstrap__simulated_amounts__holds_the_true_difference_as_often_as_it_says() -> None:
    # The median of lognormal(3, 1.1) is exp(3); a fifth more in the treatment. 3 in 4 visitors buy.
    rng, true, held, tries = np.random.default_rng(11), 0.2 * np.exp(3), 0, 200
    for _ in range(tries):
        t = _amounts(rng, 300, scale=1.2, buyers=0.75)
        c = _amounts(rng, 300, buyers=0.75)
        pair = (_quantile(values, seed=int(rng.integers(2**48))) for values in (t, c))
        got = BootstrapMethod().compare(*pair, alpha=0.05)
        assert isinstance(got, Comparison)
        held += not got.interval.excludes(true)
    low, high = stats.binom.ppf([0.0005, 0.9995], tries, 0.95)
    assert low <= held <= high


@pytest.mark.parametrize(
    ("visitors", "active", "blocker"),
    [(199, 199, Blocker.TOO_FEW_VISITORS), (400, 49, Blocker.TOO_FEW_CONVERSIONS), (0, 0, Blocker.NO_VISITORS)],
)
def test_bootstrap__below_its_floors__gives_the_reason(visitors: int, active: int, blocker: Blocker) -> None:
    few = _quantile(np.where(np.arange(visitors) < active, 5.0 + np.arange(visitors), np.nan))
    enough = _quantile(np.arange(1.0, 301.0))
    for pair in ((few, enough), (enough, few)):
        got = BootstrapMethod().compare(*pair, alpha=0.05)
        assert isinstance(got, NotComputable)
        assert got.blocker is blocker


def _running(day: float, *, role: Role = Role.PRIMARY) -> Analysis:
    rng = np.random.default_rng(3)
    n = 2 * 14 * 60
    variant = np.arange(n) % 2
    spend = np.nan_to_num(_amounts(rng, n, buyers=0.5)) * np.where(variant == 1, 1.6, 1.0)
    first = worlds.microseconds(worlds.START) + np.arange(n) * (14 * worlds.DAY_US // n)
    people = worlds.totals(("control", "treatment"), variant, {"spend": spend}, first)
    metric = worlds.metric("spend", role, kind="quantile", window_hours=24.0, options={"quantile": 0.5})
    plan = worlds.plan(metric, is_imported=False, horizon_days=14)
    return analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(day))


@pytest.mark.parametrize("day", [8, 13])
def test_analyse__quantile_of_a_running_experiment__waits_for_the_planned_end(day: float) -> None:
    metric = _running(day).metrics[0]
    result = metric.comparisons[0].result
    assert isinstance(result, NotComputable)
    assert result.blocker is Blocker.TOO_EARLY
    assert not metric.is_decisive


def test_analyse__quantile_at_the_planned_end__is_compared_once_with_a_seed_from_the_plan() -> None:
    first, again = _running(14), _running(20)
    assert first.metrics == again.metrics  # also: the bootstrap's chance is the same whenever it is asked
    metric = first.metrics[0]
    assert metric.is_decisive
    assert metric.comparisons[0].claim.value == "better"
    values = to_document(first)["metrics"][0]["values"]
    seeds = {value["working"]["seed"] for value in values}
    assert len(seeds) == 2
    assert all(value["working"]["resamples"] == REPLICATES >= 2000 for value in values)
    other = replace(first.plan, alpha=0.04)
    assert other.hash() != first.plan.hash()
