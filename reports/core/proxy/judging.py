"""The proxy engine on an experiment: every treatment at every look so far, and what it says now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from experiments.core.plan import AnalysisPlan, LearnedPrior
from reports.core.progress import Progress
from reports.core.proxy.classes import BAIT_ODDS, FIVE_SHARES, Prior, VariantClass, with_bait_odds
from reports.core.proxy.earlier import EarlierRun
from reports.core.proxy.engine import weigh
from reports.core.proxy.funnel import StepEffects, effects_of
from reports.core.proxy.quality import StepQuality, Surrogate, step_qualities, surrogate
from reports.core.proxy.reached import Reached
from reports.core.proxy.verdict import MACRO_ALPHA, ProxyVerdict, evaluate, preset_named
from reports.core.sequential.bounds import efficacy_bounds


@dataclass(frozen=True, slots=True)
class ProxyLook:
    """What one look said: the chance of a real gain, of bait and of harm, and the expected macro effect. Units: `macro` a relative lift."""

    day: int
    win: float
    bait: float
    harm: float
    macro: float


@dataclass(frozen=True, slots=True)
class ProxyResult:
    """What the engine says of one treatment."""

    variant: str
    verdict: ProxyVerdict
    qualities: tuple[StepQuality, ...]
    surrogate: Surrogate
    looks: tuple[ProxyLook, ...]


@dataclass(frozen=True, slots=True)
class ProxyAnalysis:
    """The funnel with the engine's answers; `prior` is what was believed beforehand, `pooled` the earlier run that is in them."""

    reached: Reached
    prior: Prior
    results: tuple[ProxyResult, ...]
    pooled: EarlierRun | None = None

    def result_of(self, variant: str) -> ProxyResult:
        return next(r for r in self.results if r.variant == variant)


def prior_of(plan: AnalysisPlan, reached: Reached) -> Prior:
    """Return what the plan makes believe: what finished experiments said, or how often its kind of change is bait; and where it aims."""
    keys = [step.key for step in reached.steps]
    target = keys.index(plan.target_step) + 1 if plan.target_step in keys else None
    return believed(plan.change_type, plan.learned, target)


def believed(change_type: str, learned: LearnedPrior | None, target_step: int | None) -> Prior:
    """Return what is believed of an idea beforehand: what finished experiments said, else how often its kind of change is bait."""
    if learned is None:
        return Prior(shares=with_bait_odds(FIVE_SHARES, BAIT_ODDS.get(change_type, 1.0)), target_step=target_step)
    return Prior(
        shares={VariantClass(name): share for name, share in learned.shares},
        pass_through=sum(value * weight for value, weight in learned.pass_throughs),
        pass_through_spread=learned.spread,
        target_step=target_step,
        pass_throughs=learned.pass_throughs,
    )


def judge_treatments(
    plan: AnalysisPlan, progress: Progress, reached: Reached, earlier: EarlierRun | None = None
) -> ProxyAnalysis:
    """Judge every treatment by the funnel, together with what an earlier run measured. Empty results while no step can be counted."""
    prior = prior_of(plan, reached)
    if not reached.days or progress.is_before_first_look:
        return ProxyAnalysis(reached, prior, ())
    steps = [step.key for step in reached.steps]
    before = {v.key: earlier.of(v.key, steps) if earlier is not None else None for v in plan.treatments}
    results = tuple(_judge(plan, progress, reached, prior, v.key, before[v.key]) for v in plan.treatments)
    return ProxyAnalysis(reached, prior, results, earlier if any(before.values()) else None)


def macro_bounds(plan: AnalysisPlan, days: tuple[int, ...], treatments: int) -> tuple[float, ...]:
    """Return the z that the macro alone must reach at each look, all looks together at one-sided 0.25 % over the treatments.

    Never without a planned end: there is no last look to spend towards.
    """
    alpha = MACRO_ALPHA / treatments
    if plan.is_imported:
        return (float(-special.ndtri(alpha)),) * len(days)
    if plan.horizon_days is None:
        return (float("inf"),) * len(days)
    shares = [min(day / plan.horizon_days, 1.0) for day in days]
    tested = list(dict.fromkeys(shares))
    bounds = dict(zip(tested, efficacy_bounds(tested, alpha=alpha, is_one_sided=True), strict=True))
    return tuple(bounds[share] for share in shares)


def _judge(
    plan: AnalysisPlan, progress: Progress, reached: Reached, prior: Prior, variant: str, earlier: StepEffects | None
) -> ProxyResult:
    control = plan.control.key
    treatments = len(plan.treatments)
    arrays = [of[key].astype(float) for key in (variant, control) for of in (reached.at_risk, reached.reached)]
    effects = effects_of(*arrays)
    weighed = weigh(effects if earlier is None else effects.pooled_with(earlier), prior)
    t, c = reached.counts(variant), reached.counts(control)
    verdict = evaluate(
        t,
        c,
        prior,
        preset_named(plan.risk_preset),
        macro_bound=macro_bounds(plan, reached.days, treatments)[-1],
        treatments=treatments,
        is_at_cap=progress.is_over,
        elapsed=progress.elapsed,
        earlier=earlier,
    )
    win = weighed.gain
    bait, harm = (weighed.probability(k) for k in (VariantClass.BAIT, VariantClass.HARM))
    looks = tuple(
        ProxyLook(day, float(win[n]), float(bait[n]), float(harm[n]), float(np.expm1(weighed.macro_mean[n])))
        for n, day in enumerate(reached.days)
    )
    return ProxyResult(variant, verdict, step_qualities(t, c), surrogate(t, c), looks)
