"""How often the analysis is wrong: replicates of known worlds through `analyse()` itself.

`python -m tests.calibration REPLICATES` prints a table; the tests run a few replicates of each scenario.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from experiments.core.plan import AnalysisPlan
from reports.core.analyse import Analysis, analyse
from reports.core.methods.base import Comparison
from reports.core.methods.noninferiority import GuardrailOutcome
from reports.core.results import Claim
from tests.reports.core import worlds
from tracking.core.totals import VisitorTotals

HORIZON = 28

Draw = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Visitors who arrive evenly in the order of the plan's variants. Units: `per_day` (control, treatment)."""

    per_day: tuple[int, int]
    days: int = HORIZON

    def arrivals(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (variant, first exposure). Shapes: both (visitors,)."""
        variant, when = [], []
        for day in range(self.days):
            for index, count in enumerate(self.per_day):
                variant.append(np.full(count, index))
                when.append(worlds.microseconds(worlds.at_day(day)) + np.arange(count) * (worlds.DAY_US // count))
        return np.concatenate(variant), np.concatenate(when)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A world with a known truth, and the event whose rate is measured.

    `draw` gives each visitor's value from (generator, variant, first exposure); `shows` says whether an analysis shows the
    event. `expected` is the nominal rate; `is_upper_limit` marks rates that may be lower; `quick` is how many replicates the
    tests run.
    """

    name: str
    plan: AnalysisPlan
    traffic: Traffic
    draw: Draw
    shows: Callable[[Analysis], bool]
    expected: float
    is_upper_limit: bool = False
    quick: int = 20

    def replicate(self, rng: np.random.Generator, variant: np.ndarray, when: np.ndarray) -> bool:
        key = self.plan.metrics[0].metric.key
        people = worlds.totals(("control", "treatment"), variant, {key: self.draw(rng, variant, when)}, when)
        return self.shows(analyse(self.plan, people, _exposures(people), as_of=worlds.at_day(self.traffic.days)))


def _exposures(people: VisitorTotals):  # type: ignore[no-untyped-def]
    return worlds.exposures_of(people)


def rate(scenario: Scenario, replicates: int, seed: int) -> float:
    """Return the share of replicates that show the event."""
    rng = np.random.default_rng(seed)
    variant, when = scenario.traffic.arrivals()
    return sum(scenario.replicate(rng, variant, when) for _ in range(replicates)) / replicates


def limits(expected: float, replicates: int) -> tuple[float, float]:
    """Return the rates between which a calibrated scenario lies in 999 of 1,000 runs."""
    low, high = stats.binom.ppf([0.0005, 0.9995], replicates, expected) / replicates
    return float(low), float(high)


def bernoulli(control: float, treatment: float) -> Draw:
    return lambda rng, variant, when: (rng.random(len(variant)) < np.where(variant == 1, treatment, control)).astype(
        float
    )


def revenue(buyers: float) -> Draw:
    def draw(rng: np.random.Generator, variant: np.ndarray, when: np.ndarray) -> np.ndarray:
        amount = rng.lognormal(3.0, 1.1, len(variant))
        return np.where(rng.random(len(variant)) < buyers, amount, 0.0)

    return draw


def sooner(share: float, lag_control: float, lag_treatment: float, window_days: float) -> Draw:
    """Everybody converts alike in the end, the treatment only sooner; what has not happened by the last day is not seen."""

    def draw(rng: np.random.Generator, variant: np.ndarray, when: np.ndarray) -> np.ndarray:
        lag = np.where(variant == 1, lag_treatment, lag_control)
        delay = np.where(rng.random(len(variant)) < share, rng.exponential(lag), np.inf)
        followed = (worlds.microseconds(worlds.at_day(HORIZON)) - when) / worlds.DAY_US
        return (delay < np.minimum(window_days, followed)).astype(float)

    return draw


def hours_until(control: float, treatment: float, lag_control: float = 4.0, lag_treatment: float = 4.0) -> Draw:
    """These shares convert within 14 days, after exponential lags in days; hours, NaN where it has not happened yet."""

    def draw(rng: np.random.Generator, variant: np.ndarray, when: np.ndarray) -> np.ndarray:
        lag = np.where(variant == 1, lag_treatment, lag_control)
        share = np.where(variant == 1, treatment, control) / (1 - np.exp(-14 / lag))
        delay = np.where(rng.random(len(variant)) < share, rng.exponential(lag), np.inf)
        followed = (worlds.microseconds(worlds.at_day(HORIZON)) - when) / worlds.DAY_US
        return np.where(delay < np.minimum(14.0, followed), 24 * delay, np.nan)

    return draw


def claims(analysis: Analysis) -> bool:
    return analysis.metrics[0].comparisons[0].claim is not Claim.OPEN


def claims_better(analysis: Analysis) -> bool:
    return analysis.metrics[0].comparisons[0].claim is Claim.BETTER


def is_safe(analysis: Analysis) -> bool:
    guardrail = analysis.metrics[0].comparisons[0].guardrail
    return guardrail is not None and guardrail.outcome is GuardrailOutcome.SAFE


def misses(effect: float) -> Callable[[Analysis], bool]:
    """Say that the interval of a finished experiment does not hold the true effect."""

    def shows(analysis: Analysis) -> bool:
        result = analysis.metrics[0].comparisons[0].result
        assert isinstance(result, Comparison)
        return result.interval.excludes(effect)

    return shows


def _watched(weights: tuple[float, float] = (0.5, 0.5)) -> AnalysisPlan:
    return worlds.plan(
        worlds.metric("cart", window_hours=24),
        weights={"control": weights[0], "treatment": weights[1]},
        is_imported=False,
        horizon_days=HORIZON,
    )


def _without_end(weights: tuple[float, float] = (0.5, 0.5)) -> AnalysisPlan:
    return worlds.plan(
        worlds.metric("cart", window_hours=24),
        weights={"control": weights[0], "treatment": weights[1]},
        is_imported=False,
        has_no_end=True,
        planned_visitors=11_200,
    )


def _followed(weights: tuple[float, float] = (0.5, 0.5)) -> AnalysisPlan:
    return worlds.plan(
        worlds.metric("cart", kind="time_to_event", window_hours=14 * 24),
        weights={"control": weights[0], "treatment": weights[1]},
        is_imported=False,
        horizon_days=HORIZON,
    )


FINISHED = worlds.plan(worlds.metric("cart"))
SPEND = worlds.plan(worlds.metric("spend", kind="value_sum"))
GUARDED = worlds.plan(worlds.macro_guardrail("purchase", 0.2))

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("any look, 5 %, no effect", _watched(), Traffic((200, 200)), bernoulli(0.05, 0.05), claims, 0.05),
    Scenario("any look, 1 %, no effect", _watched(), Traffic((200, 200)), bernoulli(0.01, 0.01), claims, 0.05),
    Scenario(
        "any look, 90/10, 1 %, no effect",
        _watched((0.9, 0.1)),
        Traffic((360, 40)),
        bernoulli(0.01, 0.01),
        claims,
        0.05,
        is_upper_limit=True,
    ),
    Scenario(
        "no planned end, any look, 1 %, no effect",
        _without_end(),
        Traffic((200, 200)),
        bernoulli(0.01, 0.01),
        claims,
        0.05,
        is_upper_limit=True,
    ),
    Scenario(
        "no planned end, any look, 90/10, 1 %, no effect",
        _without_end((0.9, 0.1)),
        Traffic((360, 40)),
        bernoulli(0.01, 0.01),
        claims,
        0.05,
        is_upper_limit=True,
    ),
    Scenario(
        "win side only, 5 %, no effect", _watched(), Traffic((200, 200)), bernoulli(0.05, 0.05), claims_better, 0.025
    ),
    Scenario(
        # 0.78 is the power of the daily O'Brien-Fleming test at the fixed-horizon sample; 27 of 28 days are matured.
        "power at the fixed-test effect, 5 %",
        _watched(),
        Traffic((207, 207)),
        bernoulli(0.05, 0.0622),
        claims_better,
        0.78,
        quick=10,
    ),
    Scenario(
        "variant that only converts sooner",
        worlds.plan(worlds.metric("cart", window_hours=21 * 24), is_imported=False, horizon_days=HORIZON),
        Traffic((200, 200)),
        sooner(0.2, lag_control=4.0, lag_treatment=2.0, window_days=21.0),
        claims_better,
        0.025,
        is_upper_limit=True,
    ),
    Scenario(
        "Kaplan-Meier, any look, 5 %, no effect",
        _followed(),
        Traffic((100, 100)),
        hours_until(0.05, 0.05),
        claims,
        0.05,
        quick=6,
    ),
    Scenario(
        "Kaplan-Meier, any look, 90/10, 2 %, no effect",
        _followed((0.9, 0.1)),
        Traffic((180, 20)),
        hours_until(0.02, 0.02),
        claims,
        0.05,
        is_upper_limit=True,
        quick=6,
    ),
    Scenario(
        "Kaplan-Meier, variant that only converts sooner",
        _followed(),
        Traffic((100, 100)),
        hours_until(0.2, 0.2, lag_treatment=2.0),
        claims_better,
        0.025,
        is_upper_limit=True,
        quick=6,
    ),
    Scenario("interval misses, 5 %", FINISHED, Traffic((20, 20)), bernoulli(0.05, 0.08), misses(0.03), 0.05),
    Scenario("revenue, no effect", SPEND, Traffic((100, 100)), revenue(0.1), claims, 0.05),
    Scenario(
        "guardrail SAFE at a true drop of its margin",
        GUARDED,
        Traffic((200, 200)),
        bernoulli(0.05, 0.04),
        is_safe,
        0.05,
    ),
)


def main(arguments: Sequence[str]) -> int:
    replicates = int(arguments[0]) if arguments else 200
    print(f"| scenario | measured | nominal | limits ({replicates} replicates) |\n|---|---|---|---|")
    for number, scenario in enumerate(SCENARIOS):
        low, high = limits(scenario.expected, replicates)
        found = rate(scenario, replicates, seed=number + 1)
        print(f"| {scenario.name} | {found:.4f} | {scenario.expected} | {low:.4f}-{high:.4f} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
