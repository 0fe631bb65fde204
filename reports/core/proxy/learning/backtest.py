"""Decision rules tried on a site's finished experiments: what each would have shipped, and what that would have been worth.

A rule that is judged by the same visitors who made it ship looks too good: it ships what was lucky. So each experiment is cut in
two halves at random; the rules see one, and the goal in the other says what shipping was worth. Whatever a rule learns, it learns
from the other experiments.

Source: Chou et al. (2025), Evaluating decision rules across many weak experiments, KDD; for the cut, Coey & Cunningham (2019), WWW.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import special

from reports.core.methods.base import critical_value
from reports.core.proxy.classes import BAIT_ODDS, FIVE_SHARES, Prior, with_bait_odds
from reports.core.proxy.engine import weigh
from reports.core.proxy.funnel import StepEffects, effects_of
from reports.core.proxy.learning.composite import Reaches, blend, reaches_of
from reports.core.proxy.learning.grid import Learned, learn_leaving_each_out
from reports.core.proxy.learning.past import PastComparison, experiments_in
from reports.core.proxy.verdict import LEAST_MACRO, LEAST_MACRO_PER_VARIANT, MACRO_ALPHA, PRESETS, conditions

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

FROM_EXPERIMENTS = 20.0
COMPOSITE_FROM = 30.0
CLEAR_NEEDED = 8  # experiments whose goal moved by more than two standard errors, for a blend to be learnt from
CLEAR = 2.0
SPLITS = 20
ALPHA = 0.05
MOST_MISTAKES = 0.02


class RuleKey(StrEnum):
    """ENGINE: the proxy rule as everybody begins with it. LEARNED: with what the other experiments taught. GOAL: the goal alone, one-sided
    at 5 %. COMPOSITE: a learnt blend of the micros, likewise. FIRST_MICRO: the earliest micro conversion alone, likewise."""

    ENGINE = "engine"
    LEARNED = "learned"
    GOAL = "goal"
    COMPOSITE = "composite"
    FIRST_MICRO = "first_micro"


@dataclass(frozen=True, slots=True)
class RuleScore:
    """What one rule would have done.

    `ships` is the share of experiments it would have shipped; `gain` the mean log-lift of the goal that it would have brought an
    experiment, what is not shipped counting 0, with its standard error; `mistaken` how many, over the cuts on average, it would
    have shipped of those whose goal clearly fell.
    """

    rule: RuleKey
    ships: float
    gain: float
    gain_error: float
    mistaken: float


@dataclass(frozen=True, slots=True)
class BackTest:
    """The rules side by side. `clear` are the experiments whose goal moved by more than two standard errors, `fell` those of them
    where it fell. `over_engine` is the gain of the blend above that of the engine with its standard error, and `weights` those of the
    blend by step; None while no blend may be learnt.
    """

    experiments: int
    clear: int
    fell: int
    rules: tuple[RuleScore, ...]
    weights: tuple[tuple[str, float], ...] = ()
    over_engine: tuple[float, float] | None = None

    def of(self, rule: RuleKey) -> RuleScore | None:
        return next((one for one in self.rules if one.rule is rule), None)

    @property
    def composite_does_better(self) -> bool:
        """Whether the blend beat the engine by more than a standard error and hardly ever shipped a loss. Source: PROXY section 3.3.5."""
        blend = self.of(RuleKey.COMPOSITE)
        if blend is None or self.over_engine is None:
            return False
        gain, error = self.over_engine
        return gain > error and blend.mistaken <= MOST_MISTAKES * self.clear


def back_test(past: Sequence[PastComparison], *, splits: int = SPLITS, seed: int = 1) -> BackTest | None:
    """Try the rules on the experiments that share the newest one's funnel; None while they are worth fewer than twenty.

    Pure: the same seed gives the same answer.
    """
    newest = min(past, key=lambda one: one.age_months, default=None)
    mine = [one for one in past if newest is not None and one.steps == newest.steps]
    if newest is None or len(newest.steps) < 2 or experiments_in(mine) < FROM_EXPERIMENTS:
        return None
    rng = np.random.default_rng(seed)
    halves = [_halves(one, splits, rng) for one in mine]
    whole_z = np.array([float(one.effects.z_macro[0]) for one in mine])
    clear = np.abs(whole_z) > CLEAR
    known = reaches_of(mine)
    rules: dict[RuleKey, Callable[[int], BoolArray]] = {
        RuleKey.ENGINE: lambda n: _engine(halves[n], _usual(mine[n])),
        RuleKey.LEARNED: _learned_rule(mine, halves),
        RuleKey.GOAL: lambda n: halves[n].seen.z_macro >= critical_value(2 * ALPHA),
        RuleKey.FIRST_MICRO: lambda n: halves[n].z_of(np.eye(len(newest.steps) - 1)[0]) >= critical_value(2 * ALPHA),
    }
    may_blend = experiments_in(mine) >= COMPOSITE_FROM and int(clear.sum()) >= CLEAR_NEEDED
    if may_blend:
        rules[RuleKey.COMPOSITE] = _composite_rule(known, mine, halves)
    shipped = {key: np.array([rule(n) for n in range(len(mine))]) for key, rule in rules.items()}
    worth = np.array([half.worth for half in halves])
    gains = {key: (ships * worth).mean(axis=1) for key, ships in shipped.items()}
    fell = whole_z < -CLEAR
    scores = tuple(
        RuleScore(
            key,
            float(_mean(ships.mean(axis=1), known.weights)),
            *_mean_with_error(gains[key], known.weights),
            float(ships[fell].mean(axis=1).sum()),
        )
        for key, ships in shipped.items()
    )
    weights = _weights(known, mine, newest.steps) if may_blend else ()
    over = (
        _mean_with_error(gains[RuleKey.COMPOSITE] - gains[RuleKey.ENGINE], known.weights)
        if RuleKey.COMPOSITE in gains
        else None
    )
    return BackTest(len(mine), int(clear.sum()), int(fell.sum()), scores, weights, over)


@dataclass(frozen=True, slots=True)
class _Halves:
    """Many random cuts of one experiment. `seen` are the effects in the rules' half; `worth` the goal's log-lift in the other; `enough` whether
    the seen half has the purchases that the engine asks for. Shapes: (splits, ...)."""

    seen: StepEffects
    worth: FloatArray
    enough: BoolArray

    def z_of(self, weights: FloatArray) -> FloatArray:
        """Return the z of a blend of the micro conversions' reaches. Shapes: `weights` (steps - 1,); the answer (splits,)."""
        micros = len(weights)
        # A blend of cumulative sums is a sum of steps, each with the weights of all reaches it is part of.
        of_step = weights[::-1].cumsum()[::-1]
        spread = np.sqrt(self.seen.variance[:, :micros] @ of_step**2)
        result: FloatArray = self.seen.effect[:, :micros] @ of_step / spread
        return result


