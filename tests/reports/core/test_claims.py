"""Several metrics and variants: gates between families, hints among exploratory metrics, and what they may get wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from experiments.core.metrics import Role
from experiments.core.plan import AnalysisPlan
from reports.core.analyse import Analysis, analyse
from reports.core.claims import Test as Hypothesis
from reports.core.claims import gatekept_claims
from reports.core.methods.base import Comparison
from reports.core.multiplicity import false_coverage_alpha, gatekept, holm
from reports.core.results import Claim, VariantComparison
from reports.core.sequential.bounds import efficacy_bounds
from tests.calibration.harness import limits
from tests.reports.core import worlds
from tests.reports.core.test_analyse import _arriving
from tests.reports.core.test_covariates import RETURNING, a_world, with_covariates
from tracking.core.totals import VisitorTotals

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=4)


def _hypotheses(family: int, p_values: list[float]) -> list[Hypothesis]:
    return [
        Hypothesis((f"family {family}", str(k)), p, lambda level, p=p: Claim.BETTER if p < level else Claim.OPEN)
        for k, p in enumerate(p_values)
    ]


def _run(plan: AnalysisPlan, people: VisitorTotals) -> Analysis:
    return analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(30))


@given(P_VALUES, P_VALUES)
def test_gate__two_families__second_is_claimed_by_holm_exactly_when_all_of_the_first_fell(
    first: list[float], second: list[float]
) -> None:
    families = [_hypotheses(1, first), _hypotheses(2, second)]
    claims = gatekept_claims(families, 0.05)
    fallen = [p < 0.05 for p in holm(first)]
    expected = [p < 0.05 for p in holm(second)] if all(fallen) else [False] * len(second)
    assert [t.key in claims for t in families[0]] == fallen
    assert [t.key in claims for t in families[1]] == expected
    adjusted = gatekept([first, second])
    assert [p < 0.05 for p in adjusted[0]] == fallen
    assert [p < 0.05 for p in adjusted[1]] == expected


def test_gate__one_primary_real_and_one_not__errs_in_five_per_cent_where_any_rejection_would_err_more() -> None:
    rng = np.random.default_rng(6)
    replicates, errors, errors_by_any = 4000, 0, 0
    for _ in range(replicates):
        first = [0.0, float(rng.random())]  # the first primary is real and always found, the second is not
        second = [float(rng.random())]
        decided = gatekept([first, second])
        errors += decided[0][1] < 0.05 or decided[1][0] < 0.05
        errors_by_any += decided[0][1] < 0.05 or second[0] < 0.05
    assert errors / replicates <= limits(0.05, replicates)[1]
    assert errors_by_any / replicates > 0.08  # 1 - .95^2


def _two_families(proxy_gain: float, primary_gain: float) -> dict[str, VariantComparison]:
    plan = worlds.plan(worlds.metric("order", Role.PRIMARY), worlds.metric("cart"), worlds.macro_guardrail())
    people = worlds.counted(
        {"control": 4000, "treatment": 4000},
        order={"control": 400, "treatment": round(400 * (1 + primary_gain))},
        cart={"control": 800, "treatment": round(800 * (1 + proxy_gain))},
        purchase={"control": 400, "treatment": 400},
    )
    analysis = _run(plan, people)
    reasons = [r.text for r in analysis.verdict.reasons if "'cart'" in r.text]
    found = {m.key: m.comparison_of("treatment") for m in analysis.metrics}
    assert ("only once every primary metric" in reasons[0]) is found["cart"].waits_for_primary
    return found


def test_analyse__proxy_beside_a_primary__is_claimed_only_after_it() -> None:
    closed = _two_families(proxy_gain=0.3, primary_gain=0.02)
    assert closed["cart"].claim is Claim.OPEN and closed["cart"].waits_for_primary
    assert isinstance(closed["cart"].result, Comparison) and closed["cart"].result.p_value < 1e-6
    assert closed["cart"].adjusted_p_value == pytest.approx(closed["order"].adjusted_p_value)
    opened = _two_families(proxy_gain=0.15, primary_gain=0.3)
    assert opened["order"].claim is Claim.BETTER
    assert opened["cart"].claim is Claim.BETTER and not opened["cart"].waits_for_primary
    # A proxy that got worse is told whatever the primary does: worsening is a test of its own.
    assert _two_families(proxy_gain=-0.3, primary_gain=0.02)["cart"].claim is Claim.WORSE


def _explored(gains: list[float]) -> Analysis:
    keys = [f"m{k}" for k in range(len(gains))]
    plan = worlds.plan(worlds.metric("cart"), *(worlds.metric(key, Role.EXPLORATORY) for key in keys))
    counts = {key: {"control": 500, "treatment": round(500 * (1 + g))} for key, g in zip(keys, gains, strict=True)}
    people = worlds.counted({"control": 5000, "treatment": 5000}, cart={"control": 9, "treatment": 9}, **counts)
    return _run(plan, people)


def test_stopped__one_of_two_success_metrics__is_as_of_the_look_that_crossed_its_own_level() -> None:
    # The second metric has nothing, so Holm holds the first to half of alpha, which is crossed on a later day.
    plan = worlds.plan(
        worlds.metric("cart", window_hours=24),
        worlds.metric("view", window_hours=24),
        is_imported=False,
        horizon_days=28,
    )
    people = _arriving(100, 28, (0.10, 0.145))
    view = (np.arange(len(people.variant)) % 10 == 0).astype(float)
    people = worlds.totals(
        ("control", "treatment"),
        people.variant,
        {"cart": people.columns["cart"], "view": view},
        people.first_exposure,
    )
    analysis = analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(28))
    comparison = analysis.metrics[0].comparison_of("treatment")
    looks = comparison.looks
    shares = [look.day / 28 for look in looks]
    first = {}
    for alpha in (0.05, 0.025):
        bounds = efficacy_bounds([look.information for look in looks], alpha=alpha, shares=shares)
        first[alpha] = next(look.day for look, bound in zip(looks, bounds, strict=True) if look.z >= bound)
    assert first[0.05] < first[0.025]
    assert comparison.claim is Claim.BETTER
    assert comparison.stopped is not None and comparison.stopped.day == first[0.025]


def test_exploratory__two_of_ten_stand_out__get_intervals_at_two_tenths_of_the_rate() -> None:
    analysis = _explored([0.30, 0.25, 0.1, 0.01, 0.0, -0.02, 0.03, -0.01, 0.02, 0.0])
    found = [m.comparisons[0] for m in analysis.metrics[1:]]
    assert [c.discovery.is_selected for c in found if c.discovery] == [True, True, *[False] * 8]
    assert {c.claim for c in found} == {Claim.OPEN}
    results = [c.result for c in found]
    assert all(isinstance(r, Comparison) for r in results)
    # Rate .10, 2 of 10 selected: alpha is .02; the others keep the plan's.
    assert [r.alpha for r in results if isinstance(r, Comparison)] == pytest.approx([0.02, 0.02, *[0.05] * 8])
    first = results[0]
    assert isinstance(first, Comparison)
    assert first.interval.excludes(0) is (first.p_value < first.alpha)


def test_exploratory__stands_out_with_covariates__its_selected_interval_is_adjusted_too() -> None:
    spend = worlds.metric("spend", Role.EXPLORATORY, kind="value_sum")
    flat = [worlds.metric(f"m{k}", Role.EXPLORATORY) for k in range(4)]
    people = a_world(np.random.default_rng(5), visitors=2_000, effect=0.06)
    nothing = {m.metric.key: (np.arange(2_000) % 5 == 0).astype(float) for m in flat}
    people = replace(people, columns={**people.columns, **nothing})
    plan = with_covariates(worlds.plan(worlds.metric("cart"), spend, *flat), RETURNING)
    comparison = _run(plan, people).metrics[1].comparison_of("treatment")
    alone = with_covariates(worlds.plan(worlds.metric("cart"), spend, alpha=0.02), RETURNING)
    expected = _run(alone, people).metrics[1].comparison_of("treatment").result
    assert comparison.discovery is not None and comparison.discovery.is_selected
    assert isinstance(comparison.result, Comparison) and isinstance(expected, Comparison)
    # One of five at the rate of .10: the regression at .02, as a plan of that alpha makes it.
    assert comparison.result.alpha == pytest.approx(0.02)
    assert (comparison.result.method, comparison.result.interval) == (expected.method, expected.interval)
    assert comparison.result.method != "welch"
    assert comparison.unadjusted is not None
    plain = comparison.unadjusted.result
    assert isinstance(plain, Comparison) and plain.alpha == pytest.approx(0.02)


def test_exploratory__most_stand_out__no_interval_is_narrower_than_the_plan_says() -> None:
    results = [m.comparisons[0].result for m in _explored([0.3, 0.3, 0.0]).metrics[1:]]
    assert [r.alpha for r in results if isinstance(r, Comparison)] == pytest.approx([0.05] * 3)


def test_false_coverage_alpha__normal_means_picked_by_bh__misses_in_the_rate_at_most() -> None:
    rng = np.random.default_rng(12)
    truth = np.where(np.arange(20) < 3, 3.0, 0.0)
    missed, missed_plain, picked = 0.0, 0.0, 0
    replicates = 1500
    for _ in range(replicates):
        z = truth + rng.standard_normal(20)
        p = 2 * special.ndtr(-np.abs(z))
        alpha = false_coverage_alpha(p.tolist(), q=0.10)
        is_picked = p <= alpha
        if not is_picked.any():
            continue
        picked += 1
        for level, name in ((alpha, "fcr"), (0.10, "plain")):
            outside = np.abs(z - truth)[is_picked] > -special.ndtri(level / 2)
            if name == "fcr":
                missed += outside.mean()
            else:
                missed_plain += outside.mean()
    assert missed / replicates <= 0.10
    assert missed_plain / replicates > 0.10  # the harness sees that plain 90 % intervals of the picked ones miss more


def test_holm__several_variants_of_a_mean__is_a_little_more_careful_than_dunnett() -> None:
    rng = np.random.default_rng(8)
    # Exactly equal variances, so that Welch and Dunnett's pooled variance say the same of a pair.
    groups = [m + 2 * stats.zscore(rng.standard_normal(300)) for m in (0.0, 0.1, 0.6, 0.0)]
    plan = worlds.plan(worlds.metric("spend", kind="value_sum"), weights={"a": 0.25, "b": 0.25, "c": 0.25, "d": 0.25})
    people = worlds.totals(("a", "b", "c", "d"), np.repeat(np.arange(4), 300), {"spend": np.concatenate(groups)})
    metric = _run(plan, people).metrics[0]
    dunnett = stats.dunnett(*groups[1:], control=groups[0], rng=np.random.default_rng(1)).pvalue
    ours = [metric.comparison_of(v) for v in ("b", "c", "d")]
    smallest = int(np.argmin(dunnett))
    for k, comparison in enumerate(ours):
        assert isinstance(comparison.result, Comparison) and comparison.adjusted_p_value is not None
        assert comparison.result.p_value <= dunnett[k] * 1.02 + 1e-3  # one test alone is bolder than all together
    # Dunnett knows that the variants share their control, which Holm's first step does not use.
    assert dunnett[smallest] <= (ours[smallest].adjusted_p_value or 0.0) <= 1.2 * dunnett[smallest]
