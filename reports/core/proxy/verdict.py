"""From weighed evidence to a state, in a fixed order: the proxy's way to ship, the macro's own way, and the ways to stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import special

from reports.core.methods.base import Interval
from reports.core.proxy.classes import FIVE_SHARES, FOUR_SHARES, Prior, VariantClass, components_of
from reports.core.proxy.engine import (
    MacroPosterior,
    Weighed,
    bait_share_that_tips,
    macro_posterior,
    shares_of,
    weigh,
)
from reports.core.proxy.funnel import FunnelCounts, StepEffects, step_effects

FloatArray = NDArray[np.float64]

MARGIN = 0.10
MARGIN_ALPHA = 0.20
MACRO_ALPHA = 0.0025
CONFLICT_BAIT, CONFLICT_WIN = 0.5, 0.10
STOP_HARM = 0.90
LEANING_HARMFUL = 0.5
QUALITY_WATCH = 0.3
FILTER_NOTE = 0.25
NO_CLEAR_GAIN = 1.0  # z of the macro below which it does not contradict a stop
CLEAR_GAIN_AT_END = 1.645  # the same at the planned end, where a macro that is not clear by itself cannot become so
LEAST_MACRO, LEAST_MACRO_PER_VARIANT = 25, 5


class ProxyState(StrEnum):
    """What to do, in the order in which it is asked."""

    INVALID = "invalid"
    SHIP_PROXY = "ship_proxy"
    SHIP_MACRO = "ship_macro"
    CONFLICT = "conflict"
    STOP_HARM = "stop_harm"
    NO_GAIN = "stop_no_gain"
    INCONCLUSIVE = "inconclusive_at_cap"
    KEEP_RUNNING = "keep_running"


class Note(StrEnum):
    """What else is worth saying beside the state."""

    PROMISING = "promising"
    QUALITY_WATCH = "quality_watch"
    LEANING_HARMFUL = "leaning_harmful"
    FILTER = "filter"
    LITTLE_TIME = "little_time"


@dataclass(frozen=True, slots=True)
class Preset:
    """How much evidence an early decision takes.

    `risk` is the largest chance of no real gain; `null`, `bait`, `harm` the E-values that WIN must reach against each class;
    `futility` how far the odds of a win may fall below those of a fresh idea before the traffic is better spent on one.
    """

    key: str
    risk: float
    null: float
    bait: float
    harm: float
    futility: float

    def against(self) -> dict[VariantClass, float]:
        return {VariantClass.NULL: self.null, VariantClass.BAIT: self.bait, VariantClass.HARM: self.harm}


PRESETS: Mapping[str, Preset] = {
    p.key: p
    for p in (
        Preset("fast", risk=0.30, null=10, bait=3, harm=10, futility=0.60),
        Preset("balanced", risk=0.20, null=20, bait=5, harm=20, futility=0.50),
        Preset("cautious", risk=0.10, null=40, bait=10, harm=40, futility=0.33),
    )
}


@dataclass(frozen=True, slots=True)
class Leg:
    """One condition of shipping by the proxy: what was reached and what it takes. E-values are given as logs."""

    name: str
    reached: float
    needed: float

    @property
    def holds(self) -> bool:
        return self.reached >= self.needed


@dataclass(frozen=True, slots=True)
class Conditions:
    """Which conditions hold for each comparison. Shapes: all (comparisons,).

    `little_time`: the answer is open, and what time is left will hardly close it.
    """

    ship_proxy: NDArray[np.bool_]
    ship_macro: NDArray[np.bool_]
    conflict: NDArray[np.bool_]
    stop_harm: NDArray[np.bool_]
    no_gain: NDArray[np.bool_]
    little_time: NDArray[np.bool_]

    @property
    def ships(self) -> NDArray[np.bool_]:
        return self.ship_proxy | self.ship_macro

    @property
    def stops(self) -> NDArray[np.bool_]:
        return self.conflict | self.stop_harm | self.no_gain | self.little_time


def conditions(
    effects: StepEffects,
    weighed: Weighed,
    prior: Prior,
    preset: Preset,
    *,
    macro_bound: float | FloatArray,
    treatments: int = 1,
    margin: float = MARGIN,
    elapsed: float | FloatArray = 0.0,
) -> Conditions:
    """Ask every condition of every comparison.

    `macro_bound` is the z that the macro alone must reach at this look. With several treatments every E-value must be that many
    times larger. `elapsed` is the share of the planned time that is over, 0 where no end is planned: the odds of a win below which
    an experiment is given up rise with its square, from those of futility to those that it takes to ship.
    """
    z = effects.z_macro
    win = weighed.gain
    ships = (1 - win <= preset.risk) & (effects.z_above(1 - margin) >= -special.ndtri(MARGIN_ALPHA))
    for against, needed in preset.against().items():
        ships &= weighed.log_evidence(against) >= np.log(needed * treatments)
    fresh = _win_share(prior, effects.steps)
    with np.errstate(divide="ignore"):
        log_odds = np.log(win) - np.log1p(-win)
    given_up, ship_odds = np.log(preset.futility * fresh / (1 - fresh)), np.log((1 - preset.risk) / preset.risk)
    late = np.square(elapsed)
    unclear = z < NO_CLEAR_GAIN
    no_gain = (log_odds <= given_up) & unclear
    open_late = (log_odds <= given_up + late * (ship_odds - given_up)) & (
        z < NO_CLEAR_GAIN + late * (CLEAR_GAIN_AT_END - NO_CLEAR_GAIN)
    )
    return Conditions(
        ship_proxy=ships,
        ship_macro=z >= macro_bound,
        conflict=(weighed.probability(VariantClass.BAIT) >= CONFLICT_BAIT) & (win <= CONFLICT_WIN) & unclear,
        stop_harm=weighed.probability(VariantClass.HARM) >= STOP_HARM,
        no_gain=no_gain,
        little_time=open_late & ~no_gain,
    )


def _win_share(prior: Prior, steps: int) -> float:
    components = components_of(prior, steps)
    return float(shares_of(prior, components)[components.classes.index(VariantClass.WIN)])


@dataclass(frozen=True, slots=True)
class ProxyVerdict:
    """What the proxy engine says of one treatment.

    `legs` are the conditions of shipping by the proxy; `risk` the chance of no real gain; `tipping_bait_share` how common bait
    would have to be for the risk to pass the preset's.
    Units: `macro` and its intervals are log-lifts; the `alone` ones rest on the macro conversion by itself.
    """

    state: ProxyState
    notes: tuple[Note, ...]
    risk: float
    posterior: Mapping[VariantClass, float]
    log_evidence: Mapping[VariantClass, float]
    log_marginal: Mapping[VariantClass, float]
    legs: tuple[Leg, ...]
    z_macro: float
    z_margin: float
    macro_bound: float
    macro: float
    macro_80: Interval
    macro_95: Interval
    macro_alone: float
    macro_alone_95: Interval
    chance_of_loss: float
    tipping_bait_share: float
    effects: StepEffects


def preset_named(key: str) -> Preset:
    """Return a preset. Raises: LookupError with the keys that exist."""
    try:
        return PRESETS[key]
    except KeyError:
        raise LookupError(f"There is no risk preset '{key}'; there are {', '.join(PRESETS)}.") from None


def default_prior(*, classes: int = 5, target_step: int | None = None) -> Prior:
    """Return the prior of a site that has learnt nothing yet. Raises: ValueError unless `classes` is 4 or 5."""
    if classes not in (4, 5):
        raise ValueError(f"The engine reckons with 4 or 5 classes, not {classes}.")
    return Prior(shares=FOUR_SHARES if classes == 4 else FIVE_SHARES, target_step=target_step)


def evaluate(
    treatment: FunnelCounts,
    control: FunnelCounts,
    prior: Prior,
    preset: Preset,
    *,
    macro_bound: float | None = None,
    treatments: int = 1,
    margin: float = MARGIN,
    is_valid: bool = True,
    is_early: bool = False,
    is_at_cap: bool = False,
    elapsed: float = 0.0,
    earlier: StepEffects | None = None,
) -> ProxyVerdict:
    """Judge one treatment by the funnel.

    `macro_bound` is the z that the macro alone must reach at this look; without one the look counts as the only one.
    `is_valid` is whether the health checks let anything be judged, `is_early` whether the exposure rules (a full week) are
    not met yet, `is_at_cap` whether the planned end is here, `elapsed` the share of the planned time that is over (0 to 1, 0 without
    a planned end), `earlier` what an earlier run of the same idea measured.
    Pure: no clock, no chance. Raises: ValueError for funnels that do not match.
    """
    effects = step_effects(treatment, control)
    if earlier is not None:
        effects = effects.pooled_with(earlier)
    weighed = weigh(effects, prior)
    bound = float(-special.ndtri(MACRO_ALPHA / treatments)) if macro_bound is None else macro_bound
    found = conditions(
        effects, weighed, prior, preset, macro_bound=bound, treatments=treatments, margin=margin, elapsed=elapsed
    )
    early = is_early or not _has_enough(treatment, control)
    state = _state(found, is_valid=is_valid, is_early=early, is_at_cap=is_at_cap)
    posterior = macro_posterior(effects, prior)
    told = _told(state, effects, weighed, posterior, prior, preset, bound, treatments, margin)
    if state is ProxyState.INCONCLUSIVE and not is_at_cap:
        return replace(told, notes=(*told.notes, Note.LITTLE_TIME))
    return told


def _has_enough(treatment: FunnelCounts, control: FunnelCounts) -> bool:
    reached = treatment.macro.reached, control.macro.reached
    return sum(reached) >= LEAST_MACRO and min(reached) >= LEAST_MACRO_PER_VARIANT


def _state(found: Conditions, *, is_valid: bool, is_early: bool, is_at_cap: bool) -> ProxyState:
    if not is_valid:
        return ProxyState.INVALID
    asked = (
        (ProxyState.SHIP_PROXY, found.ship_proxy),
        (ProxyState.SHIP_MACRO, found.ship_macro),
        (ProxyState.CONFLICT, found.conflict),
        (ProxyState.STOP_HARM, found.stop_harm),
        (ProxyState.NO_GAIN, found.no_gain),
        (ProxyState.INCONCLUSIVE, found.little_time),
    )
    for state, holds in asked:
        if not is_early and bool(holds[0]):
            return state
    return ProxyState.INCONCLUSIVE if is_at_cap else ProxyState.KEEP_RUNNING


def _told(
    state: ProxyState,
    effects: StepEffects,
    weighed: Weighed,
    posterior: MacroPosterior,
    prior: Prior,
    preset: Preset,
    bound: float,
    treatments: int,
    margin: float,
) -> ProxyVerdict:
    chance = {c: float(weighed.posterior[0, n]) for n, c in enumerate(weighed.classes)}
    evidence: dict[VariantClass, float] = {
        c: float(weighed.log_evidence(c)[0]) for c in weighed.classes if c is not VariantClass.WIN
    }
    gain = float(weighed.gain[0])
    risk = 1 - gain
    z_margin = float(effects.z_above(1 - margin)[0])
    alone, alone_sd = float(effects.macro[0]), float(np.sqrt(effects.macro_variance[0]))
    half = float(-special.ndtri(0.025)) * alone_sd
    return ProxyVerdict(
        state=state,
        notes=_notes(state, chance, risk, preset),
        risk=risk,
        posterior=chance,
        log_evidence=evidence,
        log_marginal={c: float(weighed.log_marginal[0, n]) for n, c in enumerate(weighed.classes)},
        legs=(
            Leg("win", gain, 1 - preset.risk),
            *(
                Leg(c.value, evidence[c], float(np.log(needed * treatments)))
                for c, needed in preset.against().items()
                if c in evidence
            ),
            Leg("margin", z_margin, float(-special.ndtri(MARGIN_ALPHA))),
        ),
        z_macro=float(effects.z_macro[0]),
        z_margin=z_margin,
        macro_bound=bound,
        macro=posterior.expected,
        macro_80=posterior.interval(0.80),
        macro_95=posterior.interval(0.95),
        macro_alone=alone,
        macro_alone_95=Interval(alone - half, alone + half),
        chance_of_loss=posterior.below(0.0),
        tipping_bait_share=bait_share_that_tips(weighed, prior.shares, preset.risk),
        effects=effects,
    )


def _notes(state: ProxyState, chance: Mapping[VariantClass, float], risk: float, preset: Preset) -> tuple[Note, ...]:
    waits = state in {ProxyState.KEEP_RUNNING, ProxyState.INCONCLUSIVE}
    found = {
        Note.PROMISING: waits and risk <= 2 * preset.risk,
        Note.QUALITY_WATCH: waits and chance.get(VariantClass.BAIT, 0.0) >= QUALITY_WATCH,
        Note.LEANING_HARMFUL: state is ProxyState.NO_GAIN and chance.get(VariantClass.HARM, 0.0) >= LEANING_HARMFUL,
        Note.FILTER: chance.get(VariantClass.FILTER, 0.0) >= FILTER_NOTE,
    }
    return tuple(note for note, holds in found.items() if holds)
