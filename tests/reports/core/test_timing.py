"""What time does: by exposure week, by day since the exposure, by hour of the window, and before the exposure."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from experiments.core.metrics import Aggregate, Role
from reports.core.analyse import Analysis, analyse, columns_for
from reports.core.methods.base import Comparison, Interval
from reports.core.methods.score import ScoreMethod
from reports.core.statistics import Proportion
from reports.core.timing.delays import POINTS, delay_check
from reports.core.timing.novelty import DailyActivity, daily_trend
from reports.core.timing.weeks import WeekEffect, same_effect_p
from tests.reports.core import worlds
from tracking.core.totals import VisitorTotals

NAMES = ("control", "treatment")
DAY_ZERO = 1 << 28  # the bit of the first day after the exposure


def _active(rng: np.random.Generator, n: int, shares: np.ndarray) -> np.ndarray:
    """Visitors who differ in how active they are, so that the days of one visitor hang together."""
    eager = rng.gamma(2.0, 0.5, n)
    return (rng.random((n, len(shares))) < np.minimum(eager[:, None] * shares, 1)).astype(np.float64)


def _bits(active: np.ndarray) -> np.ndarray:
    return (active * (DAY_ZERO << np.arange(active.shape[1]))).sum(axis=1)


def test_daily_trend__days_of_visitors_that_hang_together__has_slope_and_error_of_gee() -> None:
    rng = np.random.default_rng(3)
    base = 0.2 * 0.85 ** np.arange(7)
    t, c = _active(rng, 1500, base * 1.4 * 0.95 ** np.arange(7)), _active(rng, 1500, base)
    found = daily_trend(DailyActivity(t, len(t)), DailyActivity(c, len(c)))
    assert found is not None
    _, _, slope, error = found
    y = np.concatenate([t, c]).ravel()
    day = np.tile(np.arange(7), 3000)
    is_treated = np.repeat([1.0, 0.0], 1500 * 7)
    design = np.column_stack([*(day == d for d in range(7)), is_treated, is_treated * day]).astype(float)
    fit = sm.GEE(y, design, groups=np.repeat(np.arange(3000), 7), family=sm.families.Poisson()).fit()
    assert slope == pytest.approx(fit.params[-1], abs=0.15 * fit.bse[-1])
    assert error == pytest.approx(fit.bse[-1], rel=0.03)


def test_daily_trend__constant_lift_on_a_rate_that_falls__is_called_a_trend_no_more_often_than_chance() -> None:
    # A difference of shares falls with the rate itself and would be called novelty; a lift does not.
    rng, base, tries = np.random.default_rng(7), 0.3 * 0.7 ** np.arange(7), 200
    found = []
    for _ in range(tries):
        # Visitors without a single day need no row.
        arms = (_active(rng, 800, shares) for shares in (base * 1.3, base))
        trend = daily_trend(*(DailyActivity(active[active.any(axis=1)], 800) for active in arms))
        assert trend is not None
        found.append(trend[2] / trend[3])
    low, high = stats.binom.ppf([0.0005, 0.9995], tries, 0.05)
    assert low <= np.sum(np.abs(found) > 1.96) <= high


def test_daily_trend__hardly_any_event__says_nothing() -> None:
    few, nobody = DailyActivity(np.ones((9, 7)), 500), DailyActivity(np.ones((0, 7)), 0)
    assert daily_trend(few, few) is None
    assert daily_trend(nobody, few) is None


@pytest.mark.parametrize("seed", range(2))
def test_same_effect__independent_weeks__is_cochrans_q(seed: int) -> None:
    rng = np.random.default_rng(seed)
    effects, errors = rng.normal(0, 1, 5), rng.uniform(0.5, 2, 5)
    made = [
        WeekEffect(float(e), Interval(float(e - 1.959964 * s), float(e + 1.959964 * s)))
        for e, s in zip(effects, errors, strict=True)
    ]
    oracle = combine_effects(effects, errors**2).test_homogeneity()
    assert same_effect_p(made, alpha=0.05) == pytest.approx(oracle.pvalue, rel=1e-5)
    assert same_effect_p(made[:1], alpha=0.05) is None


def _converted(rng: np.random.Generator, n: int, share: float, lag: float, window: float = 24.0) -> np.ndarray:
    """How many of n visitors have converted by each point of the window."""
    hours = np.where(rng.random(n) < share, rng.exponential(lag, n), np.inf)
    return np.searchsorted(np.sort(hours), window * np.arange(1, POINTS + 1) / POINTS, side="left")


def test_delay_check__curves_of_one_shape__differ_no_more_often_than_chance() -> None:
    rng, tries, low_p, crossed = np.random.default_rng(2), 400, 0, 0
    for _ in range(tries):
        check = delay_check(_converted(rng, 900, 0.26, 9), 900, _converted(rng, 900, 0.2, 9), 900)
        assert check is not None
        low_p += check.p_value < 0.05
        crossed += check.crosses
    low, high = stats.binom.ppf([0.0005, 0.9995], tries, 0.05)
    assert low <= low_p <= high
    assert crossed <= stats.binom.ppf(0.9995, tries, 0.01)


def test_delay_check__sooner_but_no_more__has_a_lift_at_half_and_none_at_the_end() -> None:
    rng = np.random.default_rng(4)
    check = delay_check(_converted(rng, 5000, 0.2, 2), 5000, _converted(rng, 5000, 0.2, 8), 5000)
    assert check is not None
    assert check.p_value < 1e-4 and not check.crosses
    assert check.half_lift > 0.15 > 0.1 > abs(check.full_lift)


def test_delay_check__sooner_and_fewer__crosses() -> None:
    rng = np.random.default_rng(4)
    check = delay_check(_converted(rng, 5000, 0.2, 1), 5000, _converted(rng, 5000, 0.3, 9), 5000)
    assert check is not None
    assert check.crosses


def _world(
    *, days: int = 28, per_day: int = 120, seed: int = 1, treatment_share: float = 0.2, **columns: np.ndarray
) -> VisitorTotals:
    rng = np.random.default_rng(seed)
    n = 2 * days * per_day
    variant = np.arange(n) % 2
    first = worlds.microseconds(worlds.START) + np.arange(n) * (days * worlds.DAY_US // n)
    cart = (rng.random(n) < np.where(variant == 1, treatment_share, 0.2)).astype(float)
    return worlds.totals(NAMES, variant, {"cart": cart} | columns, first)


def _run(people: VisitorTotals, *, day: float = 28, role: Role = Role.PRIMARY) -> Analysis:
    plan = worlds.plan(worlds.metric("cart", role, window_hours=24.0), is_imported=False, horizon_days=28)
    return analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(day))


def _finding(analysis: Analysis, code: str):  # type: ignore[no-untyped-def]
    return next((f for f in analysis.findings if f.code == code), None)


def test_weeks__each_week__is_the_comparison_of_its_own_matured_visitors() -> None:
    people = _world(treatment_share=0.25)
    weeks = _run(people, day=18).timing.metrics[0].weeks
    assert weeks is not None
    assert [week.starts_at for week in weeks.weeks] == [worlds.at_day(d) for d in (0, 7, 14)]
    start = worlds.microseconds(worlds.START)
    for number, week in enumerate(weeks.weeks):
        # On day 18 a window of a day has passed for visitors up to day 17.
        until = min(start + (number + 1) * 7 * worlds.DAY_US, start + 17 * worlds.DAY_US + 1)
        rows = (people.first_exposure >= start + number * 7 * worlds.DAY_US) & (people.first_exposure < until)
        arms = [
            Proportion(int(np.sum(mine)), int(people.columns["cart"][mine].sum()))
            for mine in (rows & (people.variant == 0), rows & (people.variant == 1))
        ]
        assert [week.values[name] for name in NAMES] == arms
        expected, got = ScoreMethod().compare(arms[1], arms[0], alpha=0.05), week.effects["treatment"]
        assert isinstance(got, WeekEffect) and isinstance(expected, Comparison)
        assert (got.effect, got.interval.low, got.interval.high) == pytest.approx(
            (expected.effect, expected.interval.low, expected.interval.high), abs=1e-9
        )


def test_weeks__before_the_first_look_and_in_the_first_week__are_not_shown() -> None:
    people = _world()
    assert _run(people, day=6).timing.metrics == ()
    assert _run(people, day=7).timing.metrics[0].weeks is None
    exploratory = _run(people, role=Role.EXPLORATORY)
    assert exploratory.timing.metrics == ()


def test_newcomers__effect_on_those_who_knew_the_page__is_told_apart_from_new_visitors() -> None:
    people = _world(per_day=400)
    rng, n = np.random.default_rng(4), len(people.variant)
    seen = rng.random(n) < 0.4
    cart = rng.random(n) < np.where(seen & (people.variant == 1), 0.26, 0.2)
    columns = {"cart": cart.astype(float)}
    people = replace(worlds.totals(NAMES, people.variant, columns, people.first_exposure), seen_before=seen)
    found = _run(people).timing.metrics[0].newcomers
    assert found is not None
    matured = people.first_exposure + worlds.DAY_US <= worlds.microseconds(worlds.at_day(28))
    for index, group in enumerate((~seen, seen)):
        arms = [
            Proportion(int(mine.sum()), int(cart[mine].sum()))
            for mine in (matured & group & (people.variant == v) for v in (0, 1))
        ]
        assert [found.values[index][name] for name in NAMES] == arms
        expected, got = ScoreMethod().compare(arms[1], arms[0], alpha=0.05), found.effects["treatment"][index]
        assert isinstance(got, WeekEffect) and isinstance(expected, Comparison)
        assert (got.effect, got.interval.low) == pytest.approx((expected.effect, expected.interval.low), abs=1e-9)
    p_value = found.same_effect_p["treatment"]
    assert p_value is not None and p_value < 0.01


def test_newcomers__nobody_asked_or_hardly_anybody_returns__is_not_shown() -> None:
    people = _world()
    assert _run(people).timing.metrics[0].newcomers is None
    few = replace(people, seen_before=np.arange(len(people.variant)) < 99)
    assert _run(few).timing.metrics[0].newcomers is None


def test_novelty__effect_that_wears_off__is_found_in_a_fixed_group() -> None:
    people = _world(treatment_share=0.28)
    rng, n = np.random.default_rng(5), len(people.variant)
    base = 0.2 * 0.9 ** np.arange(7)
    lift = np.where((people.variant == 1)[:, None], 1 + 0.8 * 0.5 ** np.arange(7), 1.0)
    days = (rng.random((n, 7)) < base * lift).astype(np.int64)
    people = worlds.totals(NAMES, people.variant, people.columns | {"cart.days": _bits(days)}, people.first_exposure)
    analysis = _run(people)
    (trend,) = analysis.timing.metrics[0].novelty
    followed = people.first_exposure + 7 * worlds.DAY_US <= worlds.microseconds(worlds.at_day(28))
    assert trend.visitors == np.count_nonzero(followed)
    assert trend.lifts[0] == pytest.approx(0.8, abs=0.2)
    finding = _finding(analysis, "effect_wears_off")
    assert finding is not None and finding.severity == "warning"  # a win rests on it
    # Later behaviour of visitors who have not been followed for seven days changes nothing.
    other = people.columns["cart.days"].copy()
    other[~followed] = 0
    same = _run(worlds.totals(NAMES, people.variant, people.columns | {"cart.days": other}, people.first_exposure))
    assert same.timing.metrics[0].novelty == analysis.timing.metrics[0].novelty


def test_before__earlier_experiment_still_acts__is_found_by_what_visitors_did_before() -> None:
    people = _world()
    rng = np.random.default_rng(8)
    n = len(people.variant)

    def before(share_treatment: float) -> Analysis:
        was = rng.random(n) < np.where(people.variant == 1, share_treatment, 0.1)
        # On the 28th day before the exposure or the last one; what comes after the exposure must not count.
        bits = np.where(was, rng.choice([1, 1 << 27], n), 0) + DAY_ZERO * (people.variant == 1)
        return _run(worlds.totals(NAMES, people.variant, people.columns | {"cart.days": bits}, people.first_exposure))

    sound, carried = before(0.1), before(0.15)
    assert _finding(sound, "differed_before") is None
    (one,) = sound.timing.before
    arms = Proportion(one.visitors_t, one.active_t), Proportion(one.visitors_c, one.active_c)
    expected = ScoreMethod().compare(*arms, alpha=0.05)
    assert isinstance(expected, Comparison)
    assert (one.p_value, one.visitors_t + one.visitors_c) == (expected.p_value, n)
    finding = _finding(carried, "differed_before")
    assert finding is not None and finding.evidence["adjusted_p_value"] < 0.001


def test_before__sound_assignment__is_accused_as_often_as_chance_says() -> None:
    people, rng = _world(per_day=30), np.random.default_rng(9)
    p_values = []
    for _ in range(100):
        bits = np.where(rng.random(len(people.variant)) < 0.12, 1.0, 0.0)
        columns = people.columns | {"cart.days": bits}
        analysis = _run(worlds.totals(NAMES, people.variant, columns, people.first_exposure), day=6)
        p_values.append(analysis.timing.before[0].p_value)
    low, high = stats.binom.ppf([0.0005, 0.9995], 100, 0.05)
    assert low <= sum(p < 0.05 for p in p_values) <= high


def test_short_window__variant_that_only_converts_sooner__warns() -> None:
    people = _world(per_day=300)
    rng, n = np.random.default_rng(6), len(people.variant)
    hours = np.where(rng.random(n) < 0.2, rng.exponential(np.where(people.variant == 1, 2.0, 7.0), n), np.nan)
    hours = np.where(hours < 24, hours, np.nan)
    columns = {"cart": (~np.isnan(hours)).astype(float), "cart.hours": hours}
    analysis = _run(worlds.totals(NAMES, people.variant, columns, people.first_exposure))
    finding = _finding(analysis, "effect_depends_on_window")
    assert finding is not None and finding.severity == "warning"
    delays = analysis.timing.metrics[0].delays
    assert delays is not None
    # The curve's end is the metric itself: visitors whose window has passed.
    for name in NAMES:
        statistic = analysis.metrics[0].value_of(name).statistic
        assert delays.shares[name][-1] == pytest.approx(statistic.value)
        assert delays.visitors[name] == statistic.visitors
        assert math.isclose(delays.hours[-1], 24.0)


def test_columns_for__metrics_that_decide__ask_for_their_days_and_hours() -> None:
    plan = worlds.plan(
        worlds.metric("cart", window_hours=24.0), worlds.metric("hint", Role.EXPLORATORY), worlds.metric("open")
    )
    asked = {c.name: c for c in columns_for(plan)}
    assert set(asked) == {"cart", "cart.days", "cart.hours", "hint", "open", "open.days"}
    days = asked["cart.days"]
    assert (days.aggregate, days.start_hours, days.end_hours) == (Aggregate.DAYS, -672.0, 168.0)
    assert asked["cart.hours"].end_hours == 24.0
