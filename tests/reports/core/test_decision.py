"""The verdict, case by case: what is shipped, what never is, and how it is said."""

from __future__ import annotations

import dataclasses

import pytest

from experiments.core.metrics import Conversion, Role
from reports.core.analyse import Analysis, analyse
from reports.core.decision import DECISION_RULES, VerdictState
from tests.reports.core import worlds

MANY = {"control": 40_000, "treatment": 40_000}
FEW = {"control": 2_000, "treatment": 2_000}


def _decide(groups: dict[str, int], cart: tuple[int, int], purchase: tuple[int, int], margin: float = 0.1) -> Analysis:
    """A micro conversion as proxy, a macro conversion as its guardrail; counts are (control, treatment)."""
    plan = worlds.plan(worlds.metric("cart"), worlds.macro_guardrail("purchase", margin))
    people = worlds.counted(
        groups,
        cart=dict(zip(groups, cart, strict=True)),
        purchase=dict(zip(groups, purchase, strict=True)),
    )
    return analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(30))


def _codes(analysis: Analysis) -> set[str]:
    return {r.code for r in analysis.verdict.reasons}


def test_decide__micro_won_and_macro_safe__ships_and_says_the_numbers() -> None:
    verdict = _decide(MANY, (4000, 4800), (3000, 3020)).verdict
    assert verdict.state is VerdictState.SHIP
    assert "'cart' +20 % (likely" in verdict.summary
    assert "'purchase' is shown to be safe" in verdict.summary


def test_decide__micro_won_but_macro_too_wide__is_promising_and_never_a_win() -> None:
    analysis = _decide(FEW, (200, 300), (20, 20))
    assert analysis.verdict.state is VerdictState.PROMISING_MACRO_UNPROVEN
    assert "guardrail_cannot_be_powered" in _codes(analysis)
    assert any("only rule out a drop larger than" in r.text for r in analysis.verdict.reasons)


def test_decide__micro_won_and_no_macro_in_the_plan__is_promising_and_never_a_win() -> None:
    plan = worlds.plan(worlds.metric("cart"))
    people = worlds.counted(MANY, cart={"control": 4000, "treatment": 4800})
    verdict = analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(30)).verdict
    assert verdict.state is VerdictState.PROMISING_MACRO_UNPROVEN
    assert "no macro conversion is measured" in verdict.summary


def test_decide__micro_won_and_macro_harmed__is_a_conflict() -> None:
    verdict = _decide(MANY, (4000, 4800), (3000, 2700)).verdict
    assert verdict.state is VerdictState.CONFLICT
    assert "'cart' +20 %" in verdict.summary
    assert "'purchase' -10 %" in verdict.summary


def test_decide__macro_harmed_and_micro_flat__is_harm() -> None:
    assert _decide(MANY, (4000, 4000), (3000, 2700)).verdict.state is VerdictState.HARM


def test_decide__micro_fell__is_harm_even_if_the_macro_is_safe() -> None:
    assert _decide(MANY, (4000, 3400), (3000, 3010)).verdict.state is VerdictState.HARM


def test_decide__small_true_drop_within_the_margin__is_not_shipped() -> None:
    groups = {"control": 1_000_000, "treatment": 1_000_000}
    analysis = _decide(groups, (100_000, 103_000), (50_000, 49_000))
    assert analysis.verdict.state is VerdictState.CONFLICT
    assert any("a small drop is likely" in r.text for r in analysis.verdict.reasons)


def test_decide__nothing_moved__is_no_effect_with_what_is_ruled_out() -> None:
    verdict = _decide(MANY, (4000, 4010), (3000, 3005)).verdict
    assert verdict.state is VerdictState.NO_EFFECT
    assert "rule out changes of 'cart' beyond" in verdict.summary


def test_decide__broken_split__is_invalid_whatever_the_metrics_say() -> None:
    analysis = _decide({"control": 40_000, "treatment": 36_000}, (4000, 4800), (3000, 3020))
    assert analysis.verdict.state is VerdictState.INVALID
    assert _codes(analysis) == {"sample_ratio"}
    assert analysis.verdict.treatments == ()


