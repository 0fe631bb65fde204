"""Covariate adjustment by regression: Lin's interacted estimator with a missing indicator, and CUPED as its special case."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

from reports.core.methods.base import Blocker, Interval, NotComputable
from reports.core.methods.welch import Estimates, compare_estimates, estimates
from reports.core.statistics import Mean

FloatArray = NDArray[np.float64]

COLLINEAR = 1e-10
HC2_FROM = 1000
LEAST_CONVERSIONS = 25
EVENTS_PER_COVARIATE = 10
VISITORS_PER_COVARIATE = 20


@dataclass(frozen=True, slots=True)
class Adjusted:
    """An adjusted effect with its robust standard errors.

    `covariates` counts the columns that were left after constant and collinear ones were dropped.
    """

    effect: float
    hc2: float
    hc3: float
    degrees_of_freedom: int
    covariates: int
    visitors: int

    @property
    def standard_error(self) -> float:
        """HC3 below 1,000 visitors, where HC2 runs a little small; HC2 from there on."""
        return self.hc2 if self.visitors >= HC2_FROM else self.hc3

    def interval(self, alpha: float) -> Interval:
        half = float(-special.stdtrit(self.degrees_of_freedom, alpha / 2)) * self.standard_error
        return Interval(self.effect - half, self.effect + half)

    @property
    def p_value(self) -> float:
        return min(1.0, 2 * float(special.stdtr(self.degrees_of_freedom, -abs(self.effect / self.standard_error))))


def with_missing_indicators(covariates: FloatArray) -> FloatArray:
    """Return the covariates with 0 for missing values, and one column more per covariate that says where they were missing.

    The missing visitors stay in: leaving them out changes the question and multiplies the variance.

    Shapes: (visitors, covariates) to (visitors, covariates and indicators).
    Source: Zhao & Ding (2022), arXiv 2108.00152.
    """
    x = np.asarray(covariates, dtype=float)
    x = x[:, None] if x.ndim == 1 else x
    is_missing = np.isnan(x)
    return np.column_stack([np.where(is_missing, 0.0, x), is_missing[:, is_missing.any(axis=0)].astype(float)])


def lin(values: FloatArray, is_treated: FloatArray, covariates: FloatArray) -> Adjusted | NotComputable:
    """Return the effect of the interacted regression: values on treatment, centred covariates and their products.

    Valid whether or not the covariates predict anything; missing values are NaN.

    Shapes: `values` and `is_treated` (visitors,), `covariates` (visitors,) or (visitors, k).
    Source: Lin (2013), Annals of Applied Statistics 7:295-318; MacKinnon & White (1985) for HC2 and HC3.
    Checked against: statsmodels OLS with cov_type HC2 and HC3.
    """
    y, t = np.asarray(values, dtype=float), np.asarray(is_treated, dtype=float)
    x = with_missing_indicators(covariates)
    x = x[:, np.ptp(x, axis=0) > COLLINEAR * np.abs(x).max(axis=0, initial=0.0)]
    x = _independent(x - x.mean(axis=0))
    design = np.column_stack([np.ones_like(y), t, x, t[:, None] * x])
    design = np.column_stack([design[:, :2], _independent(design[:, 2:], given=design[:, :2])])
    n, k = design.shape
    if min(np.count_nonzero(t == 1), np.count_nonzero(t == 0)) < 2 or n <= k:
        return NotComputable(Blocker.TOO_FEW_VISITORS, f"{n} visitors are too few for a regression with {k} terms.")
    q, r = linalg.qr(design, mode="economic")
    residuals = y - q @ (q.T @ y)
    leverage = np.minimum(np.einsum("ij,ij->i", q, q), 1 - 1e-12)
    row = q @ linalg.solve_triangular(r, np.eye(k)[1], trans="T")
    effect = float(row @ y)
    if not np.any(np.abs(residuals) > 1e-12 * (np.abs(y).max() + 1)):
        return NotComputable(Blocker.NO_VARIATION, "The regression leaves no variation to judge an effect by.")
    return Adjusted(
        effect=effect,
        hc2=math.sqrt(float(np.sum((row * residuals) ** 2 / (1 - leverage)))),
        hc3=math.sqrt(float(np.sum((row * residuals / (1 - leverage)) ** 2))),
        degrees_of_freedom=n - k,
        covariates=x.shape[1],
        visitors=n,
    )


def arm_estimates(t: FloatArray, c: FloatArray, covariates: FloatArray) -> Estimates | NotComputable:
    """Return the adjusted means of both variants with their variances: Lin's regression, taken apart.

    Interacted with the treatment, the regression is one of each variant alone, read at the mean covariates of both; so each
    variant has a mean and a robust variance of its own, which a relative lift needs.

    Shapes: `t` (treated,), `c` (controls,), `covariates` (treated + controls, k) in that order, without missing values.
    Source: Lin (2013). Checked against: `lin`, whose effect and standard errors are the difference of these.
    """
    return fitted_estimates(t, c, usable_columns(covariates, len(t)))


def fitted_estimates(t: FloatArray, c: FloatArray, x: FloatArray) -> Estimates | NotComputable:
    """Return what `arm_estimates` does, from covariates as `usable_columns` gives them."""
    k = x.shape[1] + 1
    if min(len(t), len(c)) <= k + 1:
        return NotComputable(
            Blocker.TOO_FEW_VISITORS, f"A variant has too few visitors for a regression with {k} terms."
        )
    power = 1 if len(x) >= HC2_FROM else 2
    found = [_mean_at_origin(y, known, power) for y, known in ((t, x[: len(t)]), (c, x[len(t) :]))]
    if not all(variance > 0 for _, variance in found):
        return NotComputable(Blocker.NO_VARIATION, "The regression leaves no variation to judge an effect by.")
    (mean_t, variance_t), (mean_c, variance_c) = found
    return Estimates(mean_t, mean_c, variance_t, variance_c, len(x) - 2 * k)


def usable_columns(covariates: FloatArray, treated: int) -> FloatArray:
    """Return the covariates less their means, without those that are constant or a combination of others in a variant.

    Only they are looked at and never an outcome, so what is left out favours nothing.

    Shapes: (visitors, k) to (visitors, at most k), the `treated` ones first.
    """
    # One row a covariate: along rows, the largest and smallest of many are found several times as quick.
    rows = np.ascontiguousarray(covariates.T)
    high, low = rows.max(axis=1, initial=-np.inf), rows.min(axis=1, initial=np.inf)
    x = covariates[:, high - low > COLLINEAR * np.maximum(np.abs(high), np.abs(low))]
    x = x - x.mean(axis=0)
    spread = np.einsum("ij,ij->j", x, x) / max(len(x), 1)
    for mine in (slice(0, treated), slice(treated, None)):
        kept = _independent_columns(x[mine], spread)
        if not kept.all():
            x, spread = x[:, kept], spread[kept]
    return np.asarray(x)


def _independent_columns(x: FloatArray, spread: FloatArray) -> NDArray[np.bool_]:
    """Say which columns of a variant are neither constant nor a combination of earlier ones, measured by their `spread` in both.

    Column by column it takes out of the products what the columns kept so far explain, and leaves out what has nothing left.
    """
    centred = x - x.mean(axis=0) if len(x) else x
    left = centred.T @ centred
    least = COLLINEAR * np.maximum(spread * len(x), np.diag(left))
    kept = np.zeros(len(left), dtype=bool)
    for j in range(len(left)):
        kept[j] = left[j, j] > least[j]
        if kept[j]:
            left = left - np.outer(left[:, j], left[j]) / left[j, j]
    return kept


def _mean_at_origin(y: FloatArray, x: FloatArray, power: int) -> tuple[float, float]:
    """Return the fitted value at x = 0 with its variance, HC2 (`power` 1) or HC3 (2)."""
    n, k = x.shape
    middle = x.mean(axis=0)
    mean = float(y.mean())
    residuals, weights, leverage = y - mean, np.full(n, 1 / n), np.full(n, 1 / n)
    if k:
        q, r = _orthonormal(x - middle)
        along = q.T @ residuals
        gap = np.linalg.solve(r.T, -middle)
        mean += float(gap @ along)
        residuals = residuals - q @ along
        weights = weights + q @ gap
        leverage = leverage + np.einsum("ij,ij->i", q, q)
    if not np.any(np.abs(residuals) > 1e-12 * (np.abs(y).max() + 1)):
        return float(y.mean()), 0.0
    slack = 1 - np.minimum(leverage, 1 - 1e-12)
    return mean, float(np.sum((weights * residuals) ** 2 / slack**power))


def _orthonormal(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the QR decomposition of many rows and few independent columns, several times as quick as Householder's.

    Source: Yamamoto et al. (2015), ETNA 44:306-326 (Cholesky QR, done twice to be as exact). Checked against: scipy.linalg.qr.
    """
    first = np.linalg.cholesky(x.T @ x).T
    q = x @ np.linalg.inv(first)
    second = np.linalg.cholesky(q.T @ q).T
    return q @ np.linalg.inv(second), second @ first


