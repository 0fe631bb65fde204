"""Looks: all of a comparison in one go, daily or weekly, and how soon they call it hopeless."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.core.plan import Futility
from reports.core.analyse import analyse
from reports.core.band import z_at_looks
from reports.core.methods import method_for
from reports.core.methods.base import Blocker, NotComputable
from reports.core.statistics import Mean, Proportion
from tests.reports.core import worlds
from tracking.core.totals import VisitorTotals


def test_z_at_looks__every_method_and_empty_variants__equals_asking_look_by_look() -> None:
    rng = np.random.default_rng(5)
    treatment: list[Proportion | Mean] = [Proportion(0, 0), Proportion(40, 0), Proportion(30, 30)]
    control: list[Proportion | Mean] = [Proportion(10, 2), Proportion(50, 0), Proportion(90, 90)]
    for _ in range(20):
        n_t, n_c = (int(n) for n in rng.integers(20, 500, 2))
        treatment += [Proportion(n_t, int(rng.binomial(n_t, 0.1))), Mean(n_t, float(rng.normal(3, 1)), 2.0 * n_t)]
        control += [Proportion(n_c, int(rng.binomial(n_c, 0.1))), Mean(n_c, 3.0, 3.0 * n_c)]
    methods = [method_for(t, c) for t, c in zip(treatment, control, strict=True)]
    assert {m.key for m in methods} == {"score", "mid_p", "welch"}
    found = z_at_looks(treatment, control)
    assert isinstance(found[0], NotComputable) and found[0].blocker is Blocker.NO_VISITORS
    alone = [m.margin_z(t, c, ratio=1.0) for m, t, c in zip(methods, treatment, control, strict=True)]
    assert found[1:] == pytest.approx(alone[1:], abs=1e-10)


def people(days: int, share: float = 0.1) -> VisitorTotals:
    """Forty visitors a day, of each variant twenty, of whom the treatment's convert a little more often."""
    day = np.repeat(np.arange(days), 40)
    variant = np.tile(np.arange(2), 20 * days)
    first = worlds.microseconds(worlds.START) + day * worlds.DAY_US + np.tile(np.arange(40), days) * 1_000_000
    did = np.random.default_rng(3).random(len(day)) < share * (1 + 0.4 * variant)
    return worlds.totals(("control", "treatment"), variant, {"cart": did.astype(float)}, first)


@pytest.mark.parametrize(("day", "looks"), [(6.5, ()), (7, (7,)), (13.9, (7,)), (20, (7, 14)), (28, (7, 14, 21, 28))])
def test_weekly_looks__any_day__judge_whole_weeks_only(day: float, looks: tuple[int, ...]) -> None:
    plan = worlds.plan(worlds.metric("cart", window_hours=24), is_imported=False, horizon_days=28, look_every_days=7)
    totals = people(28)
    found = analyse(plan, totals, worlds.exposures_of(totals), as_of=worlds.at_day(day))
    assert tuple(look.day for look in found.metrics[0].comparisons[0].looks) == looks
    if looks:
        # Between two looks nothing moves: the numbers are those of the last whole week.
        at_look = analyse(plan, totals, worlds.exposures_of(totals), as_of=worlds.at_day(looks[-1]))
        assert found.metrics == at_look.metrics
        assert found.progress.next_look_at == (None if day == 28 else worlds.at_day(looks[-1] + 7))


def test_weekly_looks__same_data__are_held_to_lower_bounds_than_daily_ones() -> None:
    totals = people(21)
    bounds = {}
    for every in (1, 7):
        plan = worlds.plan(
            worlds.metric("cart", window_hours=24), is_imported=False, horizon_days=28, look_every_days=every
        )
        found = analyse(plan, totals, worlds.exposures_of(totals), as_of=worlds.at_day(21))
        bounds[every] = found.metrics[0].comparisons[0].looks[-1].bound
    assert bounds[7] < bounds[1]


def test_futility__eager_gentle_and_never__give_up_in_this_order() -> None:
    totals = people(14)
    found = {}
    for futility in Futility:
        plan = worlds.plan(
            worlds.metric("cart", window_hours=24), is_imported=False, horizon_days=28, futility=futility
        )
        result = analyse(plan, totals, worlds.exposures_of(totals), as_of=worlds.at_day(14))
        found[futility] = result.metrics[0].comparisons[0].looks[-1].futility
    eager, gentle = found[Futility.EAGER], found[Futility.GENTLE]
    assert eager is not None and gentle is not None and eager > gentle
    assert found[Futility.NEVER] is None
