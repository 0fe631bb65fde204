"""The analysis as a whole: which visitors count, what is compared when, and what may be claimed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.core.metrics import Conversion, Direction, Role
from reports.core.analyse import Analysis, analyse, columns_for
from reports.core.band import band
from reports.core.methods.base import Blocker, Comparison, Lift, NotComputable
from reports.core.results import Claim
from reports.core.sequential.bounds import efficacy_bounds
from reports.core.statistics import Proportion
from tests.reports.core import worlds
from tracking.core.totals import VisitorTotals

CONTROL_AND_TREATMENT = ("control", "treatment")


def _run(plan, people: VisitorTotals, day: float = 30) -> Analysis:  # type: ignore[no-untyped-def]
    return analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(day))


def _arriving(per_day: int, days: int, shares: tuple[float, float], *, seed: int = 1) -> VisitorTotals:
    """Visitors who arrive evenly, half in each variant; exactly these shares of each day's visitors convert."""
    arrivals, variants, cart = [], [], []
    rng = np.random.default_rng(seed)
    for day in range(days):
        for index, share in enumerate(shares):
            arrivals.append(worlds.microseconds(worlds.at_day(day)) + rng.integers(0, worlds.DAY_US, per_day))
            variants.append(np.full(per_day, index))
            cart.append(np.arange(per_day) < round(share * per_day))
    return worlds.totals(
        CONTROL_AND_TREATMENT,
        np.concatenate(variants),
        {"cart": np.concatenate(cart).astype(float)},
        np.concatenate(arrivals),
    )


def test_columns_for__every_metric__asks_for_each_column_once() -> None:
    plan = worlds.plan(
        worlds.metric("cart"),
        worlds.metric("orders", kind="ratio", denominator_event="session"),
    )
    names = ["cart", "orders", "orders.denominator", "cart.days", "orders.days"]
    assert [c.name for c in columns_for(plan)] == names


def test_analyse__visitors_still_inside_their_window__are_left_out_and_counted() -> None:
    plan = worlds.plan(worlds.metric("cart", window_hours=48))
    when = [worlds.microseconds(worlds.at_day(d)) for d in (0, 1, 8, 8.5, 0, 7.99, 9)]
    people = worlds.totals(CONTROL_AND_TREATMENT, [0, 0, 0, 0, 1, 1, 1], {"cart": [1, 0, 1, 1, 0, 1, 1]}, when)
    metric = _run(plan, people, day=10).metrics[0]
    # At day 10 a window of 2 days has passed for visitors up to day 8, the one at exactly 8 included.
    assert metric.value_of("control").statistic == Proportion(3, 2)
    assert metric.value_of("treatment").statistic == Proportion(2, 1)
    assert (metric.value_of("control").exposed, metric.value_of("treatment").exposed) == (4, 3)
    assert {f.code for f in _run(plan, people, day=10).findings} >= {"immature_visitors"}


@pytest.mark.parametrize(("day", "says"), [(20, "join when their time has passed"), (60, "stay out")])
def test_immature_visitors__before_and_after_the_final_look__says_whether_they_still_join(day: int, says: str) -> None:
    plan = worlds.plan(worlds.metric("cart", window_hours=48), is_imported=False, horizon_days=28)
    findings = _run(plan, _arriving(20, 40, (0.1, 0.5)), day=day).findings
    assert [says in f.detail for f in findings if f.code == "immature_visitors"] == [True]


def test_analyse__retention__counts_only_visitors_whose_last_day_has_passed() -> None:
    metric = worlds.metric("back", kind="retention", window_hours=72, options={"from_day": 1, "to_day": 3})
    plan = worlds.plan(metric)
    column = columns_for(plan)[0]
    assert (column.start_hours, column.end_hours) == (24.0, 72.0)
    when = [worlds.microseconds(worlds.at_day(d)) for d in (0, 7, 7.01, 0, 7)]
    people = worlds.totals(CONTROL_AND_TREATMENT, [0, 0, 0, 1, 1], {"back": [3, 0, 1, 1, 1]}, when)
    found = _run(plan, people, day=10).metrics[0]
    # At day 10 three days have passed for visitors up to day 7.
    assert found.value_of("control").statistic == Proportion(2, 1)
    assert found.value_of("treatment").statistic == Proportion(2, 2)