def test_decide__hardly_any_conversion_in_finished_data__is_inconclusive() -> None:
    assert _decide(FEW, (2, 1), (0, 1)).verdict.state is VerdictState.INCONCLUSIVE


def test_decide__hardly_any_conversion_while_running__waits_for_them() -> None:
    plan = worlds.plan(worlds.metric("cart", window_hours=24), is_imported=False, horizon_days=28)
    people = worlds.counted(FEW, cart={"control": 2, "treatment": 1})
    verdict = analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(9)).verdict
    assert verdict.state is VerdictState.TOO_EARLY
    assert "3 of the 5 conversions" in verdict.reasons[0].text
    assert verdict.next_change == worlds.at_day(10)


def test_decide__before_the_first_look__names_the_day_of_the_first_answer() -> None:
    plan = worlds.plan(worlds.metric("cart", window_hours=24), is_imported=False, horizon_days=28)
    people = worlds.counted(MANY, cart={"control": 4000, "treatment": 4800})
    verdict = analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(3)).verdict
    assert verdict.state is VerdictState.TOO_EARLY
    assert "9 March 2026" in verdict.summary
    assert verdict.next_change == worlds.at_day(7)


def test_decide__macro_is_the_primary_and_rises__ships_without_a_guardrail() -> None:
    plan = worlds.plan(worlds.metric("purchase", Role.PRIMARY, conversion=Conversion.MACRO))
    people = worlds.counted(MANY, purchase={"control": 3000, "treatment": 3400})
    verdict = analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(30)).verdict
    assert verdict.state is VerdictState.SHIP


def test_decide__far_below_the_futility_bound__advises_to_stop_and_not_harm() -> None:
    plan = worlds.plan(
        worlds.metric("cart", window_hours=24), is_imported=False, horizon_days=28, planned_visitors=8_000
    )
    # Half of the plan is in and z is about -1: below the futility bound of -0.1, far above the harm bound of -3.
    people = worlds.counted(FEW, cart={"control": 400, "treatment": 375})
    verdict = analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(14)).verdict
    assert verdict.state is VerdictState.NO_EFFECT
    assert "unlikely to win" in verdict.summary


def test_decide__stopped_by_hand_before_the_end__is_inconclusive_and_says_how_far_it_came() -> None:
    plan = worlds.plan(worlds.metric("cart", window_hours=24), is_imported=False, horizon_days=28)
    people = worlds.counted(FEW, cart={"control": 400, "treatment": 410})
    verdict = analyse(
        plan, people, worlds.exposures_of(people), as_of=worlds.at_day(15), ended_at=worlds.at_day(12.5)
    ).verdict
    assert verdict.state is VerdictState.INCONCLUSIVE
    assert "12 of 28 planned days" in verdict.summary
    assert verdict.next_change is None


def test_decide__two_treatments__the_better_winner_is_named_first_and_the_other_is_not_forgotten() -> None:
    groups = {"a": 40_000, "b": 40_000, "c": 40_000}
    plan = worlds.plan(worlds.metric("cart"), worlds.macro_guardrail("purchase"), weights=dict.fromkeys(groups, 1 / 3))
    people = worlds.counted(groups, cart={"a": 4000, "b": 4400, "c": 4900}, purchase={"a": 3000, "b": 3010, "c": 3030})
    verdict = analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(30)).verdict
    assert verdict.state is VerdictState.SHIP
    assert verdict.summary.index("'c'") < verdict.summary.index("'b'")
    assert [t.state for t in verdict.treatments] == [VerdictState.SHIP, VerdictState.SHIP]


def test_decide__unknown_rule__is_refused_with_the_known_ones() -> None:
    plan = dataclasses.replace(worlds.plan(worlds.metric("cart")), decision_rule="coin")
    people = worlds.counted(FEW, cart={"control": 100, "treatment": 100})
    with pytest.raises(LookupError, match="metric_rule"):
        analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(30))


def test_rules__keys__are_unique() -> None:
    keys = [rule.key for rule in DECISION_RULES]
    assert len(keys) == len(set(keys))
