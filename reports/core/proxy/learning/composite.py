"""A blend of the micro conversions that follows the macro best, learnt from finished experiments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.core.proxy.classes import Prior
from reports.core.proxy.covariance import composite_weights, total_covariance
from reports.core.proxy.funnel import StepEffects
from reports.core.proxy.learning.past import PastComparison
from reports.core.proxy.learning.report_card import step_covariance

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reaches:
    """Log-lifts of reaching each step in experiments of one funnel, the macro last, with what blurs them.

    Shapes: `estimates` (experiments, steps); `noise` (experiments, steps, steps), where steps share the errors of those before
    them; `weights` and `visitors` (experiments,), the latter of one variant, harmonically averaged.
    """

    estimates: FloatArray
    noise: FloatArray
    weights: FloatArray
    visitors: FloatArray

    def without(self, row: int) -> Reaches:
        keep = np.arange(len(self.estimates)) != row
        return Reaches(self.estimates[keep], self.noise[keep], self.weights[keep], self.visitors[keep])


def reaches_of(past: Sequence[PastComparison]) -> Reaches:
    """Return the reaches of experiments with the same steps."""
    found = [reach(one.effects) for one in past]
    return Reaches(
        np.array([estimate for estimate, _ in found]),
        np.array([noise for _, noise in found]),
        np.array([one.weight for one in past]),
        np.array([2 / (1 / max(one.treatment.visitors, 1) + 1 / max(one.control.visitors, 1)) for one in past]),
    )


def reach(effects: StepEffects, row: int = 0) -> tuple[FloatArray, FloatArray]:
    """Return the log-lifts of reaching each step, and their error covariance. Shapes: (steps,), (steps, steps)."""
    variance = np.cumsum(effects.variance[row])
    deep = np.arange(len(variance))
    return np.cumsum(effects.effect[row]), variance[np.minimum.outer(deep, deep)]


def blend(known: Reaches, prior: Prior, *, visitors: float) -> FloatArray:
    """Return the weights of the micro conversions for a test with so many visitors of each variant, adding up to 1.

    Shapes: (steps - 1,). Raises: ValueError when none of them moves with the macro.
    Source: PROXY section 3.3.5; Tripuraneni et al. (2023), arXiv 2309.07893.
    """
    steps = known.estimates.shape[1]
    cumulate = np.tril(np.ones((steps, steps)))
    believed = cumulate @ step_covariance(prior, steps) @ cumulate.T
    effects = total_covariance(known.estimates, known.noise, believed, weights=known.weights).shrunk
    of_one = np.median(known.noise * known.visitors[:, None, None], axis=0)
    return composite_weights(effects, of_one[:-1, :-1], visitors=visitors)