def test_analyse__cap__cuts_each_visitor_alike_in_every_variant() -> None:
    plan = worlds.plan(worlds.metric("spend", kind="value_sum", cap=10.0))
    people = worlds.totals(CONTROL_AND_TREATMENT, [0, 0, 1, 1], {"spend": [5, 40, 12, 0]})
    metric = _run(plan, people).metrics[0]
    assert [v.statistic.total for v in metric.values] == [15.0, 10.0]


def test_analyse__before_day_seven__shows_counts_but_no_effect() -> None:
    plan = worlds.plan(
        worlds.metric("cart", window_hours=24),
        worlds.macro_guardrail("cart2", window_hours=24),
        is_imported=False,
        horizon_days=28,
    )
    people = _arriving(100, 6, (0.1, 0.5))
    people = worlds.totals(
        CONTROL_AND_TREATMENT,
        people.variant,
        {"cart": people.columns["cart"], "cart2": people.columns["cart"]},
        people.first_exposure,
    )
    analysis = _run(plan, people, day=6)
    for metric in analysis.metrics:
        result = metric.comparison_of("treatment").result
        assert isinstance(result, NotComputable)
        assert result.blocker is Blocker.TOO_EARLY
        assert metric.value_of("control").statistic.visitors > 0
    assert analysis.verdict.state == "too_early"


def test_analyse__running__claims_by_the_bound_of_the_look_not_by_p_below_five_per_cent() -> None:
    # 100 a day in each variant; at day 7 (6 matured days) 10 % against 14 %: z is 2.1, p < .05, and no claim.
    plan = worlds.plan(worlds.metric("cart", window_hours=24), is_imported=False, horizon_days=28)
    metric = _run(plan, _arriving(100, 7, (0.10, 0.14)), day=7.2).metrics[0]
    comparison = metric.comparison_of("treatment")
    assert isinstance(comparison.result, Comparison)
    assert comparison.result.single_look is not None
    assert comparison.result.single_look.p_value < 0.05
    assert comparison.result.p_value > 0.05
    assert comparison.claim is Claim.OPEN
    assert not comparison.result.interval.excludes(0)
    # Without a planned number of visitors alpha is spent by the calendar: a quarter of it by day 7.
    assert comparison.looks[-1].bound == pytest.approx(efficacy_bounds([0.25, 1.0], alpha=0.05)[0], abs=1e-6)


def test_analyse__running_with_a_large_effect__claims_early_and_keeps_the_claim() -> None:
    plan = worlds.plan(worlds.metric("cart", window_hours=24), is_imported=False, horizon_days=28)
    people = _arriving(100, 12, (0.10, 0.25))
    early = _run(plan, people, day=8).metrics[0].comparison_of("treatment")
    assert early.claim is Claim.BETTER
    assert early.stopped is not None
    assert early.stopped.interval.low > 0
    # The estimate that knows of the earlier looks is not more flattering than the plain one.
    assert isinstance(early.result, Comparison)
    assert early.stopped.effect <= early.result.effect + 1e-9
    later = _run(plan, people, day=12).metrics[0].comparison_of("treatment")
    assert later.claim is Claim.BETTER
    assert later.stopped is not None
    assert later.stopped.day == early.stopped.day


def test_analyse__time_of_day__is_no_extra_look() -> None:
    plan = worlds.plan(worlds.metric("cart", window_hours=24), is_imported=False, horizon_days=28)
    people = _arriving(100, 11, (0.10, 0.13))
    morning, evening = _run(plan, people, day=10.1), _run(plan, people, day=10.9)
    assert morning.metrics == evening.metrics


def test_analyse__after_the_horizon__later_visitors_change_nothing() -> None:
    plan = worlds.plan(worlds.metric("cart", window_hours=24), is_imported=False, horizon_days=14)
    people = _arriving(60, 30, (0.10, 0.13))
    assert _run(plan, people, day=14).metrics == _run(plan, people, day=25).metrics
    assert _run(plan, people, day=25).progress.is_final


def test_analyse__planned_visitors_reached_early__is_the_final_look_and_spends_the_rest() -> None:
    plan = worlds.plan(
        worlds.metric("cart", window_hours=24), is_imported=False, horizon_days=28, planned_visitors=2000
    )
    people = _arriving(100, 20, (0.10, 0.13))
    analysis = _run(plan, people, day=15)
    assert analysis.progress.final_day == 10
    looks = analysis.metrics[0].comparison_of("treatment").looks
    assert looks[-1].day == 10
    bounds = efficacy_bounds(
        [look.information for look in looks],
        alpha=0.05,
        shares=[min(look.information, 1.0) for look in looks[:-1]] + [1.0],
    )
    assert [look.bound for look in looks] == pytest.approx(bounds, abs=1e-9)


