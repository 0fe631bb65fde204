"""What the engine will do on a site: simulated through itself, beside closed forms and a test of the goal alone."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from experiments.core.plan import LearnedPrior
from reports.core.planning.certifying import question_document, question_of
from reports.core.planning.options import Option, Way, exaggeration, options, sign_error
from reports.core.proxy.certificate import (
    CertificateQuestion,
    TruthKey,
    TruthOutcome,
    is_hopeless,
    simulate,
    truths_of,
)
from reports.core.proxy.classes import VariantClass
from reports.core.proxy.funnel import FunnelCounts
from reports.core.proxy.verdict import MACRO_ALPHA, ProxyState, default_prior, evaluate, preset_named
from reports.core.sequential.bounds import efficacy_bounds
from reports.core.sequential.design import Schedule

SHOP = CertificateQuestion(reach=(0.45, 0.081, 0.0365, 0.02), per_week=5_000, weeks=12, gain=0.12, look_every_days=7)


def played(question: CertificateQuestion, truth: TruthKey, replicates: int = 400, seed: int = 1) -> TruthOutcome:
    return simulate(question, truth, truths_of(question)[truth], replicates=replicates, seed=seed)


# PROXY section 5: visitors a week, gain, and the percent of gains, curiosities and baits (-5 %) that are shipped.
@pytest.mark.parametrize(
    ("per_week", "gain", "shipped", "curious", "bait"),
    [(1_000, 0.20, 33, 2, 0), (5_000, 0.12, 75, 6, 1), (20_000, 0.08, 86, 12, 1)],
)
def test_certificate__published_shop__ships_as_often_as_the_table_says(
    per_week: int, gain: float, shipped: float, curious: float, bait: float
) -> None:
    # Four points, and three standard errors of 400 replicates on top.
    question = replace(SHOP, per_week=per_week, gain=gain)
    expected = {TruthKey.GAIN: shipped, TruthKey.CURIOSITY: curious, TruthKey.BAIT: bait, TruthKey.NOTHING: 0}
    for truth, percent in expected.items():
        share = percent / 100
        error = math.sqrt(max(share * (1 - share), 0.01) / 400)
        assert played(question, truth).ship == pytest.approx(share, abs=0.04 + 3 * error), truth


def test_simulate__one_replicate_look_by_look__ends_where_the_engine_itself_ends() -> None:
    # Oracle: the public `evaluate()` asked at each look of the same counts.
    question = replace(SHOP, gain=0.3, weeks=4)
    outcome = played(question, TruthKey.GAIN, replicates=60)
    assert sum(outcome.states.values()) == pytest.approx(1.0)
    rng = np.random.default_rng([1, 0])
    rates = question.rates
    treated = rates * np.exp(truths_of(question)[TruthKey.GAIN][0])
    walked = []
    for own in (rates, treated):
        reached = [rng.poisson(5_000 / 2 / 7, (60, 28))]
        for rate in own:
            reached.append(rng.binomial(reached[-1], rate))
        walked.append(np.cumsum(np.stack(reached, axis=2), axis=1))
    bounds = efficacy_bounds(Schedule(28, 7).information, alpha=MACRO_ALPHA, is_one_sided=True)
    ends = []
    for n in range(60):
        for look, day in enumerate((7, 14, 21, 28)):
            c, t = (FunnelCounts.nested(int(w[n, day - 1, 0]), [int(x) for x in w[n, day - 1, 1:]]) for w in walked)
            state = evaluate(
                t,
                c,
                default_prior(),
                preset_named("balanced"),
                macro_bound=bounds[look],
                is_at_cap=day == 28,
                elapsed=day / 28,
            ).state
            if state is not ProxyState.KEEP_RUNNING:
                ends.append((state, day / 7))
                break
    assert {state: sum(s is state for s, _ in ends) / 60 for state, _ in ends} == pytest.approx(outcome.states)
    assert outcome.weeks_mean == pytest.approx(np.mean([weeks for _, weeks in ends]))


def test_certificate__learned_from_a_bait_prone_site__reckons_with_it_and_survives_its_document() -> None:
    learned = LearnedPrior(
        shares=(("null", 0.30), ("win", 0.10), ("bait", 0.40), ("harm", 0.15), ("filter", 0.05)),
        pass_throughs=((0.5, 0.6), (0.65, 0.4)),
        spread=0.12,
        grade="A",
        experiments=40.0,
        evidence=7,
    )
    question = replace(SHOP, learned=learned)

    assert question_of(json.loads(json.dumps(question_document(question)))) == question
    assert question_of(question_document(SHOP)) == SHOP
    assert question.prior.shares[VariantClass.BAIT] == 0.40 and question.prior.pass_throughs == learned.pass_throughs
    assert question.hash() != SHOP.hash()
    wary, usual = (played(one, TruthKey.CURIOSITY, 200) for one in (question, SHOP))
    assert wary.ship < usual.ship


def test_simulate__same_seed__is_the_same_and_another_seed_is_not() -> None:
    assert played(SHOP, TruthKey.GAIN, 50) == played(SHOP, TruthKey.GAIN, 50)
    assert played(SHOP, TruthKey.GAIN, 50) != played(SHOP, TruthKey.GAIN, 50, seed=2)


def test_simulate__windows_of_a_fortnight__take_longer_and_never_less_than_the_window() -> None:
    fast = played(SHOP, TruthKey.GAIN, 200)
    slow = played(replace(SHOP, maturity_days=(1, 1, 1, 14)), TruthKey.GAIN, 200)
    assert slow.weeks_mean > fast.weeks_mean + 0.5
    assert slow.ship <= fast.ship + 0.05


def test_simulate__too_few_conversions_to_judge__is_inconclusive_every_time() -> None:
    outcome = played(replace(SHOP, per_week=50, weeks=4), TruthKey.GAIN, 50)
    assert outcome.states == {ProxyState.INCONCLUSIVE: 1.0}
    assert outcome.weeks_mean == 4.0
    assert is_hopeless([outcome])


def test_macro_alone__no_effect_and_designed_effect__ships_within_its_level_and_power() -> None:
    # 2,000 replicates, two-sided 5 %: a false win in 2.5 % at most, the futility bounds followed take a little away.
    question = replace(SHOP, per_week=20_000, weeks=4)
    null = played(question, TruthKey.NOTHING, 2_000)
    assert null.macro_ship <= stats.binom.ppf(0.9995, 2_000, 0.025) / 2_000
    # The gain that such a test finds with 80 %.
    detectable = next(o.detectable for o in options(question, alpha=0.05, power=0.8) if o.way is Way.MACRO_LOOKS)
    assert detectable is not None
    found = played(replace(question, gain=detectable, target_step=4), TruthKey.GAIN, 2_000)
    assert found.macro_ship == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize("target", [None, 1, 2, 3, 4])
def test_truths__any_target__move_the_macro_as_they_say(target: int | None) -> None:
    truths = truths_of(replace(SHOP, target_step=target))
    macro = {key: np.expm1(effects.sum(axis=1)) for key, effects in truths.items()}
    assert macro[TruthKey.GAIN] == pytest.approx(0.12)
    assert macro[TruthKey.NOTHING] == pytest.approx(0.0)
    assert macro[TruthKey.CURIOSITY] == pytest.approx(0.0, abs=1e-12)
    assert macro[TruthKey.BAIT] == pytest.approx(-0.05)
    assert macro[TruthKey.HARM] == pytest.approx(-0.10)
    assert (truths[TruthKey.BAIT].max(axis=1) > 0).all()


def test_truths__goal_without_a_step_before__knows_no_bait() -> None:
    assert set(truths_of(CertificateQuestion(reach=(0.02,), per_week=1_000, weeks=4))) == {
        TruthKey.GAIN,
        TruthKey.NOTHING,
        TruthKey.HARM,
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"reach": (0.1, 0.2)},
        {"reach": (0.1, 0.0)},
        {"reach": ()},
        {"weights": (0.5, 0.6)},
        {"per_week": 0.0},
        {"target_step": 5},
        {"maturity_days": (1.0,)},
    ],
)
def test_question__that_cannot_be__is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        replace(SHOP, **wrong)  # type: ignore[arg-type]


def test_hash__any_input_changed__is_another_one() -> None:
    changes = [{"gain": 0.1}, {"weeks": 8}, {"preset": "fast"}, {"target_step": 2}, {"look_every_days": 1}]
    assert len({SHOP.hash(), *(replace(SHOP, **change).hash() for change in changes)}) == 6  # type: ignore[arg-type]


# PROXY section 5, in weeks: macro, the cart as if it were the goal, both together; one-sided 5 %, power .8.
@pytest.mark.parametrize(
    ("per_week", "gain", "macro", "micro", "together"),
    [
        (1_000, 0.12, 94, 14, 62),
        (1_000, 0.20, 36, 5.4, 12.5),
        (5_000, 0.08, 41, 6.1, 34),
        (5_000, 0.12, 19, 2.8, 12.4),
        (20_000, 0.08, 10, 1.5, 8.5),
        (20_000, 0.12, 4.7, 0.7, 3.1),
    ],
)
def test_options__published_shop__take_the_weeks_of_the_table(
    per_week: int, gain: float, macro: float, micro: float, together: float
) -> None:
    question = replace(SHOP, per_week=per_week, gain=gain, target_step=2)
    found = {(o.way, o.step): o for o in options(question, alpha=0.10, power=0.8)}
    weeks = [found[way].weeks for way in ((Way.MACRO_ONCE, None), (Way.MICRO, 2), (Way.TOGETHER, 2))]
    assert weeks == pytest.approx([macro, micro, together], rel=0.03)


def test_options__each_size_put_back__has_the_asked_power() -> None:
    for option in options(SHOP, alpha=0.05, power=0.8):
        weeks = option.visitors / SHOP.per_week
        again = options(
            replace(SHOP, weeks=max(round(weeks), 1), per_week=option.visitors / max(round(weeks), 1)),
            alpha=0.05,
            power=0.8,
        )
        same = next(o for o in again if (o.way, o.step) == (option.way, option.step))
        # Looks are planned for the weeks at hand, so their price differs a little.
        assert same.power == pytest.approx(0.8, abs=0.005 if option.way is Way.MACRO_LOOKS else 1e-6)


def test_options__micro__is_quicker_and_together_lies_between() -> None:
    by_way: dict[Way, Option] = {}
    for option in options(replace(SHOP, target_step=2), alpha=0.05, power=0.8):
        if option.step in (None, 2):
            by_way[option.way] = option
    assert by_way[Way.MICRO].visitors < by_way[Way.TOGETHER].visitors < by_way[Way.MACRO_ONCE].visitors
    assert by_way[Way.MACRO_LOOKS].expected < by_way[Way.MACRO_ONCE].visitors < by_way[Way.MACRO_LOOKS].visitors


@pytest.mark.parametrize("effect", [0.3, 1.0, 1.4, 2.8])
def test_sign_error_and_exaggeration__any_effect__are_those_of_a_simulation(effect: float) -> None:
    estimates = np.random.default_rng(3).normal(effect, 1.0, 2_000_000)
    significant = estimates[np.abs(estimates) > 1.96]
    assert sign_error(effect, 1.96) == pytest.approx(np.mean(significant < 0), abs=0.003)
    assert exaggeration(effect, 1.96) == pytest.approx(np.abs(significant).mean() / effect, rel=0.01)
