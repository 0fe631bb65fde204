"""A simulated shop: visitors arrive, meet variants, walk down the funnel and leave events, all by one seeded generator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.core.shop import Shop, SimulatedExperiment, Trait

MICROSECONDS_PER_MINUTE = 60_000_000
MICROSECONDS_PER_DAY = 24 * 60 * MICROSECONDS_PER_MINUTE
NOT_IN = -1  # the variant index of a visitor who is not in the experiment

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

# Share of a day's visits by local hour: quiet nights, a small peak at lunch, the large one in the evening.
HOURS = (10, 6, 4, 3, 3, 5, 10, 20, 32, 42, 48, 52, 56, 52, 48, 48, 50, 54, 60, 68, 74, 70, 48, 25)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Who came, and when.

    Shapes: `device` and `source` are (visitors,), indexes of the shop's traits; `visit_visitor` and `visit_time` are
    (visits,), sorted by time. Units: microseconds since 1970 UTC.
    """

    device: IntArray
    source: IntArray
    visit_visitor: IntArray
    visit_time: IntArray

    @property
    def visitors(self) -> int:
        return len(self.device)


@dataclass(frozen=True, slots=True)
class Meetings:
    """The visitors of one experiment and their first visit while it ran. Shapes: both (meetings,), sorted by time."""

    visitor: IntArray
    time: IntArray


@dataclass(frozen=True, slots=True)
class Actions:
    """What visitors did. Shapes: all (actions,), sorted by time; `value` is NaN where the event carries none."""

    visitor: IntArray
    visit: IntArray
    event: IntArray
    time: IntArray
    value: FloatArray


@dataclass(frozen=True, slots=True)
class Traffic:
    """All that happened. Shapes: `variants[key]` is (visitors,), `NOT_IN` outside; `recorded[key]` is (meetings,)."""

    shop: Shop
    arrivals: Arrivals
    meetings: Mapping[str, Meetings]
    variants: Mapping[str, IntArray]
    recorded: Mapping[str, NDArray[np.bool_]]
    actions: Actions


def simulate(shop: Shop, rng: np.random.Generator) -> Traffic:
    """Play the whole shop with variants drawn by weight; the same seed gives the same traffic."""
    arrivals = arrive(shop, rng)
    meetings = {e.key: meet(shop, arrivals, e) for e in shop.experiments}
    variants = {e.key: draw_variants(e, arrivals, meetings[e.key], rng) for e in shop.experiments}
    recorded = {e.key: record(e, meetings[e.key], variants[e.key], rng) for e in shop.experiments}
    return Traffic(shop, arrivals, meetings, variants, recorded, behave(shop, arrivals, variants, rng))


