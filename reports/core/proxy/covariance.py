"""How micro and macro effects move together over past experiments, with the noise they share taken out.

The effects of one experiment on two metrics are measured on the same visitors, so their errors agree. A scatter plot of
estimates therefore always looks as if the micro conversion were a good proxy, most of all where there is nothing to see.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

FloatArray = NDArray[np.float64]

PRIOR_EXPERIMENTS = 10.0
CENTRED_FROM = 10
TOO_WEAK = 0.25
RIDGE = 0.1


@dataclass(frozen=True, slots=True)
class TotalCovariance:
    """Covariances of the true effects over experiments.

    `raw` is that of the estimates, noise and all; `corrected` without the noise, made possible (no negative variance); `shrunk`
    leans on the prior as if it were ten experiments more. `naive_slope` and `slope` are what a regression of the macro on the
    first metric shows without and with the correction; None where there is no variation left.
    Shapes: all (metrics, metrics), the macro last.
    """

    experiments: int
    raw: FloatArray
    corrected: FloatArray
    shrunk: FloatArray
    naive_slope: float | None
    slope: float | None

    @property
    def is_too_weak(self) -> bool:
        """Whether noise makes up most of what the micro metric showed, so that there is nothing to learn from it."""
        return bool(self.corrected[0, 0] <= TOO_WEAK * self.raw[0, 0])


def total_covariance(
    estimates: FloatArray, noise: FloatArray, prior: FloatArray, *, weights: FloatArray | None = None
) -> TotalCovariance:
    """Estimate the covariance of true effects: that of the estimates minus the mean of their error covariances.

    About zero below ten experiments, about their mean from there on.

    Shapes: `estimates` (experiments, metrics); `noise` (experiments, metrics, metrics); `prior` (metrics, metrics); `weights`
    (experiments,), 1 for a fresh experiment of one's own. Raises: ValueError for shapes that do not fit, or no experiment.
    Source: Bibaut, Chou, Ejdemyr & Kallus (2024), KDD (total covariance).
    """
    experiments, metrics = estimates.shape
    if not experiments or noise.shape != (experiments, metrics, metrics) or prior.shape != (metrics, metrics):
        raise ValueError(
            f"{estimates.shape} estimates need noise of shape ({experiments}, {metrics}, {metrics}) and a prior of "
            f"({metrics}, {metrics}), not {noise.shape} and {prior.shape}."
        )
    weight = np.ones(experiments) if weights is None else np.asarray(weights, dtype=float)
    share = weight / weight.sum()
    is_centred = experiments >= CENTRED_FROM
    gaps = estimates - (share @ estimates if is_centred else 0.0)
    # The weighted mean takes part of the spread away: for equal weights this is the usual K / (K - 1).
    lost = float(share @ share) if is_centred else 0.0
    raw = (gaps * share[:, None]).T @ gaps / (1 - lost)
    error = np.einsum("e,eij->ij", share, noise)
    corrected = positive(raw - error)
    known = float(weight.sum())
    shrunk = (PRIOR_EXPERIMENTS * prior + known * corrected) / (PRIOR_EXPERIMENTS + known)
    return TotalCovariance(experiments, raw, corrected, shrunk, _slope(raw), _slope(raw - error))


def _slope(covariance: FloatArray) -> float | None:
    return float(covariance[0, -1] / covariance[0, 0]) if covariance[0, 0] > 0 else None


def positive(matrix: FloatArray) -> FloatArray:
    """Return the nearest matrix that is symmetric and has no negative eigenvalue. Source: Higham (1988), LAA 103:103-118."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    result: FloatArray = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return result


def deserves_weight(effects: FloatArray, noise: FloatArray) -> bool:
    """Say whether good news in the micro metric is good news for the macro, once the macro's own estimate is known.

    It is exactly when the true effects move together more than the errors do. Otherwise a high micro beside a middling macro
    says that the macro was lucky.

    Shapes: both (2, 2), micro first. Source: Cunningham & Kim (2020), Interpreting experiments with multiple outcomes.
    """
    return bool(effects[0, 1] / effects[1, 1] > noise[0, 1] / noise[1, 1])


def composite_weights(effects: FloatArray, noise: FloatArray, *, visitors: float) -> FloatArray:
    """Return the weights, none negative and adding up to 1, whose blend of the micro metrics follows the macro best.

    They depend on the traffic: little traffic wants sensitive metrics, much wants well aligned ones.

    Shapes: `effects` (metrics, metrics), the macro last; `noise` (metrics - 1, metrics - 1) of one visitor, divided by `visitors`
    here. Raises: ValueError when no micro metric moves with the macro.
    Source: Tripuraneni et al. (2023), arXiv 2309.07893, as a quadratic programme.
    """
    shared = effects[:-1, -1]
    if not (shared > 0).any():
        raise ValueError("No micro metric moves with the macro, so no blend of them follows it.")
    spread = effects[:-1, :-1] + noise / visitors
    spread = spread + np.eye(len(spread)) * RIDGE * float(np.trace(spread)) / len(spread)
    # The best blend minimises x'Sx with r'x = 1 and x >= 0; up to its length that is the non-negative least squares of
    # |L'x - L^-1 r|, with S = LL'.
    root = np.linalg.cholesky(spread)
    blend, _ = optimize.nnls(root.T, np.linalg.solve(root, shared))
    result: FloatArray = blend / blend.sum()
    return result


def correlation(covariance: FloatArray) -> float | None:
    """Return the correlation of the first metric with the macro; None where one of them does not vary."""
    size = covariance[0, 0] * covariance[-1, -1]
    return float(covariance[0, -1] / math.sqrt(size)) if size > 0 else None
