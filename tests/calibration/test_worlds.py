"""Worlds with a known truth through the whole analysis: what is seen too often or too seldom fails."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from experiments.core.plan import AnalysisPlan
from reports.core.analyse import analyse
from reports.core.methods.base import Comparison
from tests.calibration.harness import Found, World, limits, measure
from tests.calibration.scenarios import WORLDS, spending, world_named
from tests.reports.core import worlds


# The tests of one file run in one process; the other half of the worlds is in a file of its own, for the other one.
@pytest.mark.parametrize("world", WORLDS[::2], ids=lambda world: world.name.replace(" ", "_"))
def test_world__through_the_whole_analysis__is_within_its_limits(world: World) -> None:
    # One reading in a thousand lies outside by chance; the seeds are fixed, so this checks code and not luck.
    found = measure(world, world.in_tests, seed=world.seed)
    assert [(f.reading.name, f.rate, f.limits) for f in found if not f.is_inside] == []


def test_limits__two_thousand_replicates_at_five_per_cent__are_the_specified_ones() -> None:
    # STATISTICS section 11: .0345-.0665 for 2,000 replicates, .043-.057 for 10,000.
    assert limits(0.05, 2000) == pytest.approx((0.0345, 0.0665), abs=1e-4)
    assert limits(0.05, 10_000) == pytest.approx((0.043, 0.057), abs=5e-4)


def test_reading__one_more_than_the_limit_allows__is_outside() -> None:
    reading = world_named("5 % convert, no effect").readings[0]
    low, high = reading.limits(2000)
    assert Found(reading, 2000, high).is_inside
    assert not Found(reading, 2000, high + 1 / 2000).is_inside
    assert not Found(reading, 2000, low - 1 / 2000).is_inside


def test_replicates__same_seed_twice__are_the_same_and_another_seed_gives_others() -> None:
    world = world_named("one look, 5 % to 8 %")
    assert world.analyses(60, seed=1) == world.analyses(60, seed=1)
    assert world.analyses(60, seed=1) != world.analyses(60, seed=2)


@pytest.mark.parametrize("world", [w for w in WORLDS if w.name.startswith(("one look at amounts", "orders per"))])
def test_p_values__continuous_metric_without_effect__are_uniform(world: World) -> None:
    # Shares are left out: counts have too few values for their p-values to be uniform.
    plan = _one_look(world.plan)
    rng = np.random.default_rng(12)
    variant, when = world.traffic.arrivals()
    found = []
    for _ in range(500):
        people = worlds.totals(("control", "treatment"), variant, world.draw(rng, variant, when), when)
        result = (
            analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(60)).metrics[0].comparisons[0].result
        )
        assert isinstance(result, Comparison)
        found.append(result.p_value)
    assert stats.kstest(found, "uniform").pvalue > 1e-3


def _one_look(plan: AnalysisPlan) -> AnalysisPlan:
    return worlds.plan(*plan.metrics)


def test_draw__amounts__have_the_share_of_buyers_that_the_world_says() -> None:
    variant = np.zeros(20_000, dtype=int)
    (amounts,) = spending(0.1)(np.random.default_rng(1), variant, variant).values()
    assert np.mean(amounts > 0) == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / 20_000))
