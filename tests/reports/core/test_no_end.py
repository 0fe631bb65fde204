"""Experiments without a planned end: held by a confidence sequence at every look, for as long as they run."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from scipy import integrate, stats

from experiments.core.metric_kinds.base import StatisticKind, VisitorValues
from experiments.core.metrics import Role
from experiments.core.plan import AnalysisPlan, Monitoring
from reports.core.analyse import Analysis, analyse
from reports.core.methods.base import Blocker, Comparison, NotComputable
from reports.core.results import Claim
from reports.core.sequential.confidence import conversions_worth, critical_z, is_ready, log_evidence, tuning_for
from reports.core.sequential.monitors import ConfidenceSequence
from reports.core.statistics import Mean, Proportion, summarise
from reports.core.wire import to_document
from reports.core.wire_schema import REPORT_SCHEMA
from tests.reports.core import worlds
from tests.reports.core.test_analyse import _arriving
from tracking.core.totals import VisitorTotals


def _plan(*, planned: int = 4000, window_hours: float | None = 24, **changes: object) -> AnalysisPlan:
    return worlds.plan(
        worlds.metric("cart", window_hours=window_hours),
        is_imported=False,
        has_no_end=True,
        planned_visitors=planned,
        **changes,  # type: ignore[arg-type]
    )


def _run(plan: AnalysisPlan, people: VisitorTotals, day: float) -> Analysis:
    return analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(day))


@pytest.mark.parametrize(("z", "visitors"), [(0.3, 100), (2.5, 900), (4.0, 5000)])
def test_log_evidence__any_z__is_the_likelihood_ratio_averaged_over_a_normal_prior(z: float, visitors: int) -> None:
    tuning = tuning_for(1000, alpha=0.05)

    def weighed(theta: float) -> float:
        ratio = math.exp(theta * z * math.sqrt(visitors) - 0.5 * visitors * theta * theta)
        return ratio * float(stats.norm.pdf(theta, scale=math.sqrt(tuning)))

    centre = z / math.sqrt(visitors)
    expected, _ = integrate.quad(weighed, centre - 1, centre + 1, points=[0.0, centre], epsabs=0, epsrel=1e-10)
    assert math.exp(log_evidence(z, visitors, tuning=tuning)) == pytest.approx(expected, rel=1e-6)


@given(st.floats(0.001, 0.5), st.integers(1, 10**6), st.floats(-8, 8))
def test_monitor__any_level__p_is_below_alpha_exactly_beyond_the_bound(alpha: float, visitors: int, z: float) -> None:
    monitor = ConfidenceSequence((visitors,), 5000, tuning_for(5000, alpha=0.05))
    (bound,) = monitor.bounds(alpha)
    if abs(abs(z) - bound) > 1e-9:
        assert (monitor.p_value_at(0, z, alpha=alpha) < alpha) is (abs(z) > bound)
    assert monitor.p_value([z]) == monitor.p_value_at(0, z, alpha=alpha)


def test_bound__tuned_for_a_number_of_visitors__makes_intervals_narrowest_about_there() -> None:
    # Half an interval is the bound over the root of the visitors; the tuning minimises the bound at its number.
    bounds = [critical_z(4000, tuning=tuning_for(n, alpha=0.05), alpha=0.05) for n in (400, 2000, 4000, 8000, 40_000)]
    assert min(bounds) == bounds[2]


def test_conversions_worth__shares_and_amounts__counts_conversions_and_discounts_huge_orders() -> None:
    assert conversions_worth(Proportion(1000, 37)) == 37
    assert conversions_worth(Mean(100, 0.2, 16.0)) == pytest.approx(20)  # 20 visitors with 1, 80 with 0
    # Ten orders of 1 and one of 90: (100)^2 / (10 + 8,100) = 1.233.
    assert conversions_worth(Mean(50, 2.0, 10 + 8100 - 50 * 4.0)) == pytest.approx(10_000 / 8110)


def test_is_ready__few_conversions_or_skewed_amounts_at_an_unequal_split__waits() -> None:
    assert not is_ready(Proportion(200, 10), Proportion(200, 9))
    assert not is_ready(Proportion(200, 4), Proportion(200, 30))
    assert is_ready(Proportion(200, 5), Proportion(1800, 15))
    few, many = Mean(200, 0.1, 18.0), Mean(1800, 0.1, 162.0)  # 20 and 180 buyers of one thing each
    assert is_ready(few, few)
    assert not is_ready(few, many)


def test_plan__without_end__has_no_horizon_and_a_number_of_visitors() -> None:
    assert _plan().to_document()["monitoring"] == "confidence_sequence"
    assert AnalysisPlan.from_document(_plan().to_document()) == _plan()
    with pytest.raises(ValueError, match="without a planned end"):
        _plan(horizon_days=28)
    with pytest.raises(ValueError, match="number of visitors"):
        worlds.plan(worlds.metric("cart"), is_imported=False, has_no_end=True)


def test_analyse__planned_visitors_passed__goes_on_and_needs_no_final_look() -> None:
    plan, people = _plan(planned=2000), _arriving(100, 40, (0.10, 0.11))
    analysis = _run(plan, people, 40)
    assert not analysis.progress.is_final
    assert analysis.verdict.state == "no_decision_yet"
    assert "No planned end" in analysis.verdict.summary
    comparison = analysis.metrics[0].comparison_of("treatment")
    assert [look.day for look in comparison.looks] == list(range(7, 41))
    assert {look.futility for look in comparison.looks} == {None}
    assert not comparison.is_unlikely_to_win
    last = comparison.looks[-1]
    # 100 a day and variant, the last day not followed yet; the midnight visitor aside.
    visitors = last.treatment.visitors + last.control.visitors
    assert 7800 <= visitors <= 7802
    rho2 = (-2 * math.log(0.05) + math.log(-2 * math.log(0.05) + 1)) / 2000
    expected = math.sqrt(
        2 * (visitors * rho2 + 1) / (visitors * rho2) * math.log(math.sqrt(visitors * rho2 + 1) / 0.05)
    )
    assert last.bound == pytest.approx(expected)


def test_verdict__stopped_without_an_effect__says_what_is_ruled_out_once_its_visitors_came() -> None:
    plan = _plan(planned=4000)
    verdicts = {}
    for days in (10, 40):
        people = _arriving(100, days, (0.10, 0.10))
        stopped = worlds.at_day(days)
        verdicts[days] = analyse(plan, people, worlds.exposures_of(people), as_of=stopped, ended_at=stopped).verdict
    assert verdicts[10].state == "inconclusive"
    assert verdicts[40].state == "no_effect"
    assert "The data rule out changes" in verdicts[40].summary


def test_analyse__clear_effect__claims_by_the_sequence_and_says_so_in_the_document() -> None:
    analysis = _run(_plan(), _arriving(100, 20, (0.10, 0.18)), 20)
    comparison = analysis.metrics[0].comparison_of("treatment")
    assert comparison.claim is Claim.BETTER
    assert isinstance(comparison.result, Comparison)
    assert comparison.result.interval.low > 0
    assert comparison.result.p_value < 0.05
    assert comparison.stopped is None  # the present numbers hold as they are
    document = to_document(analysis)
    Draft202012Validator(REPORT_SCHEMA).validate(document)
    assert document["monitoring"] == "confidence_sequence"
    shown = document["metrics"][0]["comparisons"][0]
    assert shown["single_look"]["monitoring"] == "confidence_sequence"
    assert shown["method_label"].endswith("confidence sequence, no planned end")


def test_analyse__effect_that_came_and_went__keeps_the_claim_with_the_numbers_of_the_look_that_made_it() -> None:
    good, bad = _arriving(100, 10, (0.10, 0.22)), _arriving(100, 30, (0.22, 0.10), seed=2)
    late = bad.first_exposure >= worlds.microseconds(worlds.at_day(10))
    late &= bad.first_exposure < worlds.microseconds(worlds.at_day(20))
    people = worlds.totals(
        ("control", "treatment"),
        np.concatenate([good.variant, bad.variant[late]]),
        {"cart": np.concatenate([good.columns["cart"], bad.columns["cart"][late]])},
        np.concatenate([good.first_exposure, bad.first_exposure[late]]),
    )
    analysis = _run(_plan(), people, 21)
    comparison = analysis.metrics[0].comparison_of("treatment")
    assert isinstance(comparison.result, Comparison)
    assert not comparison.result.interval.excludes(0)
    assert comparison.claim is Claim.BETTER
    assert comparison.stopped is not None
    assert comparison.stopped.day <= 10
    assert comparison.stopped.interval.low > 0
    # The sequential p-value is the running minimum, which the claim rests on.
    assert comparison.adjusted_p_value is not None and comparison.adjusted_p_value < 0.05
    assert comparison.result.p_value > 0.05
    Draft202012Validator(REPORT_SCHEMA).validate(to_document(analysis))


def test_analyse__hardly_any_conversions__shows_no_effect_and_says_what_it_takes() -> None:
    analysis = _run(_plan(), _arriving(100, 8, (0.01, 0.01)), 8)
    result = analysis.metrics[0].comparison_of("treatment").result
    assert isinstance(result, NotComputable)
    assert result.blocker is Blocker.TOO_EARLY
    assert "20 conversions over both variants and 5 in each" in result.detail


def test_analyse__no_conversion_window__decides_nothing_without_an_end() -> None:
    analysis = _run(_plan(window_hours=None), _arriving(300, 30, (0.10, 0.25)), 30)
    assert analysis.metrics[0].comparison_of("treatment").claim is Claim.OPEN
    reason = next(r for r in analysis.verdict.reasons if r.code == "waits_for_horizon")
    assert "decides nothing" in reason.text


def test_analyse__guardrail_at_any_look__is_safe_only_when_the_sequence_rules_the_margin_out() -> None:
    plan = worlds.plan(
        worlds.metric("cart", window_hours=24),
        worlds.macro_guardrail("purchase", 0.2, window_hours=24),
        is_imported=False,
        has_no_end=True,
        planned_visitors=4000,
    )
    people = _arriving(100, 40, (0.20, 0.20))
    people = worlds.totals(
        ("control", "treatment"),
        people.variant,
        dict.fromkeys(("cart", "purchase"), people.columns["cart"]),
        people.first_exposure,
    )
    outcomes = {}
    for day in (8, 15, 40):
        comparison = _run(plan, people, day).metrics[1].comparison_of("treatment")
        guardrail = comparison.guardrail
        assert guardrail is not None and guardrail.ruled_out is not None
        visitors = sum(v.visitors for v in (comparison.looks[-1].treatment, comparison.looks[-1].control))
        bound = critical_z(visitors, tuning=tuning_for(4000, alpha=0.05), alpha=0.10)
        assert guardrail.alpha == pytest.approx(float(stats.norm.sf(bound)), rel=1e-9)
        outcomes[day] = guardrail.outcome.value
    assert outcomes[8] != "safe" and outcomes[40] == "safe"


def test_summarise__burn_in_of_a_mean__agrees_with_the_raw_values() -> None:
    values = np.random.default_rng(3).lognormal(1, 1, 300) * (np.arange(300) % 5 == 0)
    found = conversions_worth(summarise(StatisticKind.MEAN, VisitorValues(values, None)))
    assert found == pytest.approx(values.sum() ** 2 / (values**2).sum())


def test_analyse__role_exploratory__is_watched_by_the_same_rule() -> None:
    plan = worlds.plan(
        worlds.metric("cart", Role.EXPLORATORY, window_hours=24),
        is_imported=False,
        has_no_end=True,
        planned_visitors=4000,
    )
    result = _run(plan, _arriving(100, 20, (0.10, 0.12)), 20).metrics[0].comparison_of("treatment").result
    assert isinstance(result, Comparison) and result.single_look is not None
    assert result.single_look.monitoring is Monitoring.CONFIDENCE_SEQUENCE