def test_analyse__nobody_new_by_the_horizon__spends_what_is_left_on_the_same_data() -> None:
    plan = worlds.plan(worlds.metric("cart", window_hours=24), is_imported=False, horizon_days=28)
    people = _arriving(100, 10, (0.10, 0.12))
    looks = _run(plan, people, day=28).metrics[0].comparison_of("treatment").looks
    assert looks[-1].day < 28
    shares = [look.day / 28 for look in looks[:-1]] + [1.0]
    expected = efficacy_bounds([look.information for look in looks], alpha=0.05, shares=shares)
    assert [look.bound for look in looks] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shares", [(0.10, 0.15), (0.01, 0.03)])
def test_looks__band__equals_each_look_compared_alone_at_the_level_of_its_bound(shares: tuple[float, float]) -> None:
    plan = worlds.plan(
        worlds.metric("cart", window_hours=24),
        weights={"control": 0.5, "treatment": 0.5},
        is_imported=False,
        horizon_days=14,
    )
    people = _arriving(100, 14, shares)
    for day in (8, 11, 14):
        metric = _run(plan, people, day=day).metrics[0]
        comparison = metric.comparison_of("treatment")
        assert isinstance(comparison.result, Comparison)
        effect, interval = band(comparison.looks)[-1]
        assert effect == pytest.approx(comparison.result.effect)
        shown = (comparison.result.interval.low, comparison.result.interval.high)
        assert (interval.low, interval.high) == pytest.approx(shown, abs=1e-10)


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([7, 8, 11, 14]), st.floats(0.02, 0.3), st.floats(0.3, 2.5), st.integers(0, 99))
def test_analyse__running__interval_excludes_no_difference_exactly_when_p_is_below_alpha(
    day: int, base: float, ratio: float, seed: int
) -> None:
    people = _arriving(40, 14, (base, min(base * ratio, 1.0)), seed=seed)
    columns = dict.fromkeys(("cart", "purchase", "hint", "open_ended"), people.columns["cart"])
    people = worlds.totals(CONTROL_AND_TREATMENT, people.variant, columns, people.first_exposure)
    plan = worlds.plan(
        worlds.metric("cart", window_hours=24),
        worlds.macro_guardrail("purchase", window_hours=24),
        worlds.metric("hint", Role.EXPLORATORY, window_hours=24, kind="event_count"),
        worlds.metric("open_ended", Role.EXPLORATORY),
        is_imported=False,
        horizon_days=14,
    )
    for metric in _run(plan, people, day=day).metrics:
        found = metric.comparison_of("treatment")
        seen = found.guardrail.worsening if found.guardrail is not None else None
        for result in (found.result, seen.comparison if seen is not None else None):
            if not isinstance(result, Comparison):
                continue
            assert result.interval.excludes(0) is (result.p_value < result.alpha)
            assert result.single_look is not None
            # All looks together are never more sure than one of them alone.
            assert result.p_value >= min(result.single_look.p_value, 0.99) * 0.99
            if isinstance(result.lift, Lift):
                assert result.lift.interval.excludes(0) is (result.p_value < result.alpha)


def test_analyse__guardrail_harmed_at_an_early_look__says_when_and_with_which_numbers() -> None:
    # A disaster in the first ten days, the opposite afterwards: by day 24 the difference is gone.
    bad, good = _arriving(100, 10, (0.30, 0.12)), _arriving(100, 24, (0.12, 0.27), seed=2)
    late = good.first_exposure >= worlds.microseconds(worlds.at_day(10))
    values = np.concatenate([bad.columns["cart"], good.columns["cart"][late]])
    people = worlds.totals(
        CONTROL_AND_TREATMENT,
        np.concatenate([bad.variant, good.variant[late]]),
        {"cart": values, "purchase": values},
        np.concatenate([bad.first_exposure, good.first_exposure[late]]),
    )
    plan = worlds.plan(
        worlds.metric("cart", window_hours=24),
        worlds.macro_guardrail("purchase", window_hours=24),
        is_imported=False,
        horizon_days=28,
    )
    then, now = (_run(plan, people, day=d).metrics[1].comparison_of("treatment") for d in (7, 24))
    assert isinstance(now.result, Comparison) and not now.result.interval.excludes(0)
    assert now.guardrail is not None and now.guardrail.is_harmed
    seen = now.guardrail.worsening
    assert seen is not None and seen.day == 7
    assert seen.comparison.interval.high < 0 and seen.comparison.p_value < seen.comparison.alpha == 0.10
    assert isinstance(then.result, Comparison)
    assert seen.comparison.effect == pytest.approx(then.result.effect)
    reason = next(r for r in _run(plan, people, day=24).verdict.reasons if r.code.startswith("guardrail"))
    assert "on day 7 it was -60 %" in reason.text


