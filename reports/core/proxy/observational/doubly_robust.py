"""What would change if a micro conversion were done by all or by none, adjusted for what was known before it.

The adjustment is only as good as what was measured: the wish to buy is not, and it drives both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from reports.core.methods.base import Blocker, Interval, NotComputable, critical_value

FloatArray = NDArray[np.float64]

FOLDS = 5
TRIM = 0.02
LEAST_PER_FOLD = 2
_RIDGE = 1e-3
_STEPS = 50


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Adjusted shares of visitors who reach the macro conversion, with all and with none of them doing the micro.

    `ceiling` is the share of all macro conversions that would be missing without the micro, if all of the adjusted
    association were causal: a lift of x in the micro can raise the macro by at most about ceiling * x. `limited` counts the
    visitors whose propensity was cut at its limits. `influence` holds the influence values of share_without and of the macro share.
    Shapes: `influence` is (visitors, 2).
    """

    share_with: float
    share_without: float
    risk_difference: float
    interval: Interval
    ceiling: float
    ceiling_interval: Interval
    limited: int
    influence: FloatArray


def adjusted_association(
    did_micro: FloatArray,
    did_macro: FloatArray,
    covariates: FloatArray,
    rng: np.random.Generator,
    *,
    alpha: float = 0.05,
) -> Adjusted | NotComputable:
    """Estimate both shares by augmented inverse propensity weighting, cross-fitted over five folds.

    Propensities are held within [0.02, 0.98], which bounds the weight of any one visitor.

    Shapes: `did_micro` and `did_macro` (visitors,) of 0 and 1, `covariates` (visitors, k), without missing values.
    Source: Robins, Rotnitzky & Zhao (1994), JASA 89:846-866; Chernozhukov et al. (2018), Econometrics Journal 21:C1-C68.
    """
    visitors = len(did_micro)
    cells = [int(np.count_nonzero((did_micro == s) & (did_macro == y))) for s in (0, 1) for y in (0, 1)]
    if min(cells) < FOLDS * LEAST_PER_FOLD:
        return NotComputable(
            Blocker.TOO_FEW_CONVERSIONS,
            f"Adjusting takes {FOLDS * LEAST_PER_FOLD} visitors with each outcome, with the micro conversion and without; "
            f"the smallest group has {min(cells)}.",
        )
    design = _standardised(covariates)
    fold = _folds(did_micro, did_macro, rng)
    with_all, with_none, propensity = (np.empty(visitors) for _ in range(3))
    for number in range(FOLDS):
        learn, apply = fold != number, fold == number
        did = did_micro[learn] == 1
        propensity[apply] = _predict(design[apply], _fit(design[learn], did_micro[learn]))
        with_all[apply] = _predict(design[apply], _fit(design[learn][did], did_macro[learn][did]))
        with_none[apply] = _predict(design[apply], _fit(design[learn][~did], did_macro[learn][~did]))
    limited = int(np.count_nonzero((propensity < TRIM) | (propensity > 1 - TRIM)))
    propensity = np.clip(propensity, TRIM, 1 - TRIM)
    scores_with = with_all + did_micro * (did_macro - with_all) / propensity
    scores_without = with_none + (1 - did_micro) * (did_macro - with_none) / (1 - propensity)
    difference = scores_with - scores_without
    half = critical_value(alpha) * float(difference.std(ddof=1)) / math.sqrt(visitors)
    effect = float(difference.mean())
    without, share = float(scores_without.mean()), float(did_macro.mean())
    influence = np.column_stack([scores_without, did_macro])
    return Adjusted(
        share_with=float(scores_with.mean()),
        share_without=without,
        risk_difference=effect,
        interval=Interval(effect - half, effect + half),
        ceiling=ceiling_of(without, share),
        ceiling_interval=_ceiling_interval(influence, alpha),
        limited=limited,
        influence=influence,
    )


def ceiling_of(share_without: float, share: float) -> float:
    """Return the population attributable fraction, held within [0, 1].

    Source: Greenland & Drescher (1993), Biometrics 49:865-872.
    """
    return min(max(1 - share_without / share, 0.0), 1.0)


def _ceiling_interval(influence: FloatArray, alpha: float) -> Interval:
    """Return the delta-method interval of the attributable fraction, held within [0, 1]."""
    without, share = influence.mean(axis=0)
    gaps = influence - influence.mean(axis=0)
    slopes = -gaps[:, 0] / share + gaps[:, 1] * without / share**2
    half = critical_value(alpha) * float(slopes.std(ddof=1)) / math.sqrt(len(slopes))
    low, high = (min(max(1 - without / share + side * half, 0.0), 1.0) for side in (-1, 1))
    return Interval(low, high)


def _folds(did_micro: FloatArray, did_macro: FloatArray, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a fold for each visitor, with each of the four cells spread evenly over the folds."""
    fold = np.empty(len(did_micro), dtype=np.int64)
    for s in (0, 1):
        for y in (0, 1):
            rows = np.flatnonzero((did_micro == s) & (did_macro == y))
            fold[rng.permutation(rows)] = np.arange(len(rows)) % FOLDS
    return fold


def _standardised(covariates: FloatArray) -> FloatArray:
    spread = covariates.std(axis=0)
    kept = covariates[:, spread > 0]
    scaled = (kept - kept.mean(axis=0)) / kept.std(axis=0)
    return np.column_stack([np.ones(len(covariates)), scaled])


def _fit(design: FloatArray, outcome: FloatArray) -> FloatArray:
    """Return the coefficients of a logistic regression by Newton's method.

    A little ridge (as if a thousandth of the visitors' information spoke for no difference) keeps the answer finite where a
    covariate separates the outcomes; the intercept is free.
    """
    penalty = np.full(design.shape[1], _RIDGE * len(design) / 4)
    penalty[0] = 0.0
    coefficients = np.zeros(design.shape[1])
    coefficients[0] = special.logit(np.clip(outcome.mean(), 1e-6, 1 - 1e-6))
    for _ in range(_STEPS):
        expected = special.expit(design @ coefficients)
        weights = np.maximum(expected * (1 - expected), 1e-9)
        information = (design * weights[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(information, design.T @ (outcome - expected) - penalty * coefficients)
        coefficients = coefficients + np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-8:
            break
    return coefficients


def _predict(design: FloatArray, coefficients: FloatArray) -> FloatArray:
    shares: FloatArray = special.expit(design @ coefficients)
    return shares
