"""Weighing an experiment's steps: which class of variant the data speak for, and what the macro effect is likely to be.

Every answer is for many comparisons at once, so that one experiment, a planner's thousands and a benchmark's hundred
thousands go through the same lines.

Source: Baum & Veeravalli (1994), IEEE Transactions on Information Theory 40:1994-2007, for deciding between several hypotheses in
sequence; Ville's inequality for the guarantee: of variants drawn from one class, at most 1 / b ever reach an E-value of b against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from reports.core.methods.base import Interval
from reports.core.proxy.classes import Components, Prior, VariantClass, components_of
from reports.core.proxy.funnel import StepEffects

FloatArray = NDArray[np.float64]

_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the data say of each comparison.

    `log_marginal` is the log density of the estimates under each class, up to one constant common to all; `posterior` the
    chance of each class; `gain` the chance of a WIN whose macro lift is above 0, which data far outside all classes can keep
    well below that of WIN; `macro_mean` and `macro_sd` those of the macro log-lift.
    Shapes: `log_marginal` and `posterior` (comparisons, classes); the others (comparisons,).
    """

    classes: tuple[VariantClass, ...]
    log_marginal: FloatArray
    posterior: FloatArray
    gain: FloatArray
    macro_mean: FloatArray
    macro_sd: FloatArray

    def probability(self, variant_class: VariantClass) -> FloatArray:
        """Return the chance of a class; 0 where the prior does not reckon with it. Shapes: (comparisons,)."""
        if variant_class not in self.classes:
            return np.zeros(len(self.posterior))
        return self.posterior[:, self.classes.index(variant_class)]

    def log_evidence(self, against: VariantClass) -> FloatArray:
        """Return the log E-value of WIN against another class; infinite where the prior does not reckon with it."""
        if against not in self.classes:
            return np.full(len(self.posterior), np.inf)
        win = self.classes.index(VariantClass.WIN)
        return self.log_marginal[:, win] - self.log_marginal[:, self.classes.index(against)]


@dataclass(frozen=True, slots=True)
class MacroPosterior:
    """The mixture of normal distributions that the macro log-lift of one comparison follows, given the data.

    Shapes: all (components,).
    """

    weight: FloatArray
    mean: FloatArray
    sd: FloatArray

    def below(self, log_lift: float) -> float:
        """Return the chance that the macro log-lift is below a value."""
        return min(float(self.weight @ special.ndtr((log_lift - self.mean) / self.sd)), 1.0)

    def quantile(self, share: float) -> float:
        low, high = float((self.mean - 40 * self.sd).min()), float((self.mean + 40 * self.sd).max())
        return float(optimize.brentq(lambda x: self.below(x) - share, low, high, xtol=1e-12))

    def interval(self, level: float) -> Interval:
        """Return the central interval of the macro log-lift with this probability."""
        return Interval(self.quantile((1 - level) / 2), self.quantile((1 + level) / 2))

    @property
    def expected(self) -> float:
        return float(self.weight @ self.mean)


def shares_of(prior: Prior, components: Components) -> FloatArray:
    """Return the shares of the classes that the funnel knows, adding up to 1. Shapes: (classes,)."""
    shares = np.array([prior.shares[c] for c in components.classes])
    result: FloatArray = shares / shares.sum()
    return result


def weigh(effects: StepEffects, prior: Prior) -> Weighed:
    """Weigh the classes by the estimated step effects of each comparison."""
    components = components_of(prior, effects.steps)
    log_share = np.log(shares_of(prior, components))
    is_win = components.owner == components.classes.index(VariantClass.WIN)
    parts = []
    for first in range(0, len(effects.effect), _AT_ONCE):
        rows = slice(first, first + _AT_ONCE)
        log_density, mean, variance = _component_answers(effects.effect[rows], effects.variance[rows], components)
        log_weighted = log_density + components.log_weight
        log_marginal = _per_class(log_weighted, components)
        log_total = special.logsumexp(log_marginal + log_share, axis=1)
        chance = np.exp(log_weighted + log_share[components.owner] - log_total[:, None])
        macro_mean = np.einsum("rj,rj->r", chance, mean)
        second = np.einsum("rj,rj->r", chance, variance + mean**2)
        parts.append(
            (
                log_marginal,
                np.minimum(np.exp(log_marginal + log_share - log_total[:, None]), 1.0),
                np.minimum(
                    np.einsum("rj,rj->r", chance[:, is_win], special.ndtr((mean / np.sqrt(variance))[:, is_win])), 1.0
                ),
                macro_mean,
                np.sqrt(np.maximum(second - macro_mean**2, 0.0)),
            )
        )
    if not parts:
        empty = np.empty((0, len(components.classes)))
        return Weighed(components.classes, empty, empty, *(np.empty(0) for _ in range(3)))
    joined = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    return Weighed(components.classes, *joined)


