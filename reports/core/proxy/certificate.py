"""The certificate: what the engine will do with an experiment on this site, found out before it starts.

This site's step rates, traffic, looks and windows are simulated under truths of interest, and every simulated look goes through
the same `weigh` and `conditions` that decide the experiment. Beside it stands what a test of the macro conversion alone would do
with the same visitors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from experiments.core.plan import LearnedPrior
from reports.core.proxy.classes import Prior, step_weights
from reports.core.proxy.engine import weigh
from reports.core.proxy.funnel import effects_of
from reports.core.proxy.judging import believed
from reports.core.proxy.verdict import (
    LEAST_MACRO,
    LEAST_MACRO_PER_VARIANT,
    MACRO_ALPHA,
    ProxyState,
    conditions,
    preset_named,
)
from reports.core.sequential.bounds import efficacy_bounds
from reports.core.sequential.design import Schedule

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

ENGINE_VERSION = 2  # counted up when the engine decides otherwise on the same counts
REPLICATES = 600
LEAST_POWER = 0.30  # chance to ship the gain, below which the test is not worth running
BAIT_LOSS, HARM_LOSS = 0.05, 0.10
HIGHEST_RATE = 0.98
DAYS_A_WEEK = 7
MACRO_LEVEL, MACRO_POWER = 0.05, 0.8


class TruthKey(StrEnum):
    """What the variant may really do. CURIOSITY: the micro conversion gains as in GAIN and the macro stays; BAIT: it falls by 5 %."""

    GAIN = "gain"
    NOTHING = "nothing"
    CURIOSITY = "curiosity"
    BAIT = "bait"
    HARM = "harm"


@dataclass(frozen=True, slots=True)
class CertificateQuestion:
    """What is simulated.

    `reach` is the share of exposed visitors who get as far as each step, the macro conversion last; `maturity_days` how long each
    step is waited for; `per_week` exposed visitors of all variants; `weights` the shares of the variants, the control first;
    `target_step` (from 1) where the change aims, None for nowhere in particular; `gain` the smallest relative macro lift worth
    shipping; `learned` what finished experiments make the engine believe. Units: `pass_through` is the share of a micro gain that
    reaches the macro in what is played.
    """

    reach: tuple[float, ...]
    per_week: float
    weeks: int
    gain: float = 0.10
    weights: tuple[float, ...] = (0.5, 0.5)
    maturity_days: tuple[float, ...] = ()
    look_every_days: int = 1
    preset: str = "balanced"
    change_type: str = ""
    target_step: int | None = None
    pass_through: float = 0.8
    learned: LearnedPrior | None = None

    def __post_init__(self) -> None:
        falling = all(a >= b for a, b in zip(self.reach, self.reach[1:], strict=False))
        if not self.reach or not falling or not 0 < self.reach[-1] <= self.reach[0] <= 1:
            raise ValueError(
                f"Each step is reached by a part of those before it, and the last by somebody: {self.reach}."
            )
        if len(self.weights) < 2 or min(self.weights) <= 0 or abs(sum(self.weights) - 1) > 1e-9:
            raise ValueError(f"The weights of two variants or more add up to 1: {self.weights}.")
        if self.maturity_days and len(self.maturity_days) != len(self.reach):
            raise ValueError(f"{len(self.reach)} steps have as many windows, not {len(self.maturity_days)}.")
        if not (self.per_week > 0 and self.weeks >= 1 and self.gain > 0 and 0 < self.pass_through <= 1):
            raise ValueError("Visitors, weeks and the gain are above 0, the pass-through at most 1.")
        if self.target_step is not None and not 1 <= self.target_step <= len(self.reach):
            raise ValueError(f"A funnel of {len(self.reach)} steps has no step {self.target_step} to aim at.")

    @property
    def rates(self) -> FloatArray:
        """The share that goes on from the step before. Shapes: (steps,)."""
        rates: FloatArray = np.asarray(self.reach) / np.concatenate([[1.0], self.reach[:-1]])
        return rates

    @property
    def waits(self) -> IntArray:
        """Whole days until each step may be counted, never fewer than for the step before. Shapes: (steps,)."""
        days = np.ceil(self.maturity_days or (0.0,) * len(self.reach)).astype(np.int64)
        result: IntArray = np.maximum.accumulate(days)
        return result

    @property
    def prior(self) -> Prior:
        return believed(self.change_type, self.learned, self.target_step)

    def hash(self) -> str:
        """Return the sha256 of the inputs and the engine's version, in hex."""
        text = json.dumps({**asdict(self), "engine": ENGINE_VERSION}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class TruthOutcome:
    """What the engine did under one truth.

    `states` are shares of the replicates by how they ended; `macro_ship` and `macro_weeks` those of the test of the macro alone.
    Units: weeks from the start to the decision, waiting included; the end of the experiment where there was none.
    """

    truth: TruthKey
    macro_lift: float
    states: Mapping[ProxyState, float]
    weeks_mean: float
    weeks_median: float
    weeks_p90: float
    macro_ship: float
    macro_weeks: float
    replicates: int

    @property
    def ship(self) -> float:
        return self.states.get(ProxyState.SHIP_PROXY, 0.0) + self.states.get(ProxyState.SHIP_MACRO, 0.0)

    @property
    def ship_error(self) -> float:
        """The Monte Carlo standard error of `ship`."""
        return float(np.sqrt(self.ship * (1 - self.ship) / self.replicates))


def truths_of(question: CertificateQuestion) -> dict[TruthKey, FloatArray]:
    """Return the log-lifts of the steps under each truth; without a step before the macro there is no curiosity and no bait.

    The gain enters at the declared step, or where ideas usually act. What a lure gains is lost at the next step, evenly over all
    later ones, or at the last: as many patterns, played in turn.
    Shapes: each (patterns, steps).
    """
    steps = len(question.reach)
    place = (question.target_step or int(np.argmax(step_weights(steps))) + 1) - 1
    micro = min(place, max(steps - 2, 0))
    gain = float(np.log1p(question.gain))
    found = {TruthKey.GAIN: _entering(place, gain, question), TruthKey.NOTHING: np.zeros((1, steps))}
    if steps > 1:
        for key, macro in ((TruthKey.CURIOSITY, 0.0), (TruthKey.BAIT, float(np.log1p(-BAIT_LOSS)))):
            found[key] = _lured(micro, gain / question.pass_through, macro, steps)
    found[TruthKey.HARM] = _entering(place, float(np.log1p(-HARM_LOSS)), question)
    return found


def _entering(place: int, macro: float, question: CertificateQuestion) -> FloatArray:
    effects = np.zeros((1, len(question.reach)))
    if place == effects.shape[1] - 1:
        effects[0, place] = macro
    else:
        effects[0, place] = macro / question.pass_through
        effects[0, place + 1] = macro - effects[0, place]
    return effects


def _lured(place: int, gain: float, macro: float, steps: int) -> FloatArray:
    """Return a gain at one step that is lost again further down, so that the macro changes by `macro`."""
    later = np.arange(place + 1, steps)
    patterns = dict.fromkeys((tuple(later[:1]), tuple(later), tuple(later[-1:])))
    effects = np.zeros((len(patterns), steps))
    effects[:, place] = gain
    for row, lost in zip(effects, patterns, strict=True):
        row[list(lost)] += (macro - gain) / len(lost)
    return effects


def simulate(
    question: CertificateQuestion,
    truth: TruthKey,
    effects: FloatArray,
    *,
    replicates: int = REPLICATES,
    seed: int = 1,
) -> TruthOutcome:
    """Play one truth. The same seed gives the same answer; the truths have streams of their own.

    Of several treatments the one in question is the first, and every condition is held to their number.
    Shapes: `effects` (patterns, steps), taken in turn.
    """
    rng = np.random.default_rng([seed, list(TruthKey).index(truth)])
    schedule = Schedule(question.weeks * DAYS_A_WEEK, question.look_every_days)
    days = np.array(schedule.days)
    rates = question.rates
    possible = np.minimum(rates * np.exp(effects), np.maximum(rates, HIGHEST_RATE))
    treated = possible[np.arange(replicates) % len(possible)]
    control, treatment = (
        _walk(rng, question.per_week * weight / DAYS_A_WEEK, own, replicates, schedule.horizon_days)
        for weight, own in (
            (question.weights[0], np.broadcast_to(rates, treated.shape)),
            (question.weights[1], treated),
        )
    )
    risk_t, got_t = _at_looks(treatment, days, question.waits)
    risk_c, got_c = _at_looks(control, days, question.waits)
    looks, last = _engine(question, schedule, risk_t, got_t, risk_c, got_c)
    weeks = days[looks] / DAYS_A_WEEK
    ships, macro_days = _macro_alone(schedule, days, risk_t[:, :, 0], got_t[:, :, -1], risk_c[:, :, 0], got_c[:, :, -1])
    return TruthOutcome(
        truth=truth,
        macro_lift=float(np.expm1(np.mean(np.log(possible).sum(axis=1)) - np.log(rates).sum())),
        states={state: float(np.mean(last == n)) for n, state in enumerate(_ENDS) if np.any(last == n)},
        weeks_mean=float(weeks.mean()),
        weeks_median=float(np.median(weeks)),
        weeks_p90=float(np.quantile(weeks, 0.9)),
        macro_ship=float(ships.mean()),
        macro_weeks=float(macro_days.mean() / DAYS_A_WEEK),
        replicates=replicates,
    )


def _walk(rng: np.random.Generator, per_day: float, rates: FloatArray, replicates: int, horizon: int) -> IntArray:
    """Let each day's visitors walk down the funnel.

    Shapes: `rates` (replicates, steps); the answer (replicates, days, steps + 1), cumulative by day of exposure.
    """
    reached = [rng.poisson(per_day, (replicates, horizon))]
    for step in range(rates.shape[1]):
        reached.append(rng.binomial(reached[-1], rates[:, step : step + 1]))
    result: IntArray = np.cumsum(np.stack(reached, axis=2), axis=1)
    return result


def _at_looks(walked: IntArray, days: IntArray, waits: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return at risk and reached of each step at each look, of visitors who have been followed long enough for it.

    Shapes: both (replicates, looks, steps).
    """
    risk, reached = [], []
    for step, wait in enumerate(waits):
        known = days - wait
        rows = walked[:, np.maximum(known - 1, 0), step : step + 2] * (known > 0)[None, :, None]
        risk.append(rows[:, :, 0])
        reached.append(rows[:, :, 1])
    return np.stack(risk, axis=2).astype(float), np.stack(reached, axis=2).astype(float)


# In the order in which the verdict asks them; the last is also what is left at the end.
_ENDS = (
    ProxyState.SHIP_PROXY,
    ProxyState.SHIP_MACRO,
    ProxyState.CONFLICT,
    ProxyState.STOP_HARM,
    ProxyState.NO_GAIN,
    ProxyState.INCONCLUSIVE,
)


def _engine(
    question: CertificateQuestion,
    schedule: Schedule,
    risk_t: FloatArray,
    got_t: FloatArray,
    risk_c: FloatArray,
    got_c: FloatArray,
) -> tuple[IntArray, IntArray]:
    """Return the look at which each replicate ended, and how. Shapes: both (replicates,)."""
    replicates, looks, steps = risk_t.shape
    flat = [a.reshape(replicates * looks, steps) for a in (risk_t, got_t, risk_c, got_c)]
    effects = effects_of(*flat)
    treatments = len(question.weights) - 1
    bounds = efficacy_bounds(schedule.information, alpha=MACRO_ALPHA / treatments, is_one_sided=True)
    prior = question.prior
    holds = conditions(
        effects,
        weigh(effects, prior),
        prior,
        preset_named(question.preset),
        macro_bound=np.tile(np.asarray(bounds), replicates),
        treatments=treatments,
        elapsed=np.tile(np.asarray(schedule.days) / schedule.horizon_days, replicates),
    )
    macro = flat[1][:, -1], flat[3][:, -1]
    enough = (macro[0] + macro[1] >= LEAST_MACRO) & (np.minimum(*macro) >= LEAST_MACRO_PER_VARIANT)
    asked = np.stack(
        [holds.ship_proxy, holds.ship_macro, holds.conflict, holds.stop_harm, holds.no_gain, holds.little_time], axis=1
    )
    asked = (asked & enough[:, None]).reshape(replicates, looks, -1)
    ends = np.any(asked, axis=2)
    is_decided = np.any(ends, axis=1)
    look = np.where(is_decided, ends.argmax(axis=1), looks - 1)
    how = np.where(is_decided, asked[np.arange(replicates), look].argmax(axis=1), len(_ENDS) - 1)
    return look, how


def _macro_alone(
    schedule: Schedule, days: IntArray, n_t: FloatArray, x_t: FloatArray, n_c: FloatArray, x_c: FloatArray
) -> tuple[NDArray[np.bool_], FloatArray]:
    """Return whether a group-sequential test of the macro ships, and after how many days it ends, its futility bounds followed.

    Shapes: counts (replicates, looks); both answers (replicates,).
    """
    design = schedule.design(alpha=MACRO_LEVEL, power=MACRO_POWER)
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = (x_t + x_c) / (n_t + n_c)
        z = np.nan_to_num((x_t / n_t - x_c / n_c) / np.sqrt(pooled * (1 - pooled) * (1 / n_t + 1 / n_c)))
    upper, lower = np.asarray(design.efficacy), np.asarray(design.futility)
    wins, stops = z >= upper, (z < lower) | (z <= -upper)
    stops[:, -1] = True
    ends = wins | stops
    look = ends.argmax(axis=1)
    return wins[np.arange(len(z)), look], days[look].astype(float)


def is_hopeless(outcomes: Sequence[TruthOutcome]) -> bool:
    """Say whether the gain asked for would be shipped too rarely to be worth the traffic."""
    return any(o.truth is TruthKey.GAIN and o.ship < LEAST_POWER for o in outcomes)