def _halves(one: PastComparison, splits: int, rng: np.random.Generator) -> _Halves:
    sides = []
    for funnel in (one.treatment, one.control):
        at_risk = np.array([step.at_risk for step in funnel.steps])
        reached = np.array([step.reached for step in funnel.steps])
        first_risk = at_risk // 2
        first = rng.hypergeometric(reached, at_risk - reached, first_risk, size=(splits, len(at_risk)))
        sides.append((np.broadcast_to(first_risk, first.shape), first, at_risk - first_risk, reached - first))
    t, c = sides
    seen = effects_of(*(a.astype(float) for a in (t[0], t[1], c[0], c[1])))
    rest = effects_of(
        *(np.broadcast_to(a, t[1].shape).astype(float) for a in (t[2], t[3], c[2], c[3])),
    )
    enough = (t[1][:, -1] + c[1][:, -1] >= LEAST_MACRO) & (
        np.minimum(t[1][:, -1], c[1][:, -1]) >= LEAST_MACRO_PER_VARIANT
    )
    return _Halves(seen, rest.macro, enough)


def _engine(half: _Halves, prior: Prior) -> BoolArray:
    bound = float(-special.ndtri(MACRO_ALPHA))
    found = conditions(half.seen, weigh(half.seen, prior), prior, PRESETS["balanced"], macro_bound=bound)
    return found.ships & half.enough


def _usual(one: PastComparison) -> Prior:
    shares = with_bait_odds(FIVE_SHARES, BAIT_ODDS.get(one.change_type, 1.0))
    return Prior(shares=shares, target_step=one.target_step)


def _learned_rule(past: Sequence[PastComparison], halves: Sequence[_Halves]) -> Callable[[int], BoolArray]:
    others: Sequence[Learned] = learn_leaving_each_out(past, bait_odds=BAIT_ODDS.get(past[0].change_type, 1.0))
    return lambda n: _engine(halves[n], others[n].prior(past[n].target_step))


def _composite_rule(
    known: Reaches, past: Sequence[PastComparison], halves: Sequence[_Halves]
) -> Callable[[int], BoolArray]:
    def rule(n: int) -> BoolArray:
        try:
            weights = blend(known.without(n), _usual(past[n]), visitors=float(known.visitors[n]) / 2)
        except ValueError:
            return np.zeros(len(halves[n].worth), dtype=bool)
        return halves[n].z_of(weights) >= critical_value(2 * ALPHA)

    return rule


def _weights(known: Reaches, past: Sequence[PastComparison], steps: Sequence[str]) -> tuple[tuple[str, float], ...]:
    try:
        found = blend(known, _usual(past[0]), visitors=float(np.median(known.visitors)))
    except ValueError:
        return ()
    return tuple(zip(steps[:-1], (float(w) for w in found), strict=True))


def _mean(values: FloatArray, weights: FloatArray) -> float:
    return float(weights @ values / weights.sum())


def _mean_with_error(values: FloatArray, weights: FloatArray) -> tuple[float, float]:
    mean = _mean(values, weights)
    return mean, float(np.sqrt(((weights * (values - mean)) ** 2).sum()) / weights.sum())
