"""A micro conversion's report card over finished experiments: how well it follows the macro, and how often it pointed the wrong way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from reports.core.methods.base import critical_value
from reports.core.proxy.classes import Prior, components_of
from reports.core.proxy.covariance import TotalCovariance, correlation, total_covariance
from reports.core.proxy.learning.past import PastComparison, up_to

FloatArray = NDArray[np.float64]

SIGNIFICANT = critical_value(0.05)
LEAST_EXPERIMENTS = 10
SIZES = (500, 1_500, 6_000, 30_000, 120_000)  # visitors of each variant at which the quality is told
MOST_VISITORS = 1e9


@dataclass(frozen=True, slots=True)
class Score:
    """What the micro conversion said of experiments in which the macro was significant. `score` is (detected - mistaken) / all of them."""

    macro_significant: int
    detected: int
    mistaken: int
    missed: int

    @property
    def score(self) -> float | None:
        return (self.detected - self.mistaken) / self.macro_significant if self.macro_significant else None


@dataclass(frozen=True, slots=True)
class ReportCard:
    """How a micro conversion did.

    `quality` is, by visitors of each variant, the correlation of its estimated effect with the macro's true one, and
    `macro_quality` that of the macro's own estimate; `break_even` the visitors from which the macro itself is the better guide
    (None: at no size). `covariance` are the effects with the shared noise taken out.
    Source of the quality: Tripuraneni et al. (2023), arXiv 2309.07893; of the score: Jeunen et al. (2024), arXiv 2407.20665.
    """

    experiments: int
    covariance: TotalCovariance
    correlation: float | None
    quality: tuple[tuple[int, float], ...]
    macro_quality: tuple[tuple[int, float], ...]
    break_even: float | None
    score: Score


def report_card(past: Sequence[PastComparison], step: str, prior: Prior) -> ReportCard | None:
    """Return the report card of a step; None while no finished experiment has it.

    The covariance leans on the prior as if that were ten experiments, so that three alone say little.
    """
    estimates, noise, weights = up_to(past, step)
    if not len(estimates):
        return None
    depth = next(one.steps.index(step) + 1 for one in past if step in one.steps[:-1])
    steps = next(len(one.steps) for one in past if step in one.steps[:-1])
    covariance = total_covariance(estimates, noise, class_covariance(prior, steps, depth), weights=weights)
    per_visitor = _per_visitor(past, step)
    effects = covariance.shrunk
    return ReportCard(
        experiments=len(estimates),
        covariance=covariance,
        correlation=correlation(effects),
        quality=tuple((n, _quality(effects, per_visitor[0], n, micro=True)) for n in SIZES),
        macro_quality=tuple((n, _quality(effects, per_visitor[1], n, micro=False)) for n in SIZES),
        break_even=_break_even(effects, per_visitor),
        score=_score(estimates, noise),
    )


def class_covariance(prior: Prior, steps: int, depth: int) -> FloatArray:
    """Return the second moments of the true effects on a step and on the macro that the prior believes in. Shapes: (2, 2)."""
    pick = np.zeros((2, steps))
    pick[0, :depth], pick[1] = 1.0, 1.0
    found: FloatArray = pick @ step_covariance(prior, steps) @ pick.T
    return found


def step_covariance(prior: Prior, steps: int) -> FloatArray:
    """Return the second moments of the true log-lifts of the steps that the prior believes in. Shapes: (steps, steps)."""
    components = components_of(prior, steps)
    share = np.exp(components.log_weight) * np.array(
        [prior.shares[components.classes[owner]] for owner in components.owner]
    )
    share /= share.sum()
    spread = np.einsum("jsd,jtd->jst", components.directions, components.directions)
    second = spread + np.einsum("js,jt->jst", components.mean, components.mean)
    second = second + components.jitter[:, None, None] * np.eye(steps)
    total: FloatArray = np.einsum("j,jst->st", share, second)
    return total


def _per_visitor(past: Sequence[PastComparison], step: str) -> tuple[float, float]:
    """Return the error variances of micro and macro log-lift times the visitors of a variant, over the experiments."""
    micro, macro = [], []
    for one in past:
        if step not in one.steps[:-1]:
            continue
        visitors = 2 / (1 / max(one.treatment.visitors, 1) + 1 / max(one.control.visitors, 1))
        effects = one.effects
        micro.append(float(effects.up_to(one.steps.index(step) + 1)[1][0]) * visitors)
        macro.append(float(effects.macro_variance[0]) * visitors)
    return float(np.median(micro)), float(np.median(macro))


def _quality(effects: FloatArray, noise: float, visitors: float, *, micro: bool) -> float:
    """Return the correlation of the estimate at so many visitors with the true macro effect."""
    own = effects[0, 0] if micro else effects[1, 1]
    shared = effects[0, 1] if micro else effects[1, 1]
    if own <= 0 or effects[1, 1] <= 0:
        return 0.0
    return float(shared / math.sqrt(effects[1, 1] * (own + noise / visitors)))


def _break_even(effects: FloatArray, per_visitor: tuple[float, float]) -> float | None:
    def ahead(log_visitors: float) -> float:
        n = math.exp(log_visitors)
        return _quality(effects, per_visitor[0], n, micro=True) - _quality(effects, per_visitor[1], n, micro=False)

    low, high = 0.0, math.log(MOST_VISITORS)
    if ahead(low) <= 0:
        return 1.0
    if ahead(high) >= 0:
        return None
    return math.exp(float(optimize.brentq(ahead, low, high, xtol=1e-9)))


def _score(estimates: FloatArray, noise: FloatArray) -> Score:
    z = estimates / np.sqrt(np.stack([noise[:, 0, 0], noise[:, 1, 1]], axis=1))
    decided = np.abs(z[:, 1]) > SIGNIFICANT
    clear = np.abs(z[:, 0]) > SIGNIFICANT
    same = z[:, 0] * z[:, 1] > 0
    return Score(
        macro_significant=int(decided.sum()),
        detected=int((decided & clear & same).sum()),
        mistaken=int((decided & clear & ~same).sum()),
        missed=int((decided & ~clear).sum()),
    )
