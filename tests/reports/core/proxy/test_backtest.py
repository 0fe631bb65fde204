"""Rules tried on finished experiments: fair to each of them, against known truths and by brute force."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from benchmarks.decision.worlds import DEFAULT, Mix, Truth, portfolio, with_share
from reports.core.proxy.classes import Prior
from reports.core.proxy.learning.backtest import BackTest, RuleKey, _engine, _halves, _usual, back_test
from reports.core.proxy.learning.composite import blend, reach, reaches_of
from reports.core.proxy.learning.evidence import evidence_for
from reports.core.proxy.learning.grid import learn, learn_leaving_each_out
from reports.core.proxy.learning.past import PastComparison
from reports.core.proxy.learning.wire import evidence_document
from reports.sections.backtest_words import back_test_words
from tests.reports.core.proxy.test_learning import past_of

LURES = with_share(DEFAULT, Truth.BAIT, 0.45)


@lru_cache(maxsize=4)
def history(mix: str, experiments: int) -> tuple[PastComparison, ...]:
    return tuple(past_of({"default": DEFAULT, "lures": LURES}[mix], experiments))


def tried(mix: str, experiments: int) -> BackTest:
    found = back_test(history(mix, experiments), splits=8)
    assert found is not None
    return found


def test_learn_leaving_each_out__each__is_what_the_others_teach() -> None:
    past = [replace(one, age_months=3.0 * n) for n, one in enumerate(history("default", 6))]
    for n, learned in enumerate(learn_leaving_each_out(past)):
        others = learn([*past[:n], *past[n + 1 :]])
        assert learned.weight == pytest.approx(others.weight, abs=1e-12)
        assert learned.experiments == pytest.approx(others.experiments)


def test_halves__what_the_rule_sees__says_nothing_of_the_error_in_what_it_is_judged_by() -> None:
    # Of experiments without any effect the two halves are unrelated; the same visitors twice would agree wholly.
    nothing = past_of(with_share(DEFAULT, Truth.NEUTRAL, 1 - 1e-9), 400, per_week=1_000)
    rng = np.random.default_rng(3)
    pairs = []
    for one in nothing:
        half = _halves(one, 1, rng)
        pairs.append((float(half.seen.macro[0]), float(half.worth[0])))
    assert abs(np.corrcoef(np.array(pairs).T)[0, 1]) < 3 / np.sqrt(400)


def test_gain__of_what_is_shipped__is_what_it_truly_was_and_judging_by_the_same_visitors_is_not() -> None:
    mix: Mix = with_share(DEFAULT, Truth.NEUTRAL, 0.7)
    past = past_of(mix, 300, seed=5, per_week=2_000)
    truth = portfolio(mix, 300, np.random.default_rng(5)).macro
    rng = np.random.default_rng(4)
    halves = [_halves(one, 10, rng) for one in past]
    ships = np.array([half.seen.z_macro >= 1.0 for half in halves], dtype=float)

    def gap(judged: np.ndarray) -> tuple[float, float]:
        gaps = (ships * (judged - truth[:, None])).mean(axis=1)
        return float(gaps.mean()), float(gaps.std() / np.sqrt(len(gaps)))

    fair, error = gap(np.array([half.worth for half in halves]))
    assert abs(fair) < 4 * error
    lucky, error = gap(np.array([half.seen.macro for half in halves]))
    assert lucky > 8 * error


def test_engine__in_a_back_test__is_the_rule_that_decides() -> None:
    one = history("default", 45)[0]
    half = _halves(one, 3, np.random.default_rng(1))
    few = replace(half, enough=np.array([False, True, True]))
    assert not _engine(few, _usual(one))[0]


def test_back_test__shop_full_of_lures__the_first_step_alone_ships_losses_and_the_engine_does_not() -> None:
    found = tried("lures", 60)
    engine, naive = found.of(RuleKey.ENGINE), found.of(RuleKey.FIRST_MICRO)
    assert engine is not None and naive is not None
    assert naive.mistaken > engine.mistaken
    assert engine.ships < naive.ships
    assert engine.mistaken <= 0.5


def test_back_test__thresholds__are_those_of_the_ladder() -> None:
    assert back_test(history("default", 19), splits=2) is None
    some = back_test(history("default", 25), splits=2)
    assert some is not None and some.of(RuleKey.COMPOSITE) is None and not some.composite_does_better
    many = tried("default", 45)
    assert many.clear >= 8 and many.of(RuleKey.COMPOSITE) is not None and many.over_engine is not None
    assert sum(weight for _, weight in many.weights) == pytest.approx(1.0)
    aged = [replace(one, age_months=24.0) for one in history("default", 45)]
    assert back_test(aged, splits=2) is None


def test_back_test__again__is_the_same() -> None:
    assert tried("default", 45) == back_test(history("default", 45), splits=8)


def test_blend__z__is_that_of_the_blended_reaches() -> None:
    past = history("default", 45)
    weights = blend(reaches_of(past), Prior(), visitors=10_000)
    half = _halves(past[0], 2, np.random.default_rng(2))
    for split in range(2):
        estimate, noise = reach(half.seen, split)
        expected = weights @ estimate[:-1] / np.sqrt(weights @ noise[:-1, :-1] @ weights)
        assert half.z_of(weights)[split] == pytest.approx(expected)
    assert min(weights) >= 0


def test_words__back_test__say_what_was_tried_and_that_a_blend_decides_nothing() -> None:
    document = evidence_document([evidence_for(history("default", 45), "")])
    words = back_test_words(document["families"][0], "layout")
    assert words is not None and len(words.rows) == 5
    assert "45" in words.basis and "cut in two" in words.basis
    assert "better" in words.blend or "decides nothing" in words.blend
    early = evidence_document([evidence_for(history("default", 25), "")])["families"][0]
    told = back_test_words(early, "layout")
    assert told is not None and "thirty" in told.blend
    assert back_test_words(evidence_document([evidence_for([], "")])["families"][0], "layout") is None
