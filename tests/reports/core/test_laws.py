"""Laws that no right analysis breaks, for every kind of metric, at one look and at daily looks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.core.metric_kinds.base import StatisticKind, VisitorValues
from experiments.core.metrics import Direction
from experiments.core.plan import AnalysisPlan, PlannedMetric
from reports.core.analyse import Analysis, analyse
from reports.core.band import band
from reports.core.methods import compare
from reports.core.methods.base import Comparison, Lift, NotComputable
from reports.core.results import Claim, VariantComparison
from reports.core.statistics import Statistic, summarise
from tests.reports.core import worlds
from tracking.core.totals import VisitorTotals

HORIZON = 14
MIRROR = {Claim.BETTER: Claim.WORSE, Claim.WORSE: Claim.BETTER, Claim.OPEN: Claim.OPEN}

METRICS: Mapping[str, PlannedMetric] = {
    "conversion": worlds.metric("orders", window_hours=24),
    "value_sum": worlds.metric("spend", kind="value_sum", window_hours=24),
    "ratio": worlds.metric("orders", kind="ratio", denominator_event="sessions", window_hours=24),
}
KINDS = st.sampled_from(sorted(METRICS))
SEEDS = st.integers(0, 10_000)
EFFECTS = st.sampled_from([0.6, 1.0, 1.5])


@dataclass(frozen=True, slots=True)
class World:
    """Visitors of a fortnight with orders, sessions and amounts. Shapes: all (visitors,)."""

    variant: np.ndarray
    when: np.ndarray
    columns: Mapping[str, np.ndarray]

    def totals(self, names: tuple[str, ...] = ("control", "treatment")) -> VisitorTotals:
        return worlds.totals(names, self.variant, self.columns, self.when)


def _world(seed: int, effect: float = 1.0, *, visitors: int = 700) -> World:
    rng = np.random.default_rng(seed)
    variant = rng.integers(0, 2, visitors)
    when = worlds.microseconds(worlds.START) + np.sort(rng.integers(0, HORIZON * worlds.DAY_US, visitors))
    sessions = 1.0 + rng.poisson(0.5, visitors)
    orders = rng.binomial(sessions.astype(int), np.where(variant == 1, 0.12 * effect, 0.12)).astype(float)
    return World(
        variant,
        when,
        {"orders": orders, "orders.denominator": sessions, "spend": orders * rng.lognormal(3, 0.8, visitors)},
    )


def _plan(metric: PlannedMetric) -> AnalysisPlan:
    return worlds.plan(metric, is_imported=False, horizon_days=HORIZON)


def _run(plan: AnalysisPlan, people: VisitorTotals, day: float = HORIZON + 2) -> Analysis:
    return analyse(
        plan, people, worlds.exposures_of(people), as_of=plan.started_at + (worlds.at_day(day) - worlds.START)
    )


def _only(analysis: Analysis) -> VariantComparison:
    ((comparison,),) = (metric.comparisons for metric in analysis.metrics)
    return comparison


def _result(comparison: VariantComparison) -> Comparison:
    assert isinstance(comparison.result, Comparison)
    return comparison.result


def _numbers(comparison: VariantComparison) -> list[float]:
    """Everything that a claim rests on, as one list."""
    result = _result(comparison)
    lift = [result.lift.value, result.lift.interval.low, result.lift.interval.high] if _has(result.lift) else []
    looks = [number for look in comparison.looks for number in (look.z, look.bound)]
    return [result.effect, result.interval.low, result.interval.high, result.z, result.p_value, *lift, *looks]


def _has(lift: Lift | NotComputable) -> bool:
    return isinstance(lift, Lift)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(KINDS, SEEDS, EFFECTS)
def test_running__treatment_and_control_swapped__mirrors_every_number_and_claim(
    kind: str, seed: int, effect: float
) -> None:
    world, plan = _world(seed, effect), _plan(METRICS[kind])
    one = _only(_run(plan, world.totals()))
    other = _only(_run(plan, world.totals(("treatment", "control"))))
    a, b = _result(one), _result(other)
    assert [look.z for look in one.looks] == pytest.approx([-look.z for look in other.looks], abs=1e-7)
    assert [look.bound for look in one.looks] == pytest.approx([look.bound for look in other.looks], rel=1e-9)
    assert (a.effect, a.z) == pytest.approx((-b.effect, -b.z), abs=1e-7)
    assert a.p_value == pytest.approx(b.p_value, rel=1e-5)
    assert (a.interval.low, a.interval.high) == pytest.approx((-b.interval.high, -b.interval.low), abs=1e-6)
    assert one.claim is MIRROR[other.claim]
    if isinstance(a.lift, Lift) and isinstance(b.lift, Lift):
        assert (1 + a.lift.interval.low) * (1 + b.lift.interval.high) == pytest.approx(1, rel=1e-5)
        assert (1 + a.lift.value) * (1 + b.lift.value) == pytest.approx(1, rel=1e-7)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(KINDS, SEEDS, EFFECTS)
def test_running__visitors_in_another_order__changes_nothing(kind: str, seed: int, effect: float) -> None:
    world, plan = _world(seed, effect), _plan(METRICS[kind])
    order = np.random.default_rng(seed + 1).permutation(len(world.variant))
    shuffled = World(
        world.variant[order], world.when[order], {key: values[order] for key, values in world.columns.items()}
    )
    one, other = _only(_run(plan, world.totals())), _only(_run(plan, shuffled.totals()))
    assert _numbers(one) == pytest.approx(_numbers(other), rel=1e-8, abs=1e-10)
    assert one.claim is other.claim


@settings(max_examples=15, deadline=None, derandomize=True)
@given(SEEDS, EFFECTS, st.sampled_from([0.01, 100.0, 3600.0]), st.sampled_from(["value_sum", "ratio"]))
def test_running__another_unit__scales_the_effect_and_nothing_else(
    seed: int, effect: float, unit: float, kind: str
) -> None:
    world, plan = _world(seed, effect), _plan(METRICS[kind])
    scaled = replace(
        world, columns={k: v * (1.0 if k == "orders.denominator" else unit) for k, v in world.columns.items()}
    )
    one, other = _only(_run(plan, world.totals())), _only(_run(plan, scaled.totals()))
    a, b = _result(one), _result(other)
    assert (b.effect, b.interval.low, b.interval.high) == pytest.approx(
        (unit * a.effect, unit * a.interval.low, unit * a.interval.high), rel=1e-6, abs=1e-9 * unit
    )
    assert _numbers(one)[3:] == pytest.approx(_numbers(other)[3:], rel=1e-6, abs=1e-9)
    assert one.claim is other.claim


@settings(max_examples=10, deadline=None, derandomize=True)
@given(KINDS, SEEDS, st.integers(-400, 400))
def test_running__everything_moved_in_time__changes_nothing(kind: str, seed: int, days: int) -> None:
    world, plan = _world(seed), _plan(METRICS[kind])
    assert plan.started_at is not None
    moved = replace(plan, started_at=plan.started_at + (worlds.at_day(days) - worlds.START))
    later = replace(world, when=world.when + days * worlds.DAY_US)
    assert _numbers(_only(_run(plan, world.totals()))) == _numbers(_only(_run(moved, later.totals())))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(SEEDS, EFFECTS, st.integers(1, 30))
def test_running__more_conversions_of_the_treatment__never_lower_z_at_any_look(
    seed: int, effect: float, more: int
) -> None:
    world, plan = _world(seed, effect), _plan(METRICS["conversion"])
    without = np.flatnonzero((world.variant == 1) & (world.columns["orders"] == 0))[:more]
    orders = world.columns["orders"].copy()
    orders[without] = 1.0
    fewer = _only(_run(plan, world.totals()))
    greater = _only(_run(plan, replace(world, columns={**world.columns, "orders": orders}).totals()))
    assert all(b.z >= a.z - 1e-9 for a, b in zip(fewer.looks, greater.looks, strict=True))
    assert _result(greater).interval.low >= _result(fewer).interval.low - 1e-7
    assert _result(greater).interval.high >= _result(fewer).interval.high - 1e-7


@settings(max_examples=15, deadline=None, derandomize=True)
@given(KINDS, SEEDS, EFFECTS)
def test_running__less_is_better__claims_the_mirror_of_more_is_better(kind: str, seed: int, effect: float) -> None:
    world, planned = _world(seed, effect), METRICS[kind]
    fewer = replace(planned, metric=replace(planned.metric, direction=Direction.DECREASE))
    one, other = _only(_run(_plan(planned), world.totals())), _only(_run(_plan(fewer), world.totals()))
    assert _numbers(one) == _numbers(other)
    assert one.claim is MIRROR[other.claim]


@settings(max_examples=20, deadline=None, derandomize=True)
@given(KINDS, SEEDS, EFFECTS, st.sampled_from([7, 9, 11, 14]))
def test_running__at_any_look__interval_and_lift_exclude_nothing_exactly_when_p_is_below_alpha(
    kind: str, seed: int, effect: float, day: int
) -> None:
    comparison = _only(_run(_plan(METRICS[kind]), _world(seed, effect).totals(), day))
    result = _result(comparison)
    # At the level of the bound itself p and alpha are one number; a tie in the last digits says nothing.
    if not math.isclose(result.p_value, 0.05, rel_tol=1e-6):
        assert result.interval.excludes(0) is (result.p_value < 0.05)
        if isinstance(result.lift, Lift):
            assert result.lift.interval.excludes(0) is (result.p_value < 0.05)
    for look, (_, interval) in zip(comparison.looks, band(comparison.looks), strict=True):
        if abs(abs(look.z) - look.bound) > 1e-6:
            assert interval.excludes(0) is (abs(look.z) >= look.bound)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.sampled_from([StatisticKind.PROPORTION, StatisticKind.MEAN, StatisticKind.RATIO]),
    SEEDS,
    st.lists(st.integers(0, 120), min_size=1, max_size=6),
)
def test_comparison__statistics_merged_from_parts_in_any_order__is_that_of_all_visitors(
    kind: StatisticKind, seed: int, cuts: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    bottom = 1.0 + rng.poisson(1.0, 240)
    top = rng.binomial(bottom.astype(int), 0.3).astype(float)

    def of(rows: np.ndarray) -> Statistic:
        return summarise(kind, VisitorValues(top[rows], bottom[rows]))

    treatment, control = np.arange(120), np.arange(120, 240)
    parts = [of(part) for part in np.split(treatment, sorted(cuts))]
    merged = parts[0]
    for part in (parts[index + 1] for index in rng.permutation(len(parts) - 1)):
        merged = part + merged  # type: ignore[operator]
    whole, found = (compare(t, of(control), alpha=0.05) for t in (of(treatment), merged))
    assert isinstance(whole, Comparison)
    assert isinstance(found, Comparison)
    assert (found.effect, found.interval.low, found.interval.high, found.z, found.p_value) == pytest.approx(
        (whole.effect, whole.interval.low, whole.interval.high, whole.z, whole.p_value), rel=1e-8, abs=1e-11
    )