def test_analyse__metric_without_window__decides_only_at_the_planned_end() -> None:
    plan = worlds.plan(worlds.metric("cart"), is_imported=False, horizon_days=14)
    people = _arriving(300, 14, (0.10, 0.25))
    before, after = _run(plan, people, day=10), _run(plan, people, day=14)
    assert before.metrics[0].comparison_of("treatment").claim is Claim.OPEN
    assert before.verdict.state == "no_decision_yet"
    assert any(r.code == "waits_for_horizon" for r in before.verdict.reasons)
    assert after.metrics[0].comparison_of("treatment").claim is Claim.BETTER


def test_analyse__two_success_metrics_and_two_treatments__are_held_to_holm() -> None:
    plan = worlds.plan(worlds.metric("cart"), worlds.metric("view"), weights={"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})
    people = worlds.counted(
        {"a": 2000, "b": 2000, "c": 2000},
        cart={"a": 200, "b": 248, "c": 205},  # a against b: p is .016, above .05 / 4
        view={"a": 600, "b": 610, "c": 590},
    )
    metric = _run(plan, people).metrics[0]
    comparison = metric.comparison_of("b")
    assert isinstance(comparison.result, Comparison)
    assert 0.0125 < comparison.result.p_value < 0.05
    assert comparison.adjusted_p_value == pytest.approx(4 * comparison.result.p_value)
    assert comparison.claim is Claim.OPEN


def test_analyse__metric_where_less_is_better__claims_the_fall() -> None:
    plan = worlds.plan(worlds.metric("bounce", direction=Direction.DECREASE))
    people = worlds.counted({"control": 2000, "treatment": 2000}, bounce={"control": 900, "treatment": 700})
    assert _run(plan, people).metrics[0].comparison_of("treatment").claim is Claim.BETTER


def test_analyse__exploratory_metric__never_claims() -> None:
    plan = worlds.plan(worlds.metric("cart"), worlds.metric("other", Role.EXPLORATORY, conversion=Conversion.SECONDARY))
    people = worlds.counted(
        {"control": 2000, "treatment": 2000},
        cart={"control": 100, "treatment": 100},
        other={"control": 100, "treatment": 400},
    )
    comparison = _run(plan, people).metrics[1].comparison_of("treatment")
    assert isinstance(comparison.result, Comparison)
    assert comparison.claim is Claim.OPEN
    # One exploratory comparison: Benjamini and Hochberg leave its p-value as it is.
    assert comparison.adjusted_p_value == pytest.approx(comparison.result.p_value)


def test_analyse__nobody_exposed__still_answers() -> None:
    plan = worlds.plan(worlds.metric("cart"), worlds.macro_guardrail())
    people = worlds.counted({"control": 0, "treatment": 0}, cart={}, purchase={})
    analysis = _run(plan, people)
    assert analysis.verdict.state == "inconclusive"
    result = analysis.metrics[0].comparison_of("treatment").result
    assert isinstance(result, NotComputable)
    assert result.blocker is Blocker.NO_VISITORS


def test_analyse__variant_that_the_totals_lack__has_no_visitors() -> None:
    plan = worlds.plan(worlds.metric("cart"), weights={"control": 0.5, "treatment": 0.25, "late": 0.25})
    people = worlds.counted({"control": 100, "treatment": 50}, cart={"control": 10})
    assert _run(plan, people).metrics[0].value_of("late").statistic.visitors == 0


def test_analyse__as_of_without_time_zone__is_refused() -> None:
    plan = worlds.plan(worlds.metric("cart"))
    people = worlds.counted({"control": 1, "treatment": 1}, cart={})
    with pytest.raises(ValueError, match="time zone"):
        analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(1).replace(tzinfo=None))
