"""How often a micro conversion points where the macro goes, over finished experiments, with the noise reckoned with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from reports.core.methods.base import Interval
from reports.core.proxy.classes import Components, Prior, VariantClass, components_of
from reports.core.proxy.engine import shares_of
from reports.core.proxy.learning.past import PastComparison

FloatArray = NDArray[np.float64]

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class SignAgreement:
    """The chance that the macro moves in the direction of the micro conversion, of an idea that moves anything."""

    value: float
    interval: Interval
    experiments: int


def sign_agreement(past: Sequence[PastComparison], step: str, prior: Prior, *, seed: int = 1) -> SignAgreement | None:
    """Return the agreement in the experiments whose funnel has the step; None without any.

    Each experiment gives its posterior chance of agreement, not a yes or no of its estimates, whose errors agree by themselves;
    two votes of one half are added. The interval comes from drawing experiments again and holds even with one of them.

    Source: PROXY section 3.3.3. Checked against: two-dimensional normal integrals of scipy; a simulation with a known truth.
    """
    mine = [one for one in past if step in one.steps[:-1]]
    if not mine:
        return None
    found = [agreement_of(one, one.steps.index(step) + 1, prior) for one in mine]
    agree, moved = np.array(found).T
    weight = np.array([one.weight for one in mine]) * moved
    value = (weight @ agree + 1) / (weight.sum() + 2)
    rng = np.random.default_rng(seed)
    # Experiments drawn again, by Dirichlet weights, with the two votes among them: with one experiment the interval is wide.
    draws = rng.dirichlet(np.concatenate([np.maximum(weight, 1e-9), [1.0, 1.0]]), RESAMPLES)
    means = draws @ np.concatenate([agree, [0.0, 1.0]])
    low, high = np.quantile(means, [0.025, 0.975])
    return SignAgreement(float(value), Interval(float(low), float(high)), len(mine))


def agreement_of(one: PastComparison, depth: int, prior: Prior) -> tuple[float, float]:
    """Return the chance that micro and macro have one sign if the idea moves anything, and the chance that it does."""
    components = components_of(prior, len(one.steps))
    effects = one.effects
    weight, mean, covariance = posterior_components(effects.effect[0], effects.variance[0], components, prior)
    moves = components.owner != components.classes.index(VariantClass.NULL)
    moved = float(weight[moves].sum())
    if moved <= 0:
        return 0.5, 0.0
    pick = np.zeros((2, len(one.steps)))
    pick[0, :depth], pick[1] = 1.0, 1.0
    means = mean[moves] @ pick.T
    covariances = np.einsum("ia,jab,kb->jik", pick, covariance[moves], pick)
    agree = same_sign(means, covariances)
    return float(weight[moves] @ agree / moved), moved


def posterior_components(
    effect: FloatArray, variance: FloatArray, components: Components, prior: Prior
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return weight, mean and covariance of the step effects under each component, given the estimates.

    Shapes: (components,), (components, steps), (components, steps, steps).
    """
    spread = np.einsum("jsd,jtd->jst", components.directions, components.directions)
    spread = spread + components.jitter[:, None, None] * np.eye(components.steps)
    total = spread + np.diag(variance)
    inverse = np.linalg.inv(total)
    gap = effect - components.mean
    gain = spread @ inverse
    mean = components.mean + np.einsum("jst,jt->js", gain, gap)
    covariance = spread - gain @ spread
    _, log_determinant = np.linalg.slogdet(total)
    fit = np.einsum("js,jst,jt->j", gap, inverse, gap)
    log_share = np.log(shares_of(prior, components))[components.owner]
    logs = components.log_weight + log_share - 0.5 * (log_determinant + fit)
    return np.exp(logs - special.logsumexp(logs)), mean, covariance


def same_sign(mean: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return the chance that two jointly normal numbers have one sign.

    Shapes: `mean` (n, 2), `covariance` (n, 2, 2). Source: Owen (1956), Annals of Mathematical Statistics 27:1075-1090.
    Checked against: scipy.stats.multivariate_normal.
    """
    variance = np.maximum(np.diagonal(covariance, axis1=1, axis2=2), 1e-18)
    h, k = (mean / np.sqrt(variance)).T
    # Exactly on the border the formula divides by 0; a hair beside it, the answer is the same.
    h, k = np.where(np.abs(h) < 1e-12, 1e-12, h), np.where(np.abs(k) < 1e-12, 1e-12, k)
    rho = np.clip(covariance[:, 0, 1] / np.sqrt(variance[:, 0] * variance[:, 1]), -1 + 1e-12, 1 - 1e-12)
    root = np.sqrt(1 - rho**2)
    apart = 2 * special.owens_t(h, (k - rho * h) / (h * root)) + 2 * special.owens_t(k, (h - rho * k) / (k * root))
    found: FloatArray = np.clip(1 - apart - (h * k < 0), 0.0, 1.0)
    return found
