"""From per-visitor totals to the proxy rule's verdict: counts by hand, maturity, places, and the stories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from experiments.core.funnel import decision_rule_for, funnel_steps
from experiments.core.metrics import Conversion, Role
from experiments.core.plan import AnalysisPlan, Monitoring, PlannedMetric
from reports.core.analyse import Analysis, analyse
from reports.core.decision import VerdictState
from reports.core.explain_proxy import going_on
from reports.core.progress import progress_of
from reports.core.proxy.funnel import FunnelCounts
from reports.core.proxy.judging import macro_bounds
from reports.core.proxy.quality import QualityState, step_qualities, surrogate
from reports.core.proxy.reached import reached_steps
from reports.core.wire import to_document
from tests.reports.core.worlds import DAY_US, START, at_day, exposures, metric, microseconds, plan, totals
from tracking.core.totals import VisitorTotals


def step(key: str, order: int | None, window: float | None = 24.0) -> PlannedMetric:
    planned = metric(key, Role.PROXY, conversion=Conversion.MILESTONE, window_hours=window)
    return replace(planned, metric=replace(planned.metric, funnel_order=order))


def goal(window: float | None = 72.0) -> PlannedMetric:
    return metric("buy", Role.GUARDRAIL, conversion=Conversion.MACRO, margin=0.1, window_hours=window)


VIEW, CART = step("view", 1), step("cart", 2)


def funnel_plan(*metrics: PlannedMetric, **options: Any) -> AnalysisPlan:
    settings = {"is_imported": False, "horizon_days": 28} | options
    return replace(plan(*(metrics or (VIEW, CART, goal())), **settings), decision_rule="proxy_engine")


def a_world(
    counts: dict[str, tuple[int, ...]],
    *,
    days: float = 14,
    seed: int = 1,
    keys: tuple[str, ...] = ("view", "cart", "buy"),
) -> VisitorTotals:
    """Visitors, and how many of them got as far as each step; each makes its steps within an hour, one after the other."""
    variant = np.repeat(np.arange(len(counts)), [row[0] for row in counts.values()])
    deep = np.concatenate([np.sum(np.arange(row[0])[:, None] < np.array(row[1:]), axis=1) for row in counts.values()])
    when = microseconds(START) + (np.random.default_rng(seed).random(len(variant)) * days * DAY_US).astype(np.int64)
    columns = {}
    for n, key in enumerate(keys):
        did = deep > n
        columns[key] = did.astype(float)
        columns[f"{key}.first"] = np.where(did, (n + 1) / len(keys), np.nan)
    return totals(tuple(counts), variant, columns, when)


def analysed(planned: AnalysisPlan, world: VisitorTotals, *, day: float = 28) -> Analysis:
    counts = {v: int(np.count_nonzero(world.variant == n)) for n, v in enumerate(world.variants)}
    return analyse(planned, world, exposures(counts), as_of=at_day(day))


EVEN = {"control": (10_000, 4_500, 810, 440), "treatment": (10_000, 4_500, 815, 441)}


def test_funnel_steps__milestones_in_order_and_the_macro_last() -> None:
    metrics = [goal(), CART, VIEW, metric("news", Role.EXPLORATORY, conversion=Conversion.SECONDARY, window_hours=24)]
    assert [m.key for m in funnel_steps(m.metric for m in metrics)] == ["view", "cart", "buy"]


@pytest.mark.parametrize("metrics", [[VIEW], [goal()], [step("view", None), goal()], [step("view", 1, None), goal()]])
def test_decision_rule__without_a_whole_funnel__is_the_metric_rule_and_says_why(metrics: list[PlannedMetric]) -> None:
    rule, why = decision_rule_for(metrics, is_imported=False)
    assert rule == "metric_rule" and "no funnel" in why


def test_decision_rule__with_a_funnel__names_its_path() -> None:
    rule, why = decision_rule_for([goal(), CART, VIEW], is_imported=False)
    assert rule == "proxy_engine" and "view → cart → buy" in why
    assert decision_rule_for([step("view", 1, None), goal(None)], is_imported=True)[0] == "proxy_engine"


def test_reached__counts__are_those_worked_by_hand() -> None:
    # Four visitors of the control: nothing; view; view and cart; all three. Two of the treatment: a purchase without its
    # cart event (it must have been there); a view.
    variant = [0, 0, 0, 0, 1, 1]
    view, cart, buy = [0, 1, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0], [0, 0, 0, 1, 1, 0]
    columns = {"view": view, "cart": cart, "buy": buy}
    hours = {f"{key}.first": np.where(np.array(did) > 0, 1.0, np.nan) for key, did in columns.items()}
    world = totals(("control", "treatment"), variant, {**columns, **hours})
    planned = funnel_plan()

    found = reached_steps(planned, world, progress_of(planned, first_exposures=world.first_exposure, as_of=at_day(10)))

    assert found is not None
    assert found.counts("control") == FunnelCounts.nested(4, (3, 2, 1))
    assert found.counts("treatment") == FunnelCounts.nested(2, (2, 1, 1))


def test_reached__fresh_visitors__count_for_the_steps_whose_time_they_have_had() -> None:
    # One visitor two days before the look: the day of the view and the cart has passed, the three of the purchase not.
    when = [microseconds(at_day(8)), microseconds(START)]
    columns = {"view": [1, 1], "cart": [1, 1], "buy": [1, 1]}
    hours = {f"{key}.first": [1.0, 1.0] for key in columns}
    world = totals(("control", "treatment"), [0, 0], {**columns, **hours}, when)
    planned = funnel_plan()

    found = reached_steps(planned, world, progress_of(planned, first_exposures=world.first_exposure, as_of=at_day(10)))

    assert found is not None and found.days == (7, 8, 9, 10)
    assert found.at_risk["control"][-1].tolist() == [2, 2, 1]
    assert found.reached["control"][-1].tolist() == [2, 2, 1]
    assert found.at_risk["control"][0].tolist() == [1, 1, 1]


def test_reached__many_buy_without_the_milestone__demotes_it_and_keeps_the_rest() -> None:
    world = a_world({"control": (4_000, 1_800, 400, 300), "treatment": (4_000, 1_800, 400, 300)})
    cart = world.columns["cart"].copy()
    buyers = np.flatnonzero(world.columns["buy"] > 0)
    cart[buyers[::10]] = 0.0  # a tenth of the purchases have no cart event
    columns = {**world.columns, "cart": cart, "cart.first": np.where(cart > 0, world.columns["cart.first"], np.nan)}
    planned = funnel_plan()

    found = analysed(planned, replace(world, columns=columns)).proxy

    assert found is not None
    assert [s.key for s in found.reached.steps] == ["view", "buy"]
    cart_place = next(p for p in found.reached.places if p.key == "cart")
    assert cart_place.is_demoted and cart_place.gateway == pytest.approx(0.9, abs=0.01)


def test_reached__milestone_after_the_goal__is_demoted() -> None:
    world = a_world({"control": (4_000, 1_800, 400, 300), "treatment": (4_000, 1_800, 400, 300)})
    late = {**world.columns, "cart.first": np.where(world.columns["cart"] > 0, 5.0, np.nan)}
    found = analysed(funnel_plan(), replace(world, columns=late)).proxy
    assert found is not None
    assert next(p for p in found.reached.places if p.key == "cart").out_of_order == 1.0
    assert [s.key for s in found.reached.steps] == ["view", "buy"]


def test_verdict__a_gain_that_lasts__ships_early_and_the_guardrail_was_not_needed() -> None:
    world = a_world({"control": (12_000, 5_400, 972, 240), "treatment": (12_000, 5_400, 1_200, 300)})

    found = analysed(funnel_plan(), world, day=18)

    assert found.verdict.state is VerdictState.SHIP
    assert "bait-and-switch" in found.verdict.summary
    assert {r.code for r in found.verdict.reasons} >= {"leg_win", "leg_null", "leg_bait", "leg_harm", "leg_margin"}


def test_verdict__bait__is_a_conflict_and_names_the_step() -> None:
    world = a_world({"control": (20_000, 9_000, 1_620, 400), "treatment": (20_000, 9_000, 2_150, 380)})
    found = analysed(funnel_plan(), world, day=18)
    assert found.verdict.state is VerdictState.CONFLICT
    assert "'cart'" in found.verdict.summary


def test_verdict__micro_win_alone__never_ships_whatever_its_size() -> None:
    world = a_world({"control": (20_000, 9_000, 1_600, 400), "treatment": (20_000, 9_000, 3_200, 400)})
    assert analysed(funnel_plan(), world, day=20).verdict.state not in {VerdictState.SHIP}


def test_verdict__cart_events_missing_in_one_variant__is_invalid_and_says_where_to_look() -> None:
    counts = (12_000, 5_400, 972, 300)
    world = a_world({"control": counts, "treatment": counts})
    buyers = np.flatnonzero((world.columns["buy"] > 0) & (world.variant == 1))
    cart = world.columns["cart"].copy()
    cart[buyers[::4]] = 0.0
    broken = {**world.columns, "cart": cart, "cart.first": np.where(cart > 0, world.columns["cart.first"], np.nan)}

    found = analysed(funnel_plan(), replace(world, columns=broken), day=18)

    assert found.verdict.state is VerdictState.INVALID
    lost = next(f for f in found.findings if f.code == "milestone_lost")
    assert "'treatment'" in lost.title and lost.evidence["through"] == 225


def test_verdict__milestones_alike_in_both__block_nothing() -> None:
    assert all(f.code != "milestone_lost" for f in analysed(funnel_plan(), a_world(EVEN), day=18).findings)


def test_verdict__no_difference__keeps_running_or_gives_the_traffic_back() -> None:
    found = analysed(funnel_plan(), a_world(EVEN), day=18)
    assert found.verdict.state in {VerdictState.NO_DECISION_YET, VerdictState.NO_EFFECT}


def test_verdict__an_open_answer_near_the_end__is_given_up_before_the_time_is_over() -> None:
    mild = {"control": (6_000, 2_700, 486, 230), "treatment": (6_000, 2_710, 540, 258)}
    planned = funnel_plan()

    early, late = (analysed(planned, a_world(mild, days=day - 3), day=day).verdict for day in (10, 24))

    assert early.state is VerdictState.NO_DECISION_YET
    assert late.state is VerdictState.INCONCLUSIVE
    assert "Day 24 of 28: what is left is too little" in late.summary and "chance of" in late.summary


def test_elapsed__by_days_or_visitors__whichever_comes_sooner() -> None:
    first = np.full(600, microseconds(START), dtype=np.int64)
    for options, day, share in (
        ({}, 6, 0.0),
        ({}, 14, 0.5),
        ({"planned_visitors": 800}, 14, 0.75),
        ({}, 40, 1.0),
    ):
        found = progress_of(funnel_plan(**options), first_exposures=first, as_of=at_day(day))
        assert found.elapsed == pytest.approx(share), options
    endless = replace(
        funnel_plan(), horizon_days=None, planned_visitors=20_000, monitoring=Monitoring.CONFIDENCE_SEQUENCE
    )
    assert progress_of(endless, first_exposures=first, as_of=at_day(14)).elapsed == 0.0


def test_verdict__other_guardrail_not_shown_safe__waits() -> None:
    world = a_world({"control": (12_000, 5_400, 972, 240), "treatment": (12_000, 5_400, 1_200, 300)})
    refunds = metric("refund", Role.GUARDRAIL, conversion=Conversion.SECONDARY, margin=0.1, window_hours=24)
    rare = {**world.columns, "refund": (np.arange(24_000) % 800 == 0).astype(float)}
    found = analysed(funnel_plan(VIEW, CART, goal(), refunds), replace(world, columns=rare), day=18)
    assert found.verdict.state is VerdictState.PROMISING_MACRO_UNPROVEN
    assert "'refund'" in found.verdict.summary


def test_verdict__broken_split__is_invalid_before_anything_is_weighed() -> None:
    world = a_world({"control": (12_000, 5_400, 972, 240), "treatment": (10_000, 4_500, 1_200, 300)})
    assert analysed(funnel_plan(), world, day=18).verdict.state is VerdictState.INVALID


def test_maturity__faster_purchases_only__never_ship_and_counting_the_immature_would() -> None:
    """Forgetting the maturity rule makes this fail: the treatment only makes people buy sooner."""
    rng = np.random.default_rng(3)
    shipped, naive = 0, 0
    replicates = 30
    for _ in range(replicates):
        n, days = 60_000, 8
        variant = rng.integers(0, 2, n)
        when = microseconds(START) + (rng.random(n) * days * DAY_US).astype(np.int64)
        deep = (rng.random((n, 3)) < [0.5, 0.4, 0.5]).cumprod(axis=1).astype(bool)
        delay = np.where(variant == 1, 0.5, rng.exponential(60.0, n))
        known = when + (delay * 3_600_000_000).astype(np.int64) <= microseconds(at_day(days))
        bought = deep[:, 2] & (delay < 72) & known
        columns = {"view": deep[:, 0], "cart": deep[:, 1], "buy": bought}
        hours = {f"{k}.first": np.where(did, 0.1 * (m + 1), np.nan) for m, (k, did) in enumerate(columns.items())}
        world = totals(
            ("control", "treatment"), variant, {**{k: d.astype(float) for k, d in columns.items()}, **hours}, when
        )
        # Of those with three days of time, 70 % of the control's slow buyers have bought; the same share must in the end.
        fair = deep[:, 2] & (rng.random(n) < 1 - np.exp(-72 / 60))
        late = np.where(variant == 1, fair, bought).astype(float)
        late_world = replace(
            world, columns={**world.columns, "buy": late, "buy.first": np.where(late > 0, 0.3, np.nan)}
        )
        shipped += analysed(funnel_plan(), late_world, day=days).verdict.state is VerdictState.SHIP
        hasty = funnel_plan(step("view", 1, 0.5), step("cart", 2, 0.5), goal(0.5))
        naive += analysed(hasty, late_world, day=days).verdict.state is VerdictState.SHIP
    assert shipped <= stats.binom.ppf(0.9995, replicates, 0.02)
    assert naive >= 5 * max(shipped, 1)


def test_quality__against_fisher_and_the_states() -> None:
    thin = step_qualities(FunnelCounts.nested(500, (60, 5)), FunnelCounts.nested(500, (50, 9)))[0]
    assert thin.exact_p == pytest.approx(stats.fisher_exact([[5, 55], [9, 41]])[1])
    diluted = step_qualities(FunnelCounts.nested(9_000, (900, 90)), FunnelCounts.nested(9_000, (700, 95)))[0]
    assert diluted.state is QualityState.DILUTION and diluted.exact_p is None
    fine = step_qualities(FunnelCounts.nested(9_000, (900, 120)), FunnelCounts.nested(9_000, (700, 95)))[0]
    assert fine.state is QualityState.OK


def test_surrogate__interval__holds_the_truth_when_quality_moves_as_believed() -> None:
    rng = np.random.default_rng(5)
    missed = 0
    for _ in range(400):
        quality = 0.25 * (1 + rng.normal(scale=0.06))
        counts = []
        for reach, worth in ((0.08, 0.25), (0.09, quality)):
            got = rng.binomial(6_000, reach)
            counts.append(FunnelCounts.nested(6_000, (got, rng.binomial(got, worth))))
        found = surrogate(counts[1], counts[0])
        missed += found.interval.excludes(0.09 * quality - 0.08 * 0.25)
    assert missed <= stats.binom.ppf(0.9995, 400, 0.05)


def test_surrogate__nothing_but_the_first_step_moves__is_the_lift_of_reach_times_worth() -> None:
    found = surrogate(FunnelCounts.nested(1_000, (120, 30)), FunnelCounts.nested(1_000, (100, 25)))
    assert found.effect == pytest.approx(0.02 * 0.25)
    assert found.gap == pytest.approx(0.0, abs=1e-12)


def test_macro_bounds__spend_a_quarter_per_cent_over_the_planned_looks() -> None:
    planned = funnel_plan()
    bounds = macro_bounds(planned, tuple(range(7, 29)), 1)
    assert bounds[0] > 5 and bounds[-1] == pytest.approx(2.81, abs=0.12)
    assert macro_bounds(replace(planned, is_imported=True, horizon_days=None), (0,), 1)[0] == pytest.approx(
        2.807, abs=1e-3
    )


def test_document__with_a_funnel__has_steps_places_and_the_engines_answers() -> None:
    document = to_document(analysed(funnel_plan(), a_world(EVEN), day=18))
    assert [s["key"] for s in document["funnel"]["steps"]] == ["view", "cart", "buy"]
    treatment = document["proxy"]["treatments"][0]
    assert sum(treatment["posterior"].values()) == pytest.approx(1)
    assert [look["day"] for look in treatment["looks"]] == list(range(7, 19))
    assert treatment["macro_lift_95"][0] < treatment["macro_lift"] < treatment["macro_lift_95"][1]


def test_document__before_the_first_look__has_no_answers_of_the_engine() -> None:
    document = to_document(analysed(funnel_plan(), a_world(EVEN, days=3), day=4))
    assert "proxy" not in document and document["verdict"]["state"] == "too_early"


@pytest.mark.parametrize(
    ("bought", "words"),
    [(970, "about as many go on"), (800, "a smaller share goes on"), (1_200, "a larger share goes on")],
)
def test_sentence_of_a_win__share_that_goes_on__is_told_as_its_interval_allows(bought: int, words: str) -> None:
    control = FunnelCounts.nested(20_000, [3_000, 800])
    (quality,) = step_qualities(FunnelCounts.nested(20_000, [3_600, bought]), control)
    low, high = quality.quality_interval.low, quality.quality_interval.high
    assert going_on(quality) == words
    assert (low <= 0 <= high) == (words == "about as many go on")