def _independent(columns: FloatArray, given: FloatArray | None = None) -> FloatArray:
    """Return the columns that are neither constant nor a combination of earlier ones."""
    kept: list[FloatArray] = []
    basis = [] if given is None else list(linalg.orth(given).T)
    for column in columns.T:
        rest = column.copy()
        for direction in basis:
            rest -= (direction @ rest) * direction
        size, rest_size = float(np.linalg.norm(column)), float(np.linalg.norm(rest))
        if size > 0 and rest_size > math.sqrt(COLLINEAR) * size:
            kept.append(column)
            basis.append(rest / rest_size)
    return np.column_stack(kept) if kept else np.empty((len(columns), 0))


def refused(visitors: int, covariates: int, events_in_smaller: int | None) -> NotComputable | None:
    """Return why a regression must not be used here, or None.

    With few visitors per covariate, or few conversions in a variant, every robust standard error is too small (STATISTICS
    section 3: 10 % false positives with some 3 conversions in the small variant). `events_in_smaller` counts the conversions
    of the smaller variant, None for metrics that are no shares.
    """
    if events_in_smaller is not None and events_in_smaller < LEAST_CONVERSIONS:
        return NotComputable(
            Blocker.TOO_FEW_CONVERSIONS,
            f"A variant has {events_in_smaller} conversions; adjusting by regression takes {LEAST_CONVERSIONS} in each. "
            "Compare within strata instead.",
        )
    allowed = visitors / VISITORS_PER_COVARIATE
    if events_in_smaller is not None:
        allowed = min(allowed, events_in_smaller / EVENTS_PER_COVARIATE)
    if covariates > allowed:
        return NotComputable(
            Blocker.TOO_FEW_VISITORS, f"{covariates} covariates are too many for these data; they carry {int(allowed)}."
        )
    return None