def macro_posterior(effects: StepEffects, prior: Prior, *, row: int = 0) -> MacroPosterior:
    """Return the distribution of the macro log-lift of one comparison."""
    components = components_of(prior, effects.steps)
    log_share = np.log(shares_of(prior, components))
    log_density, mean, variance = _component_answers(
        effects.effect[row : row + 1], effects.variance[row : row + 1], components
    )
    log_weight = (log_density + components.log_weight + log_share[components.owner])[0]
    return MacroPosterior(np.exp(log_weight - special.logsumexp(log_weight)), mean[0], np.sqrt(variance[0]))


def _per_class(log_weighted: FloatArray, components: Components) -> FloatArray:
    columns = [
        special.logsumexp(log_weighted[:, components.owner == number], axis=1)
        for number in range(len(components.classes))
    ]
    return np.column_stack(columns)


def _component_answers(
    effect: FloatArray, variance: FloatArray, components: Components
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return log density of the estimates (without the constant), posterior mean and variance of the macro log-lift.

    The covariance of the estimates is D + U U', with D diagonal and U of two columns; Woodbury's identity needs no more than a
    2 x 2 inverse of it, and sums over the steps become matrix products.

    Shapes: `effect` and `variance` (comparisons, steps); all answers (comparisons, components).
    """
    jitters = np.unique(components.jitter)
    answers = np.empty((3, len(effect), len(components.jitter)))
    for jitter in jitters:
        mine = components.jitter == jitter
        answers[:, :, mine] = _with_jitter(
            effect, variance + jitter, float(jitter), components.mean[mine], components.directions[mine]
        )
    return answers[0], answers[1], answers[2]


def _with_jitter(
    effect: FloatArray, diagonal: FloatArray, jitter: float, mean: FloatArray, directions: FloatArray
) -> FloatArray:
    precision, weighted = 1 / diagonal, effect / diagonal
    first, second = directions[:, :, 0], directions[:, :, 1]
    sums = jitter + first * first.sum(axis=1, keepdims=True) + second * second.sum(axis=1, keepdims=True)

    def product(of: FloatArray) -> FloatArray:
        return precision @ of.T

    # r = effect - mean; P = D^-1; M = I + U'PU; b = U'Pr; e = U'Pc with c = C1, the covariance of each step with the macro.
    m11, m22, m12 = 1 + product(first**2), 1 + product(second**2), product(first * second)
    b1 = weighted @ first.T - product(first * mean)
    b2 = weighted @ second.T - product(second * mean)
    determinant = m11 * m22 - m12**2
    squares = (weighted * effect).sum(axis=1)[:, None] - 2 * weighted @ mean.T + product(mean**2)
    explained = (m22 * b1**2 - 2 * m12 * b1 * b2 + m11 * b2**2) / determinant
    log_density = -0.5 * (np.log(diagonal).sum(axis=1)[:, None] + np.log(determinant) + squares - explained)
    e1, e2 = product(first * sums), product(second * sums)
    cross = (m22 * e1 * b1 - m12 * (e1 * b2 + e2 * b1) + m11 * e2 * b2) / determinant
    macro_mean = mean.sum(axis=1) + weighted @ sums.T - product(sums * mean) - cross
    own = (m22 * e1**2 - 2 * m12 * e1 * e2 + m11 * e2**2) / determinant
    macro_variance = sums.sum(axis=1) - (product(sums**2) - own)
    return np.stack([log_density, macro_mean, np.maximum(macro_variance, 1e-18)])


def bait_share_that_tips(weighed: Weighed, shares: Mapping[VariantClass, float], risk: float, *, row: int = 0) -> float:
    """Return how common bait would have to be for the chance of no real gain to reach `risk`; the other classes keep their
    proportions. 1 when no share is enough, 0 when the risk is there without any bait.
    """

    def excess(bait: float) -> float:
        others = 1 - shares[VariantClass.BAIT]
        tried = np.array([bait if c is VariantClass.BAIT else shares[c] * (1 - bait) / others for c in weighed.classes])
        logs = weighed.log_marginal[row] + np.log(np.maximum(tried, 1e-300))
        win = logs[weighed.classes.index(VariantClass.WIN)]
        return float(1 - above * np.exp(win - special.logsumexp(logs))) - risk

    # How much of WIN lies above 0 does not depend on how common anything is.
    win_now = float(weighed.probability(VariantClass.WIN)[row])
    above = float(weighed.gain[row]) / win_now if win_now > 0 else 0.0

    if VariantClass.BAIT not in weighed.classes or excess(1 - 1e-9) < 0:
        return 1.0
    return 0.0 if excess(0.0) >= 0 else float(optimize.brentq(excess, 0.0, 1 - 1e-9, xtol=1e-9))
