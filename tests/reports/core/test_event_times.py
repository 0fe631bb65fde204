"""Kaplan-Meier shares through the analysis: against statsmodels, the plain share, and worlds with a known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight

from experiments.core.metric_kinds.base import StatisticKind, VisitorValues
from experiments.core.metrics import Role
from reports.core.analyse import Analysis, analyse
from reports.core.event_times import STEPS, EventTimes
from reports.core.methods.base import Blocker, Comparison, Lift, NotComputable
from reports.core.methods.kaplan_meier import KaplanMeierMethod
from reports.core.methods.noninferiority import GuardrailOutcome
from reports.core.methods.score import ScoreMethod
from reports.core.results import Claim
from reports.core.statistics import Proportion, information_visitors, summarise
from tests.reports.core import worlds
from tracking.core.totals import VisitorTotals

WINDOW = 14 * 24.0
DAYS = 28


def _times(hours: np.ndarray, followed: np.ndarray | None = None, window: float = WINDOW) -> EventTimes:
    found = summarise(StatisticKind.TIME_TO_EVENT, VisitorValues(hours, window_hours=window, followed_hours=followed))
    assert isinstance(found, EventTimes)
    return found


def _visitors(seed: int, n: int = 400, share: float = 0.3, lag: float = 90.0) -> tuple[np.ndarray, np.ndarray]:
    """Hours to the conversion (NaN: none in the window) and hours followed, on the grid of the life table."""
    rng = np.random.default_rng(seed)
    hours = np.where(rng.random(n) < share, rng.exponential(lag, n), np.nan)
    step = WINDOW / STEPS
    return np.where(hours < WINDOW, hours, np.nan), step * rng.integers(0, STEPS + 80, n)


@pytest.mark.parametrize("seed", range(3))
def test_event_times__partly_followed__equals_statsmodels(seed: int) -> None:
    hours, followed = _visitors(seed)
    step = WINDOW / STEPS
    # What the life table promises to count: conversions in steps that lie wholly within the follow-up.
    known = np.ceil(np.nan_to_num(hours, nan=math.inf) / step) * step
    is_event = known <= np.minimum(followed, WINDOW)
    time = np.where(is_event, known, np.minimum(followed, WINDOW))
    # A visitor followed for no whole step says nothing, and statsmodels wants times above 0.
    oracle = SurvfuncRight(time[time > 0], is_event[time > 0].astype(int))
    at = np.searchsorted(oracle.surv_times, WINDOW, side="right") - 1
    found = _times(hours, followed)
    assert found.value == pytest.approx(1 - oracle.surv_prob[at], abs=1e-12)
    assert math.sqrt(found.variance / found.visitors) == pytest.approx(oracle.surv_prob_se[at], abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.integers(1, 399))
def test_event_times__split_anywhere__adds_up_to_the_whole(seed: int, cut: int) -> None:
    hours, followed = _visitors(seed)
    parts = _times(hours[:cut], followed[:cut]) + _times(hours[cut:], followed[cut:])
    assert parts == _times(hours, followed)
    assert information_visitors(parts) <= parts.visitors + 1e-9


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 400), st.integers(1, 400), st.integers(0, 400), st.integers(0, 400), st.sampled_from([0.01, 0.05])
)
def test_kaplan_meier__everybody_followed_to_the_end__is_the_comparison_of_shares(
    n_t: int, n_c: int, x_t: int, x_c: int, alpha: float
) -> None:
    x_t, x_c = min(x_t, n_t), min(x_c, n_c)
    arms = [_times(np.where(np.arange(n) < x, 3.0 + np.arange(n) % 300, np.nan)) for n, x in ((n_t, x_t), (n_c, x_c))]
    got = KaplanMeierMethod().compare(arms[0], arms[1], alpha=alpha)
    plain = ScoreMethod().compare(Proportion(n_t, x_t), Proportion(n_c, x_c), alpha=alpha)
    assert isinstance(got, Comparison) and isinstance(plain, Comparison)
    assert got.effect == pytest.approx(plain.effect, abs=1e-12)
    small, large = sorted((n_t, n_c))
    if large / small <= 1.5:  # beyond that skewness is taken out, as the mid-P method does
        assert got.z == pytest.approx(plain.z, abs=1e-6)
        assert (got.interval.low, got.interval.high) == pytest.approx(
            (plain.interval.low, plain.interval.high), abs=1e-7
        )
        if isinstance(plain.lift, Lift) and math.isfinite(plain.lift.interval.high):
            assert isinstance(got.lift, Lift)
            assert got.lift.interval.high == pytest.approx(plain.lift.interval.high, rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.floats(0.02, 0.5), st.floats(0.02, 0.5), st.booleans())
def test_kaplan_meier__any_two_variants__interval_excludes_no_difference_exactly_when_p_is_below_alpha(
    seed: int, share_t: float, share_c: float, is_unequal: bool
) -> None:
    t = _times(*_visitors(seed, 120 if is_unequal else 300, share_t))
    c = _times(*_visitors(seed + 1000, 600 if is_unequal else 300, share_c))
    forth, back = (KaplanMeierMethod().compare(*pair, alpha=0.05) for pair in ((t, c), (c, t)))
    if isinstance(forth, NotComputable) or isinstance(back, NotComputable):
        return
    assert forth.interval.excludes(0) is (forth.p_value < 0.05)
    if isinstance(forth.lift, Lift):
        assert forth.lift.interval.excludes(0) is (forth.p_value < 0.05)
    # Swapping the variants turns the sign.
    assert (back.z, back.interval.low) == pytest.approx((-forth.z, -forth.interval.high), abs=1e-9)
    assert KaplanMeierMethod().margin_z(t, c, ratio=1.0) == pytest.approx(forth.z)


def test_kaplan_meier__nobody_followed_that_long__gives_the_reason() -> None:
    hours, followed = _visitors(1)
    early = _times(hours, np.minimum(followed, WINDOW / 2))
    found = KaplanMeierMethod().compare(early, _times(hours, followed), alpha=0.05)
    assert isinstance(found, NotComputable)
    assert found.blocker is Blocker.NO_MATURED_VISITORS
    assert math.isnan(early.value)


def _world(
    rng: np.random.Generator, *, shares: tuple[float, float], lags: tuple[float, float], per_day: int = 100
) -> tuple[VisitorTotals, VisitorTotals]:
    """Visitors over 28 days with hours to their conversion, seen by Kaplan-Meier and as conversions by the last day."""
    n = per_day * DAYS
    variant = np.repeat([0, 1], n)
    arrival = np.tile(np.arange(n) / per_day, 2)
    lag = np.asarray(lags)[variant] * 24
    hours = np.where(rng.random(2 * n) < np.asarray(shares)[variant], rng.exponential(lag), np.nan)
    hours = np.where(hours < np.minimum(WINDOW, (DAYS - arrival) * 24), hours, np.nan)
    first = worlds.microseconds(worlds.START) + (arrival * worlds.DAY_US).astype(np.int64)
    names = ("control", "treatment")
    converted = (~np.isnan(hours)).astype(float)
    return worlds.totals(names, variant, {"cart": hours}, first), worlds.totals(
        names, variant, {"cart": converted}, first
    )


def _analyse(people: VisitorTotals, *, kind: str, day: float = DAYS, role: Role = Role.PRIMARY) -> Analysis:
    metric = worlds.metric("cart", role, kind=kind, window_hours=WINDOW, margin=0.2 if role is Role.GUARDRAIL else None)
    plan = worlds.plan(metric, is_imported=False, horizon_days=DAYS)
    return analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(day))


def _standard_error(analysis: Analysis) -> float:
    """The standard error of the effect, that of two shares from the shares themselves."""
    t, c = (analysis.metrics[0].value_of(v).statistic for v in ("treatment", "control"))
    if isinstance(t, Proportion) and isinstance(c, Proportion):
        return math.sqrt(sum(p.value * (1 - p.value) / p.visitors for p in (t, c)))
    assert isinstance(t, EventTimes) and isinstance(c, EventTimes)
    return math.sqrt(t.variance / t.visitors + c.variance / c.visitors)


def test_analyse__partial_follow_up__says_the_same_with_less_variance_than_matured_visitors_alone() -> None:
    # A lag of exp(4 days), a window of 14: Kaplan-Meier's variance on day 28 is .62 of that of matured visitors.
    ratios, gaps = [], []
    for seed in range(6):
        times, shares = _world(np.random.default_rng(seed), shares=(0.2, 0.2), lags=(4, 4))
        partial, matured = _analyse(times, kind="time_to_event"), _analyse(shares, kind="conversion")
        assert partial.metrics[0].matured == 2 * 100 * DAYS > matured.metrics[0].matured
        ratios.append((_standard_error(partial) / _standard_error(matured)) ** 2)
        gaps.append(partial.metrics[0].value_of("control").statistic.value)
    assert np.mean(ratios) == pytest.approx(0.62, abs=0.04)
    true = 0.2 * (1 - math.exp(-14 / 4))
    # Twelve hundred visitors' worth of standard error, six replicates.
    assert np.mean(gaps) == pytest.approx(true, abs=4 * math.sqrt(true * (1 - true) / (6 * 2000)))


def _sooner(kind: str) -> tuple[Analysis, VisitorTotals]:
    """One visitor in five converts in every variant and on every day; in the treatment within 2 days, else within 13."""
    per_day, names = 200, ("control", "treatment")
    place = np.tile((np.arange(per_day) + 0.5) / per_day, DAYS * 2)
    day = np.tile(np.repeat(np.arange(DAYS), per_day), 2)
    variant = np.repeat([0, 1], DAYS * per_day)
    # Arrivals and lags run through the same grid in different orders, so that nothing is left to chance.
    arrival = day + np.tile(np.random.default_rng(0).permutation(per_day) / per_day, DAYS * 2)
    hours = np.where(place < 0.2, place / 0.2 * np.where(variant == 1, 2, 13) * 24, np.nan)
    hours = np.where(hours < (DAYS - arrival) * 24, hours, np.nan)
    first = worlds.microseconds(worlds.START) + (arrival * worlds.DAY_US).astype(np.int64)
    column = hours if kind == "time_to_event" else (~np.isnan(hours)).astype(float)
    people = worlds.totals(names, variant, {"cart": column}, first)
    return _analyse(people, kind=kind), people


@pytest.mark.parametrize("kind", ["conversion", "time_to_event"])
def test_analyse__variant_that_only_converts_sooner__forgetting_the_maturity_rule_makes_this_test_fail(
    kind: str,
) -> None:
    analysis, people = _sooner(kind)
    comparison = analysis.metrics[0].comparisons[0]
    assert isinstance(comparison.result, Comparison)
    assert comparison.claim is Claim.OPEN
    assert comparison.result.effect == pytest.approx(0, abs=0.002)
    # The trap is there: whoever counts everybody exposed so far sees a winner in the same visitors.
    is_done = ~np.isnan(people.columns["cart"]) & (people.columns["cart"] != 0)
    counted = [Proportion(int(np.sum(people.variant == v)), int(np.sum(is_done[people.variant == v]))) for v in (1, 0)]
    naive = ScoreMethod().compare(counted[0], counted[1], alpha=0.05)
    assert isinstance(naive, Comparison)
    assert naive.p_value < 0.001 and naive.effect > 0.03


def test_analyse__random_lags_that_only_differ_in_speed__win_no_more_often_than_chance() -> None:
    # The shares are such that the same part of both variants converts within the window.
    lags, shares = (4.0, 2.0), (0.2 / (1 - math.exp(-14 / 4)), 0.2 / (1 - math.exp(-14 / 2)))
    wins = 0
    for seed in range(10):
        people, _ = _world(np.random.default_rng(seed), shares=shares, lags=lags, per_day=50)
        wins += _analyse(people, kind="time_to_event").metrics[0].comparisons[0].claim is Claim.BETTER
    assert wins <= stats.binom.ppf(0.9995, 10, 0.025)


def test_analyse__event_after_the_look__is_unknown_at_the_look() -> None:
    # One analysis on day 20.9 looks at day 20: who converts between the two has not converted yet.
    times, _ = _world(np.random.default_rng(3), shares=(0.3, 0.4), lags=(4, 4), per_day=30)
    morning, evening = (_analyse(times, kind="time_to_event", day=day) for day in (20.1, 20.9))
    assert morning.metrics == evening.metrics


def test_analyse__running__information_grows_with_partial_follow_up_and_ends_at_the_plan() -> None:
    times, shares = _world(np.random.default_rng(5), shares=(0.2, 0.2), lags=(4, 4))
    course = _analyse(times, kind="time_to_event").metrics[0].comparisons[0].looks
    matured = _analyse(shares, kind="conversion").metrics[0].comparisons[0].looks
    information = [look.information for look in course]
    assert information == sorted(information)
    # Matured visitors reach half of their information on day 21 = 14 + 14 / 2; partial follow-up has it sooner.
    half = [next(look.day for look in looks if look.information >= 0.5) for looks in (course, matured)]
    assert half[0] < half[1]


def test_analyse__guardrail_of_times__is_judged_like_any_other() -> None:
    people, _ = _world(np.random.default_rng(2), shares=(0.4, 0.4), lags=(2, 2), per_day=200)
    guardrail = _analyse(people, kind="time_to_event", role=Role.GUARDRAIL).metrics[0].comparisons[0].guardrail
    assert guardrail is not None
    assert guardrail.outcome is GuardrailOutcome.SAFE
    assert guardrail.power is not None and guardrail.power > 0.9


def test_macro_alarm__times_of_purchases_that_dry_up__warns_before_the_first_look() -> None:
    def codes(bought: tuple[int, int]) -> set[str]:
        # 900 visitors of each variant, all on the first day; on day 3 their window of 14 days is far from over.
        hours = np.concatenate([np.where(np.arange(900) < n, 5.0, np.nan) for n in bought])
        first = np.tile(worlds.microseconds(worlds.START) + np.arange(900) * (worlds.DAY_US // 900), 2)
        people = worlds.totals(("control", "treatment"), np.repeat([0, 1], 900), {"purchase": hours}, first)
        metric = worlds.macro_guardrail("purchase", kind="time_to_event", window_hours=WINDOW)
        plan = worlds.plan(metric, is_imported=False, horizon_days=DAYS)
        found = analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(3))
        return {f.code for f in found.findings}

    assert "macro_alarm" in codes((40, 8))
    assert "macro_alarm" not in codes((40, 31))
