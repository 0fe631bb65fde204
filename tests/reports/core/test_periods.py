"""Weights that changed on the way: periods are compared apart, never added up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import StratifiedTable

from experiments.core.plan import AllocationPeriod, AnalysisPlan
from reports.core.analyse import Analysis, analyse
from reports.core.decision import VerdictState
from reports.core.health.allocation import homogeneity_p
from reports.core.health.sample_ratio import sample_ratio_p
from reports.core.methods import method_for
from reports.core.methods.base import Blocker, Comparison, Lift, NotComputable
from reports.core.results import Claim
from reports.core.sequential.eprocess import log_dirichlet_multinomial_e, split_concentration
from reports.core.statistics import Mean, Proportion, Stratified, information_between
from reports.core.wire import to_document
from tests.reports.core import worlds
from tracking.core.totals import DailyExposures, VisitorTotals

# Crook et al. (2009), KDD, table 1, all numbers divided by ten: (treatment, control) as (visitors, converted).
FRIDAY = ((1_000, 23), (99_000, 2_000))
SATURDAY = ((50_000, 600), (50_000, 500))
NAMES = ("control", "treatment")


def _people(*days: tuple[tuple[int, int], tuple[int, int]]) -> VisitorTotals:
    """One day per period; rows of (treatment, control)."""
    variant, converted, day = [], [], []
    for number, arms in enumerate(days):
        for index, (visitors, done) in ((1, arms[0]), (0, arms[1])):
            variant.append(np.full(visitors, index))
            converted.append(np.arange(visitors) < done)
            day.append(np.full(visitors, number))
    first = worlds.microseconds(worlds.START) + np.concatenate(day) * worlds.DAY_US + worlds.DAY_US // 2
    return worlds.totals(NAMES, np.concatenate(variant), {"cart": np.concatenate(converted).astype(float)}, first)


def _plan(*weights: tuple[float, float], **options: object) -> AnalysisPlan:
    plan = worlds.plan(worlds.metric("cart"), weights=dict(zip(NAMES, weights[-1], strict=True)))
    periods = tuple(
        AllocationPeriod(worlds.START + timedelta(days=number), shares) for number, shares in enumerate(weights)
    )
    return replace(plan, periods=periods if len(periods) > 1 else (), **options)


def _run(plan: AnalysisPlan, people: VisitorTotals) -> Analysis:
    days = (people.first_exposure - worlds.microseconds(worlds.START)) // worlds.DAY_US
    table = np.zeros((int(days.max()) + 1, 2), dtype=int)
    np.add.at(table, (days, people.variant), 1)
    daily = DailyExposures(
        tuple(f"2026-03-{2 + n:02}" for n in range(len(table))), tuple(tuple(int(n) for n in row) for row in table)
    )
    exposures = replace(worlds.exposures_of(people), daily=daily)
    return analyse(plan, people, exposures, as_of=worlds.at_day(30))


def _codes(analysis: Analysis) -> set[str]:
    return {f.code for f in analysis.findings}


def test_analyse__ramp_up_of_crook__shows_a_gain_of_a_fifth_where_the_totals_show_a_loss() -> None:
    people = _people(FRIDAY, SATURDAY)
    analysis = _run(_plan((0.99, 0.01), (0.5, 0.5)), people)
    converted, variant = people.columns["cart"], people.variant
    assert converted[variant == 1].mean() / converted[variant == 0].mean() - 1 == pytest.approx(-0.272, abs=5e-4)

    metric = analysis.metrics[0]
    result = metric.comparisons[0].result
    assert isinstance(result, Comparison) and isinstance(result.lift, Lift)
    tables = [np.array([[x_t, n_t - x_t], [x_c, n_c - x_c]]) for (n_t, x_t), (n_c, x_c) in (FRIDAY, SATURDAY)]
    oracle = StratifiedTable(tables)
    assert result.lift.value == pytest.approx(0.195, abs=5e-4)
    assert result.lift.value == pytest.approx(oracle.riskratio_pooled - 1, rel=1e-12)
    assert result.p_value == pytest.approx(oracle.test_null_odds(correction=False).pvalue, rel=1e-9)
    assert result.lift.interval.low > 0 and result.interval.low > 0
    assert metric.comparisons[0].claim is Claim.BETTER
    # The values shown are in one mix of the periods, so they tell the same story as the lift.
    values = [metric.value_of(v).statistic.value for v in ("treatment", "control")]
    assert values[0] / values[1] - 1 == pytest.approx(result.lift.value, abs=2e-3)
    assert "weights_changed" in _codes(analysis)
    assert next(f for f in analysis.findings if f.code == "sample_ratio").severity == "ok"
    document = to_document(analysis)
    assert [p["visitors"] for p in document["periods"]] == [
        {"control": 99_000, "treatment": 1_000},
        {"control": 50_000, "treatment": 50_000},
    ]


@pytest.mark.parametrize("weights", [(0.745, 0.255), (0.5, 0.5)])
def test_analyse__weights_that_changed_unknown_to_the_plan__is_no_verdict(weights: tuple[float, float]) -> None:
    # Once with weights that the whole agrees with although no day does: the split of the days gives it away.
    analysis = _run(_plan(weights), _people(FRIDAY, SATURDAY))
    assert analysis.verdict.state is VerdictState.INVALID
    assert "split_changes_over_time" in _codes(analysis)


def test_analyse__periods_of_the_same_weights__are_added_up_as_ever() -> None:
    people = _people(((500, 60), (500, 50)), ((5_000, 300), (5_000, 260)))
    one = _run(_plan((0.5, 0.5)), people)
    many = _run(_plan((0.5, 0.5), (0.5, 0.5)), people)
    assert many.metrics == one.metrics  # more traffic is no other weight: nobody's chance of a variant changed
    assert many.findings == one.findings and not many.periods


cell = st.tuples(st.integers(1, 300), st.integers(0, 300)).map(lambda pair: (pair[0], min(pair)))
strata = st.lists(st.tuples(cell, cell), min_size=1, max_size=4)


def _stratified(cells: Sequence[tuple[int, int]]) -> Stratified:
    return Stratified(tuple(Proportion(n, x) for n, x in cells), (1 / len(cells),) * len(cells))


@settings(max_examples=60, deadline=None)
@given(strata)
def test_score_by_period__any_strata__intervals_exclude_no_difference_exactly_when_p_is_below_alpha(
    days: list[tuple[tuple[int, int], tuple[int, int]]],
) -> None:
    t, c = _stratified([day[0] for day in days]), _stratified([day[1] for day in days])
    forth, back = (method_for(*pair).compare(*pair, alpha=0.05) for pair in ((t, c), (c, t)))
    assert isinstance(forth, Comparison) and isinstance(back, Comparison)
    assert forth.interval.excludes(0) is (forth.p_value < 0.05)
    if isinstance(forth.lift, Lift):
        assert forth.lift.interval.excludes(0) is (forth.p_value < 0.05)
    assert (back.effect, back.z, back.interval.low) == pytest.approx(
        (-forth.effect, -forth.z, -forth.interval.high), abs=1e-8
    )
    harmonic = sum(day[0][0] * day[1][0] / (day[0][0] + day[1][0]) for day in days)
    assert information_between(t, c) == pytest.approx(harmonic)


def test_welch_by_period__two_periods__is_the_weighted_difference_worked_by_hand() -> None:
    # (visitors, mean, sum of squares about it): weights 100*50/150 = 33.3 and 80*80/160 = 40, so 5/11 and 6/11.
    t = Stratified((Mean(100, 4.0, 990.0), Mean(80, 10.0, 316.0)), (0.5, 0.5))
    c = Stratified((Mean(50, 3.0, 245.0), Mean(80, 10.5, 632.0)), (0.5, 0.5))
    got = method_for(t, c).compare(t, c, alpha=0.05)
    assert isinstance(got, Comparison)
    assert got.effect == pytest.approx(5 / 11 * 1.0 + 6 / 11 * -0.5)
    # Variances of the means: 10/100, 4/80 and 5/50, 8/80.
    assert got.standard_error == pytest.approx(math.sqrt((5 / 11) ** 2 * (0.1 + 0.1) + (6 / 11) ** 2 * (0.05 + 0.1)))
    one_t, one_c = Stratified((t.parts[0],), (1.0,)), Stratified((c.parts[0],), (1.0,))
    alone, plain = method_for(one_t, one_c).compare(one_t, one_c, alpha=0.05), method_for(t.parts[0], c.parts[0])
    expected = plain.compare(t.parts[0], c.parts[0], alpha=0.05)
    assert isinstance(alone, Comparison) and isinstance(expected, Comparison)
    assert (alone.effect, alone.p_value, alone.degrees_of_freedom) == pytest.approx(
        (expected.effect, expected.p_value, expected.degrees_of_freedom)
    )


def test_analyse__times_with_everybody_followed__equal_shares_by_period() -> None:
    people = _people(((100, 20), (900, 150)), ((500, 90), (500, 60)))
    hours = np.where(people.columns["cart"] > 0, 3.0, np.nan)
    times = worlds.totals(NAMES, people.variant, {"cart": hours}, people.first_exposure)
    plan = _plan((0.9, 0.1), (0.5, 0.5))
    metric = worlds.metric("cart", kind="time_to_event", window_hours=24.0)
    shares = _run(plan, people).metrics[0].comparisons[0].result
    got = _run(replace(plan, metrics=(metric,)), times).metrics[0].comparisons[0].result
    assert isinstance(got, Comparison) and isinstance(shares, Comparison)
    assert (got.effect, got.z) == pytest.approx((shares.effect, shares.z), abs=1e-6)


def test_analyse__quantile_over_periods__is_refused_with_the_reason() -> None:
    people = _people(((300, 200), (2_700, 1_500)), ((900, 700), (900, 600)))
    plan = replace(_plan((0.9, 0.1), (0.5, 0.5)), metrics=(worlds.metric("cart", kind="quantile"),))
    result = _run(plan, people).metrics[0].comparisons[0].result
    assert isinstance(result, NotComputable)
    assert result.blocker is Blocker.PERIODS_DIFFER


def test_sample_ratio__one_period_off__is_found_though_the_whole_agrees() -> None:
    # 600 : 400 and 400 : 600 add up to an even split.
    people = _people(((600, 60), (400, 40)), ((400, 40), (600, 60)))
    plan = _plan((0.5, 0.5), (0.4, 0.6))
    finding = next(f for f in _run(plan, people).findings if f.code == "sample_ratio")
    assert finding.severity == "blocking"
    periods = finding.evidence["periods"]
    assert [p["p_value"] for p in periods] == pytest.approx(
        [sample_ratio_p((400, 600), (1, 1)), sample_ratio_p((600, 400), (0.4, 0.6))]
    )
    assert finding.evidence["p_value"] == pytest.approx(2 * stats.chisquare((600, 400), (400, 600)).pvalue)


def test_sample_ratio__watched_periods__multiply_their_evidence() -> None:
    people = _people(((120, 9), (80, 9)), ((700, 60), (320, 40)))
    plan = replace(_plan((0.5, 0.5), (0.4, 0.6)), is_imported=False, horizon_days=28, started_at=worlds.START)
    finding = next(f for f in _run(plan, people).findings if f.code == "sample_ratio")
    expected = sum(
        log_dirichlet_multinomial_e(counts, shares, concentration=split_concentration(sum(counts)))
        for counts, shares in (((80, 120), (0.5, 0.5)), ((320, 700), (0.4, 0.6)))
    )
    assert math.log(finding.evidence["e_value"]) == pytest.approx(expected)


def test_homogeneity__two_days__is_the_chi_square_of_the_table() -> None:
    table = np.array([[210, 190], [380, 430]])
    assert homogeneity_p(table) == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    assert homogeneity_p(table[:1]) is None
    # Days too small to judge join the next ones: 3 + 210 and 4 + 190.
    small = np.vstack([[3, 4], table])
    assert homogeneity_p(small) == pytest.approx(
        stats.chi2_contingency([[213, 194], [380, 430]], correction=False).pvalue
    )


def test_homogeneity__sound_days__are_accused_as_often_as_chance_says() -> None:
    rng = np.random.default_rng(5)
    found = [homogeneity_p(rng.multinomial(120, [0.5, 0.5], 21)) for _ in range(400)]
    assert stats.binom.ppf(0.0005, 400, 0.05) <= sum(p is not None and p < 0.05 for p in found)
    assert sum(p is not None and p < 0.05 for p in found) <= stats.binom.ppf(0.9995, 400, 0.05)


def test_plan__periods__survive_the_document_and_change_the_hash() -> None:
    plan = _plan((0.9, 0.1), (0.5, 0.5))
    assert AnalysisPlan.from_document(plan.to_document()) == plan
    assert plan.hash() != _plan((0.5, 0.5)).hash()
    assert "periods" not in _plan((0.5, 0.5)).to_document()


@pytest.mark.parametrize(
    ("periods", "word"),
    [
        (((0, (0.9, 0.1)), (0, (0.5, 0.5))), "one after the other"),
        (((1, (0.9, 0.1)), (0, (0.5, 0.5))), "one after the other"),
        (((0, (0.5, 0.5)), (1, (0.9, 0.1))), "last period"),
        (((0, (0.5, 0.25, 0.25)), (1, (0.5, 0.5))), "one weight per variant"),
    ],
)
def test_plan__periods_that_contradict_it__are_refused(
    periods: tuple[tuple[int, tuple[float, ...]], ...], word: str
) -> None:
    made = tuple(AllocationPeriod(worlds.START + timedelta(days=day), weights) for day, weights in periods)
    with pytest.raises(ValueError, match=word):
        replace(_plan((0.5, 0.5)), periods=made)
