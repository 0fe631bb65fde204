"""The worlds whose truth is known: what visitors do, and what an analysis of them may show how often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from experiments.core.covariates import covariate_from_text
from experiments.core.plan import AnalysisPlan, PlannedMetric
from reports.core.analyse import Analysis
from reports.core.health import Severity
from reports.core.methods.base import Comparison
from reports.core.methods.noninferiority import GuardrailOutcome
from reports.core.results import Claim, VariantComparison
from tests.calibration.harness import HORIZON, SEEN_BEFORE, Columns, Draw, Reading, Traffic, World
from tests.reports.core import worlds

KEY = "cart"


def bernoulli(*shares: float) -> Draw:
    """Let visitors of each variant convert with its share."""

    def draw(rng: np.random.Generator, variant: np.ndarray, when: np.ndarray) -> Columns:
        return {KEY: _did(rng, variant, shares)}

    return draw


def spending(buyers: float) -> Draw:
    """Amounts: few buy, and those who do spend log-normally."""

    def draw(rng: np.random.Generator, variant: np.ndarray, when: np.ndarray) -> Columns:
        amounts = rng.lognormal(3.0, 1.1, len(variant))
        return {KEY: np.where(rng.random(len(variant)) < buyers, amounts, 0.0)}

    return draw


def sessions(share: float, spread: float, more: float) -> Draw:
    """Orders in sessions: one session and `more` others on average, alike within a visitor because visitors differ."""

    def draw(rng: np.random.Generator, variant: np.ndarray, when: np.ndarray) -> Columns:
        visits = 1.0 + rng.poisson(more, len(variant))
        inclined = rng.beta(share * spread, (1 - share) * spread, len(variant))
        return {KEY: rng.binomial(visits.astype(int), inclined).astype(float), f"{KEY}.denominator": visits}

    return draw


def delayed(share: float, lags: tuple[float, float], window_days: float) -> Draw:
    """All variants convert alike within the window, after a lag of their own; what comes after the last day is not seen. Units: days."""

    def draw(rng: np.random.Generator, variant: np.ndarray, when: np.ndarray) -> Columns:
        lag = np.asarray(lags)[variant]
        # What the longer lag would carry beyond the window must not be a true effect.
        is_in_time = rng.random(len(variant)) < share / (1 - np.exp(-window_days / lag))
        delay = np.where(is_in_time, rng.exponential(lag), np.inf)
        return {KEY: (delay < np.minimum(window_days, _followed(when))).astype(float)}

    return draw


def hours_until(share: float, lags: tuple[float, float] = (4.0, 4.0)) -> Draw:
    """This share converts within 14 days after exponential lags; hours, NaN where it has not happened yet. Units: lags in days."""

    def draw(rng: np.random.Generator, variant: np.ndarray, when: np.ndarray) -> Columns:
        lag = np.asarray(lags)[variant]
        is_in_time = rng.random(len(variant)) < share / (1 - np.exp(-14 / lag))
        delay = np.where(is_in_time, rng.exponential(lag), np.inf)
        return {KEY: np.where(delay < np.minimum(14.0, _followed(when)), 24 * delay, np.nan)}

    return draw


def returning(new: float, again: float) -> Draw:
    """Four visitors in ten have been here before; they convert more and, the more active they were, spend more."""

    def draw(rng: np.random.Generator, variant: np.ndarray, when: np.ndarray) -> Columns:
        seen = rng.random(len(variant)) < 0.4
        views = np.where(seen, 1.0 + rng.poisson(3.0, len(variant)), 0.0)
        did = (rng.random(len(variant)) < np.where(seen, again, new)).astype(float)
        amounts = did * rng.lognormal(2.5, 0.6, len(variant)) * (1 + 0.3 * views)
        return {KEY: did, "spend": amounts, "before.activity view": views, SEEN_BEFORE: seen}

    return draw


def moody_days(share: float, spread: float) -> Draw:
    """Days on which everybody converts more or less: a factor a day, log-normal, the same for all variants."""

    def draw(rng: np.random.Generator, variant: np.ndarray, when: np.ndarray) -> Columns:
        mood = rng.lognormal(-0.5 * spread**2, spread, HORIZON)
        day = (when - worlds.microseconds(worlds.START)) // worlds.DAY_US
        return {KEY: (rng.random(len(variant)) < share * mood[day]).astype(float)}

    return draw


def with_bots(share: float, views: float, bot_views: float) -> Draw:
    """Counts of views, and a share of bots that view many times more."""

    def draw(rng: np.random.Generator, variant: np.ndarray, when: np.ndarray) -> Columns:
        mean = np.where(rng.random(len(variant)) < share, bot_views, views)
        return {KEY: rng.poisson(mean).astype(float)}

    return draw


def _followed(when: np.ndarray) -> np.ndarray:
    return (worlds.microseconds(worlds.at_day(HORIZON)) - when) / worlds.DAY_US


def _did(rng: np.random.Generator, variant: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    return (rng.random(len(variant)) < np.asarray(shares)[variant]).astype(float)


def _first(analysis: Analysis) -> VariantComparison:
    return analysis.metrics[0].comparisons[0]


def claims(analysis: Analysis) -> bool:
    """Whether any treatment is called better or worse."""
    return any(c.claim is not Claim.OPEN for c in analysis.metrics[0].comparisons)


def claims_any(claim: Claim) -> Callable[[Analysis], bool]:
    """Return whether this is claimed of any treatment."""
    return lambda analysis: any(c.claim is claim for c in analysis.metrics[0].comparisons)


def guardrail_is(outcome: GuardrailOutcome) -> Callable[[Analysis], bool]:
    def shows(analysis: Analysis) -> bool:
        found = _first(analysis).guardrail
        return found is not None and found.outcome is outcome

    return shows


def misses(effect: float) -> Callable[[Analysis], bool]:
    """Whether the interval does not hold the true effect: that of the stop where there was one, else that of the end."""

    def shows(analysis: Analysis) -> bool:
        comparison = _first(analysis)
        if comparison.stopped is not None:
            return comparison.stopped.interval.excludes(effect)
        assert isinstance(comparison.result, Comparison)
        return comparison.result.interval.excludes(effect)

    return shows


def split_is_doubted(analysis: Analysis) -> bool:
    return any(f.code == "sample_ratio" and f.severity is Severity.BLOCKING for f in analysis.findings)


def watched(*metrics: PlannedMetric, **weights: float) -> AnalysisPlan:
    """Return the plan of a four-week experiment with a look every day from day 7 on."""
    return worlds.plan(*metrics, weights=weights or None, is_imported=False, horizon_days=HORIZON)


def without_end(*metrics: PlannedMetric, **weights: float) -> AnalysisPlan:
    """Return the plan of an experiment that a confidence sequence watches, sharpest at four weeks of these visitors."""
    return worlds.plan(
        *metrics, weights=weights or None, is_imported=False, has_no_end=True, planned_visitors=400 * HORIZON
    )


CART = worlds.metric(KEY, window_hours=24)
SPEND = worlds.metric(KEY, kind="value_sum", window_hours=24)
RATE = worlds.metric(KEY, kind="ratio", denominator_event="sessions", window_hours=24)
BASKET = worlds.metric("spend", kind="value_sum", window_hours=24)
VIEWS = worlds.metric(KEY, kind="event_count", window_hours=24)
SLOW = worlds.metric(KEY, window_hours=21 * 24)
TIMES = worlds.metric(KEY, kind="time_to_event", window_hours=14 * 24)
GUARD = worlds.macro_guardrail(KEY, 0.2, window_hours=24)

EVEN = Traffic((200, 200))
ANY = Reading("claims something, any look", claims, 0.05)
ANY_AT_MOST = Reading("claims something, any look", claims, 0.05, low=0.0)
WIN = Reading("claims a win, any look", claims_any(Claim.BETTER), 0.025)
WIN_AT_MOST = Reading("claims a win, any look", claims_any(Claim.BETTER), 0.025, low=0.0)
LOSS = Reading("claims a loss, any look", claims_any(Claim.WORSE), 0.025)
# Wins of a family by Holm, two-sided at 5 % in all; losses one-sided at 5 % in all (STATISTICS section 8). Neither uses that all
# variants are compared with one control, so a little is left over.
SEVERAL = (
    Reading("claims a win of any variant, any look", claims_any(Claim.BETTER), 0.025, low=0.0),
    Reading("claims a loss of any variant, any look", claims_any(Claim.WORSE), 0.05, low=0.0),
)
# A repeated interval, shown when nothing stopped, is wider than it had to be.
MISSES_NOTHING = Reading("the interval at stop or end misses 0", misses(0.0), 0.05, low=0.0)

WORLDS: tuple[World, ...] = (
    World("5 % convert, no effect", watched(CART), EVEN, bernoulli(0.05, 0.05), (ANY, WIN, LOSS, MISSES_NOTHING)),
    World("1 % convert, no effect", watched(CART), EVEN, bernoulli(0.01, 0.01), (ANY, WIN, LOSS)),
    World(
        "30 % convert, half the visitors at weekends, no effect",
        watched(CART),
        Traffic((200, 200), weekdays=(1, 1, 1, 1, 1, 0.5, 0.5)),
        bernoulli(0.3, 0.3),
        (ANY, WIN, LOSS),
    ),
    World(
        "split 90/10, 1 % convert, no effect",
        watched(CART, control=0.9, treatment=0.1),
        Traffic((360, 40)),
        bernoulli(0.01, 0.01),
        (ANY_AT_MOST,),
    ),
    World(
        "no planned end, 1 % convert, no effect",
        without_end(CART),
        EVEN,
        bernoulli(0.01, 0.01),
        (ANY_AT_MOST,),
    ),
    World(
        "no planned end, split 90/10, 1 % convert, no effect",
        without_end(CART, control=0.9, treatment=0.1),
        Traffic((360, 40)),
        bernoulli(0.01, 0.01),
        (ANY_AT_MOST,),
    ),
    World(
        "three variants, 5 % convert, no effect",
        watched(CART, control=1 / 3, a=1 / 3, b=1 / 3),
        Traffic((150, 150, 150)),
        bernoulli(0.05, 0.05, 0.05),
        SEVERAL,
    ),
    World(
        "five variants, 5 % convert, no effect",
        watched(CART, control=0.2, a=0.2, b=0.2, c=0.2, d=0.2),
        Traffic((60, 60, 60, 60, 60)),
        bernoulli(0.05, 0.05, 0.05, 0.05, 0.05),
        SEVERAL,
    ),
    World(
        "20 % convert within three weeks, the treatment only sooner",
        watched(SLOW),
        EVEN,
        delayed(0.2, (4.0, 2.0), 21.0),
        (WIN_AT_MOST,),
    ),
    World(
        "Kaplan-Meier, 5 % convert, no effect",
        watched(TIMES),
        Traffic((100, 100)),
        hours_until(0.05),
        (ANY,),
        in_tests=1000,
    ),
    World(
        "Kaplan-Meier, split 90/10, 2 % convert, no effect",
        watched(TIMES, control=0.9, treatment=0.1),
        Traffic((180, 20)),
        hours_until(0.02),
        (ANY_AT_MOST,),
        in_tests=1000,
    ),
    World(
        "Kaplan-Meier, 20 % convert, the treatment only sooner",
        watched(TIMES),
        Traffic((100, 100)),
        hours_until(0.2, (4.0, 2.0)),
        (WIN_AT_MOST,),
        in_tests=1000,
    ),
    World("amounts, 10 % buy, no effect", watched(SPEND), EVEN, spending(0.1), (ANY,)),
    World(
        "orders per session, 2.5 sessions a visitor, no effect", watched(RATE), EVEN, sessions(0.1, 3.0, 1.5), (ANY,)
    ),
    World("counts, 5 % bots with 50 views each, no effect", watched(VIEWS), EVEN, with_bots(0.05, 2.0, 50.0), (ANY,)),
    World("5 % convert on days that differ, no effect", watched(CART), EVEN, moody_days(0.05, 0.4), (ANY,)),
    World(
        "40 % returning, which the plan takes into account, 5 % convert, no effect",
        replace(watched(CART), covariates=(covariate_from_text("returning"),)),
        EVEN,
        returning(0.02, 0.095),
        (ANY,),
    ),
    World(
        "amounts, activity before in the plan, 10 % buy, no effect",
        replace(watched(BASKET), covariates=(covariate_from_text("activity view"),)),
        EVEN,
        returning(0.06, 0.16),
        (ANY,),
    ),
    World(
        "purchase 20 % down, which is its margin",
        watched(GUARD),
        EVEN,
        bernoulli(0.05, 0.04),
        # A part of the 5 % has been spent at the looks before the last.
        (Reading("the guardrail is SAFE at the end", guardrail_is(GuardrailOutcome.SAFE), 0.05, low=0.0),),
    ),
    World(
        "purchase as before",
        watched(GUARD),
        EVEN,
        bernoulli(0.05, 0.05),
        # SAFE comes first when both hold, so a HARM that is SAFE as well is not counted.
        (Reading("the guardrail is HARM, any look", guardrail_is(GuardrailOutcome.HARM), 0.05, low=0.0),),
    ),
    World(
        # 0.78 is the power of the daily O'Brien-Fleming test at the fixed-horizon sample; 27 of 28 days are matured.
        "5 % to 6.22 %, what a fixed test finds with 80 %",
        watched(CART),
        Traffic((207, 207)),
        bernoulli(0.05, 0.0622),
        (
            Reading("claims a win, any look", claims_any(Claim.BETTER), 0.78),
            Reading("the interval at stop or end misses the truth", misses(0.0122), 0.05, low=0.0),
        ),
    ),
    World(
        "one look, 5 % to 8 %, 560 a variant",
        worlds.plan(worlds.metric(KEY)),
        Traffic((20, 20)),
        bernoulli(0.05, 0.08),
        (Reading("the 95 % interval misses the truth", misses(0.03), 0.05),),
    ),
    World(
        "one look at amounts, 10 % buy, no effect",
        worlds.plan(worlds.metric(KEY, kind="value_sum")),
        Traffic((100, 100)),
        spending(0.1),
        (Reading("claims something", claims, 0.05),),
    ),
    World(
        "visitors split by chance, as planned",
        watched(CART),
        Traffic((50, 50)),
        bernoulli(0.1, 0.1),
        # At most 1 in 100 by the e-process over the days, and 1 in 1,000 by chi-square at the end.
        (Reading("the split is called broken, any look", split_is_doubted, 0.011, low=0.0), ANY),
    ),
)


def world_named(start: str) -> World:
    """Return the one world whose name begins like this."""
    (found,) = (world for world in WORLDS if world.name.startswith(start))
    return found
