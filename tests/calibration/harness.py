"""How often something happens in a world with a known truth: replicates of it through `analyse()` itself."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from experiments.core.plan import AnalysisPlan
from reports.core.analyse import Analysis, analyse
from tests.reports.core import worlds
from tracking.core.totals import DailyExposures, VisitorTotals

HORIZON = 28

# The name under which a draw says who had been seen before the first exposure.
SEEN_BEFORE = "seen before"

Columns = Mapping[str, np.ndarray]
Draw = Callable[[np.random.Generator, np.ndarray, np.ndarray], Columns]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Visitors who arrive evenly over the day, in the order of the plan's variants.

    `weekdays` are factors of the seven days, repeated. Units: `per_day` visitors of each variant.
    """

    per_day: tuple[int, ...]
    days: int = HORIZON
    weekdays: tuple[float, ...] = (1.0,)

    def arrivals(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (variant, first exposure). Shapes: both (visitors,)."""
        variant, when = [], []
        for day in range(self.days):
            factor = self.weekdays[day % len(self.weekdays)]
            for index, usual in enumerate(self.per_day):
                count = round(usual * factor)
                variant.append(np.full(count, index))
                when.append(worlds.microseconds(worlds.at_day(day)) + np.arange(count) * (worlds.DAY_US // count))
        return np.concatenate(variant), np.concatenate(when)


@dataclass(frozen=True, slots=True)
class Reading:
    """Something that an analysis may show, and how often it should.

    `expected` is the nominal rate; `low` and `high` replace the binomial limits around it: an upper limit alone has
    `low=0`, where the rule promises "at most".
    """

    name: str
    shows: Callable[[Analysis], bool]
    expected: float
    low: float | None = None
    high: float | None = None

    def limits(self, replicates: int) -> tuple[float, float]:
        low, high = limits(self.expected, replicates)
        return (low if self.low is None else self.low, high if self.high is None else self.high)


@dataclass(frozen=True, slots=True)
class World:
    """A truth, and what is read off each analysis of it.

    `draw` gives each visitor's columns from (generator, variant, first exposure). `is_split_by_chance` draws the variants
    too, where otherwise the split is exact. `in_tests` is how many replicates every test run makes.
    """

    name: str
    plan: AnalysisPlan
    traffic: Traffic
    draw: Draw
    readings: tuple[Reading, ...]
    in_tests: int = 2000
    is_split_by_chance: bool = False

    @property
    def seed(self) -> int:
        """A seed of its own, whatever worlds stand beside it."""
        return zlib.crc32(self.name.encode())

    def analyses(self, replicates: int, seed: int) -> list[tuple[bool, ...]]:
        """Return for each replicate which of the readings it shows."""
        rng = np.random.default_rng(seed)
        arrived, when = self.traffic.arrivals()
        return [self._replicate(rng, arrived, when) for _ in range(replicates)]

    def _replicate(self, rng: np.random.Generator, arrived: np.ndarray, when: np.ndarray) -> tuple[bool, ...]:
        names = tuple(v.key for v in self.plan.variants)
        variant = rng.integers(0, len(names), len(arrived)) if self.is_split_by_chance else arrived
        columns = dict(self.draw(rng, variant, when))
        seen_before = columns.pop(SEEN_BEFORE, None)
        people = replace(worlds.totals(names, variant, columns, when), seen_before=seen_before)
        exposures = worlds.exposures_of(people)
        if self.is_split_by_chance:
            exposures = replace(exposures, daily=_daily(people))
        analysis = analyse(self.plan, people, exposures, as_of=worlds.at_day(self.traffic.days))
        return tuple(reading.shows(analysis) for reading in self.readings)


@dataclass(frozen=True, slots=True)
class Found:
    """A reading with the rate at which it was seen, and where a calibrated product lies in 999 of 1,000 runs."""

    reading: Reading
    replicates: int
    rate: float

    @property
    def limits(self) -> tuple[float, float]:
        return self.reading.limits(self.replicates)

    @property
    def is_inside(self) -> bool:
        low, high = self.limits
        return low <= self.rate <= high


def measure(world: World, replicates: int, seed: int) -> tuple[Found, ...]:
    """Run a world and return how often each of its readings was seen."""
    shown = np.array(world.analyses(replicates, seed), dtype=float)
    rates = shown.mean(axis=0)
    return tuple(Found(reading, replicates, float(rate)) for reading, rate in zip(world.readings, rates, strict=True))


def limits(expected: float, replicates: int) -> tuple[float, float]:
    """Return the rates between which a calibrated world lies in 999 of 1,000 runs. Source: STATISTICS section 11."""
    low, high = stats.binom.ppf([0.0005, 0.9995], replicates, expected) / replicates
    return float(low), float(high)


def _daily(people: VisitorTotals) -> DailyExposures:
    day = (people.first_exposure - people.first_exposure.min()) // worlds.DAY_US
    counts = np.stack(
        [np.bincount(day[people.variant == i], minlength=int(day.max()) + 1) for i in range(len(people.variants))]
    )
    return DailyExposures(
        tuple(str(worlds.at_day(int(number)).date()) for number in range(counts.shape[1])),
        tuple(tuple(int(n) for n in row) for row in counts.T),
    )