@dataclass(frozen=True, slots=True)
class Cuped:
    """A CUPED comparison. `theta` is the slope that was taken out."""

    theta: float
    effect: float
    t: float
    degrees_of_freedom: float
    p_value: float
    interval: Interval


def cuped(
    values: FloatArray, is_treated: FloatArray, covariate: FloatArray, *, alpha: float = 0.05
) -> Cuped | NotComputable:
    """Compare means after taking out what one covariate from before the exposure predicts; Welch's test on the rest.

    Shapes: all (visitors,). Source: Deng, Xu, Kohavi & Walker (2013), WSDM. Checked against: scipy.stats.ttest_ind on the
    adjusted values; equals `lin` to first order for an equal split.
    """
    y, x = np.asarray(values, dtype=float), np.asarray(covariate, dtype=float)
    is_theirs = np.asarray(is_treated, dtype=float) == 1
    spread = float(np.sum((x - x.mean()) ** 2))
    if not spread > 0:
        return NotComputable(Blocker.NO_VARIATION, "The covariate is the same for every visitor.")
    theta = float(np.sum((x - x.mean()) * (y - y.mean()))) / spread
    rest = y - theta * (x - x.mean())
    arms = [rest[is_theirs], rest[~is_theirs]]
    t_arm, c_arm = (
        Mean(len(a), float(a.mean()), float(np.sum((a - a.mean()) ** 2))) if len(a) else Mean(0, 0.0, 0.0) for a in arms
    )
    pair = estimates(t_arm, c_arm)
    if isinstance(pair, NotComputable):
        return pair
    found = compare_estimates("cuped", pair, alpha=alpha)
    return Cuped(
        theta=theta,
        effect=found.effect,
        t=found.effect / pair.standard_error,
        degrees_of_freedom=pair.degrees_of_freedom,
        p_value=found.p_value,
        interval=found.interval,
    )
