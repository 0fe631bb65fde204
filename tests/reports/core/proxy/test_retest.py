"""A re-test goes on from what the first try measured: pooled by hand, by the engine, and through a bundle."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from experiments.core.plan import AnalysisPlan
from reports.core.analyse import analyse
from reports.core.bundle import Bundle, read_bundle, write_bundle
from reports.core.inputs import Inputs
from reports.core.proxy.earlier import EarlierRun, earlier_in
from reports.core.proxy.funnel import FunnelCounts, StepEffects, step_effects
from reports.core.wire import to_document
from tests.reports.core.proxy.test_deciding import a_world, funnel_plan
from tests.reports.core.worlds import at_day, exposures

GAIN = {"control": (10_000, 4_500, 810, 400), "treatment": (10_000, 4_510, 900, 440)}
STEPS = ("view", "cart", "buy")


def earlier(**changes: object) -> EarlierRun:
    found = analyse(funnel_plan(), a_world(GAIN), exposures(dict.fromkeys(GAIN, 10000)), as_of=at_day(28))
    run = earlier_in(to_document(found))
    assert run is not None
    return replace(run, **changes)  # type: ignore[arg-type]


def retest(run: EarlierRun | None, counts: dict[str, tuple[int, ...]] = GAIN):  # type: ignore[no-untyped-def]
    plan = replace(funnel_plan(), retest_of="banner")
    return analyse(
        plan, a_world(counts, seed=2), exposures(dict.fromkeys(counts, 10000)), as_of=at_day(28), earlier=run
    )


def test_retest__two_runs_alike__measures_with_twice_the_information() -> None:
    first = analyse(funnel_plan(), a_world(GAIN), exposures(dict.fromkeys(GAIN, 10000)), as_of=at_day(28))
    second = retest(earlier())
    assert first.proxy is not None and second.proxy is not None
    alone, pooled = first.proxy.results[0].verdict.effects, second.proxy.results[0].verdict.effects
    assert pooled.variance[0] == pytest.approx(alone.variance[0] / 2)
    assert pooled.effect[0] == pytest.approx(alone.effect[0])
    # The same idea twice is stronger evidence than either run.
    assert second.proxy.results[0].verdict.risk < first.proxy.results[0].verdict.risk
    assert second.proxy.pooled is not None and second.proxy.pooled.visitors == 20_000
    # Every look goes on from there, the first one too.
    assert second.proxy.results[0].looks[0].win != first.proxy.results[0].looks[0].win


def test_pooled__unequal_runs__is_the_precision_weighted_mean_by_hand() -> None:
    small = step_effects(FunnelCounts.nested(1_000, (90, 10)), FunnelCounts.nested(1_000, (80, 9)))
    large = step_effects(FunnelCounts.nested(9_000, (700, 95)), FunnelCounts.nested(9_000, (720, 80)))
    both = large.pooled_with(small)
    for k in range(2):
        w1, w2 = 1 / large.variance[0, k], 1 / small.variance[0, k]
        assert both.effect[0, k] == pytest.approx((w1 * large.effect[0, k] + w2 * small.effect[0, k]) / (w1 + w2))
        assert both.variance[0, k] == pytest.approx(1 / (w1 + w2))


@pytest.mark.parametrize("change", [{"steps": ("view", "buy")}, {"effects": {}}])
def test_retest__other_funnel_or_variant__is_not_pooled(change: dict[str, object]) -> None:
    found, alone = retest(earlier(**change)), retest(None)
    assert found.proxy is not None and found.proxy.pooled is None
    assert to_document(found)["proxy"] == to_document(alone)["proxy"]


def test_earlier_in__invalid_verdict_or_no_funnel__teaches_nothing() -> None:
    document = to_document(retest(None))
    assert earlier_in(document) is not None
    assert earlier_in({**document, "verdict": {**document["verdict"], "state": "invalid"}}) is None
    assert earlier_in({k: v for k, v in document.items() if k != "proxy"}) is None


def test_plan__retest__survives_its_document_and_changes_the_hash_only_when_it_is_one() -> None:
    plain, again = funnel_plan(), replace(funnel_plan(), retest_of="banner")
    assert "retest_of" not in plain.to_document()
    assert AnalysisPlan.from_document(json.loads(json.dumps(again.to_document()))) == again
    assert plain.hash() != again.hash()


def test_bundle__retest__computes_the_same_answer_again() -> None:
    plan = replace(funnel_plan(), retest_of="banner")
    counts = exposures(dict.fromkeys(GAIN, 10000))
    inputs = Inputs(plan, a_world(GAIN, seed=2), counts, as_of=at_day(28), earlier=earlier())
    stored = inputs.answer()
    assert stored["proxy"]["pooled_with"] == {"experiment": "banner", "visitors": 20_000}
    again = read_bundle(write_bundle(Bundle(inputs, stored, 1, "x", False)))
    assert again.inputs.earlier == inputs.earlier
    assert again.inputs.answer()["proxy"] == stored["proxy"]


@pytest.mark.parametrize(
    "broken",
    [
        {"experiment": "e", "visitors": 1, "steps": ["a"], "effects": {"t": [[0.1, 0.2], [0.1]]}},
        {"experiment": "e", "visitors": 1, "steps": ["a"], "effects": {"t": [[0.1], [0.0]]}},
    ],
)
def test_earlier__document_that_cannot_be__is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        EarlierRun.from_document(broken)


def test_of__right_steps__gives_the_effects_back() -> None:
    run = earlier()
    found = run.of("treatment", STEPS)
    assert isinstance(found, StepEffects)
    assert found.effect[0].tolist() == list(run.effects["treatment"][0])
    assert np.all(found.variance > 0)