def arrive(shop: Shop, rng: np.random.Generator) -> Arrivals:
    """Draw the visitors day by day (Poisson, by weekday), their traits, and their later visits."""
    first_weekday = (shop.start // MICROSECONDS_PER_DAY + 3) % 7  # 1 January 1970 was a Thursday
    days = np.arange(shop.days)
    expected = shop.visitors_per_day * np.asarray(shop.weekday_factors)[(first_weekday + days) % 7]
    day = np.repeat(days, rng.poisson(expected))
    hours = np.asarray(HOURS, dtype=np.float64)
    hour = rng.choice(24, size=len(day), p=hours / hours.sum())
    within_hour = rng.integers(0, 60 * MICROSECONDS_PER_MINUTE, size=len(day))
    first = np.sort(shop.start + day * MICROSECONDS_PER_DAY + hour * 60 * MICROSECONDS_PER_MINUTE + within_hour)

    visitor, time = np.arange(len(first)), first
    visitors, times = [visitor], [time]
    while len(visitor):
        returns = rng.random(len(visitor)) < shop.return_rate
        visitor = visitor[returns]
        gap = rng.exponential(shop.return_gap_days * MICROSECONDS_PER_DAY, size=len(visitor)).astype(np.int64)
        time = time[returns] + gap
        here = time < shop.start + shop.days * MICROSECONDS_PER_DAY
        visitor, time = visitor[here], time[here]
        visitors.append(visitor)
        times.append(time)
    visit_visitor, visit_time = np.concatenate(visitors), np.concatenate(times)
    order = np.argsort(visit_time, kind="stable")
    return Arrivals(
        device=_draw_traits(shop.devices, len(first), rng),
        source=_draw_traits(shop.sources, len(first), rng),
        visit_visitor=visit_visitor[order],
        visit_time=visit_time[order],
    )


def meet(shop: Shop, arrivals: Arrivals, experiment: SimulatedExperiment) -> Meetings:
    """Find every visitor's first visit while the experiment ran."""
    running = _is_running(shop, experiment, arrivals.visit_time)
    visitor, time = arrivals.visit_visitor[running], arrivals.visit_time[running]
    _, first = np.unique(visitor, return_index=True)
    first = np.sort(first)
    return Meetings(visitor=visitor[first], time=time[first])


def draw_variants(
    experiment: SimulatedExperiment, arrivals: Arrivals, meetings: Meetings, rng: np.random.Generator
) -> IntArray:
    """Assign the visitors who meet an experiment by weight. Shapes: (visitors,)."""
    weights = np.asarray([v.weight for v in experiment.variants])
    variants = np.full(arrivals.visitors, NOT_IN, dtype=np.int64)
    variants[meetings.visitor] = rng.choice(len(weights), size=len(meetings.visitor), p=weights / weights.sum())
    return variants


def record(
    experiment: SimulatedExperiment, meetings: Meetings, variants: IntArray, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Say which meetings leave an exposure: those with a variant, less the share that the variant loses."""
    variant = variants[meetings.visitor]
    lost = np.asarray([v.lost_exposures for v in experiment.variants] + [0.0])[variant]
    kept: NDArray[np.bool_] = (variant != NOT_IN) & (rng.random(len(variant)) >= lost)
    return kept


def behave(shop: Shop, arrivals: Arrivals, variants: Mapping[str, IntArray], rng: np.random.Generator) -> Actions:
    """Let every visit walk down the funnel, with the variants its visitor meets while they run.

    Shapes: `variants[key]` is (visitors,), the index of the variant or `NOT_IN`.
    """
    visits = len(arrivals.visit_time)
    traits = _step_factors(shop.devices, arrivals.device) * _step_factors(shop.sources, arrivals.source)
    every_step = traits[arrivals.visit_visitor]
    depth = np.zeros(visits, dtype=np.int64)
    found: list[tuple[int, IntArray, IntArray]] = []

    alive = np.arange(visits)
    clock = arrivals.visit_time.copy()
    for index, step in enumerate(shop.funnel):
        factor = every_step[alive] * _variant_factors(shop, arrivals, variants, step.event, alive)
        alive = alive[rng.random(len(alive)) < step.rate * factor]
        clock[alive] += _lags(step.lag_minutes, step.lag_spread, len(alive), rng)
        depth[alive] = index + 1
        found.append((index, alive, clock[alive].copy()))
    everyone = np.arange(visits)
    for index, action in enumerate(shop.side_actions, start=len(shop.funnel)):
        rate = np.asarray(action.rates)[depth] * _variant_factors(shop, arrivals, variants, action.event, everyone)
        doing = everyone[rng.random(visits) < rate]
        found.append((index, doing, arrivals.visit_time[doing] + _lags(action.lag_minutes, 0.8, len(doing), rng)))
    return _collect(shop, arrivals, variants, found, rng)


def _collect(
    shop: Shop,
    arrivals: Arrivals,
    variants: Mapping[str, IntArray],
    found: list[tuple[int, IntArray, IntArray]],
    rng: np.random.Generator,
) -> Actions:
    event = np.concatenate([np.full(len(visit), index) for index, visit, _ in found])
    visit = np.concatenate([visit for _, visit, _ in found])
    time = np.concatenate([time for _, _, time in found])
    orders = event == len(shop.funnel) - 1
    value = np.full(len(event), np.nan)
    amounts = shop.value_median * np.exp(shop.value_spread * rng.standard_normal(int(orders.sum())))
    value[orders] = np.round(amounts * _value_factors(shop, arrivals, variants, visit[orders]), 2)
    # What would happen after the last day has not happened yet.
    order = np.argsort(time, kind="stable")
    order = order[time[order] < shop.start + shop.days * MICROSECONDS_PER_DAY]
    return Actions(arrivals.visit_visitor[visit[order]], visit[order], event[order], time[order], value[order])


def _is_running(shop: Shop, experiment: SimulatedExperiment, time: IntArray) -> NDArray[np.bool_]:
    start = shop.start + round(experiment.start_day * MICROSECONDS_PER_DAY)
    end_day = shop.days if experiment.end_day is None else experiment.end_day
    return (time >= start) & (time < shop.start + round(end_day * MICROSECONDS_PER_DAY))


def _variant_of(
    shop: Shop, arrivals: Arrivals, variants: Mapping[str, IntArray], experiment: SimulatedExperiment, visit: IntArray
) -> IntArray:
    variant = variants[experiment.key][arrivals.visit_visitor[visit]]
    return np.where(_is_running(shop, experiment, arrivals.visit_time[visit]), variant, NOT_IN)


def _variant_factors(
    shop: Shop, arrivals: Arrivals, variants: Mapping[str, IntArray], event: str, visit: IntArray
) -> FloatArray:
    factors = np.ones(len(visit))
    for experiment in shop.experiments:
        # The last entry is what NOT_IN (-1) picks: no effect.
        table = np.asarray([v.factors.get(event, 1.0) for v in experiment.variants] + [1.0])
        if (table != 1).any():
            factors *= table[_variant_of(shop, arrivals, variants, experiment, visit)]
    return factors


def _value_factors(shop: Shop, arrivals: Arrivals, variants: Mapping[str, IntArray], visit: IntArray) -> FloatArray:
    factors = np.ones(len(visit))
    for experiment in shop.experiments:
        table = np.asarray([v.value_factor for v in experiment.variants] + [1.0])
        factors *= table[_variant_of(shop, arrivals, variants, experiment, visit)]
    return factors


def _draw_traits(traits: tuple[Trait, ...], visitors: int, rng: np.random.Generator) -> IntArray:
    shares = np.asarray([t.share for t in traits])
    return rng.choice(len(traits), size=visitors, p=shares / shares.sum()).astype(np.int64)


def _step_factors(traits: tuple[Trait, ...], index: IntArray) -> FloatArray:
    return np.asarray([t.step_factor for t in traits])[index]


def _lags(median_minutes: float, spread: float, count: int, rng: np.random.Generator) -> IntArray:
    lags = median_minutes * np.exp(spread * rng.standard_normal(count))
    return (lags * MICROSECONDS_PER_MINUTE).astype(np.int64)
