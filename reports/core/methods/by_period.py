"""Comparing variants whose weights changed on the way: within each period, and then together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.core.metric_kinds.base import StatisticKind
from reports.core.event_times import EventTimes
from reports.core.methods.base import (
    Blocker,
    Comparison,
    Interval,
    Lift,
    NotComputable,
    critical_value,
    two_sided_p,
)
from reports.core.methods.inversion import inverted_limits
from reports.core.methods.midp import FEW_CONVERSIONS, UNEQUAL_SPLIT, skewness_corrected_statistic
from reports.core.methods.score import LOG_RATIO_BOUND, ScoreMoments, difference_moments, ratio_moments
from reports.core.methods.welch import Estimates, compare_estimates, estimates_margin_z
from reports.core.quantiles import Quantile
from reports.core.statistics import Part, Proportion, Statistic, Stratified

FloatArray = NDArray[np.float64]
Moments = Callable[[FloatArray], ScoreMoments]


@dataclass(frozen=True, slots=True, eq=False)
class StratifiedShares:
    """Shares in strata, weighted as Mantel and Haenszel do: n_t n_c / (n_t + n_c).

    Shapes: all (strata,), with visitors in both variants of each.
    """

    x_t: FloatArray
    n_t: FloatArray
    x_c: FloatArray
    n_c: FloatArray

    @property
    def weights(self) -> FloatArray:
        return np.asarray(self.n_t * self.n_c / (self.n_t + self.n_c))

    def z_difference(self, difference: FloatArray) -> FloatArray:
        return self._z(
            self._summed(lambda d: difference_moments(d, self.x_t, self.n_t, self.x_c, self.n_c)), difference
        )

    def z_ratio(self, ratio: FloatArray) -> FloatArray:
        return self._z(self._summed(lambda phi: ratio_moments(phi, self.x_t, self.n_t, self.x_c, self.n_c)), ratio)

    def _summed(self, moments: Moments) -> Moments:
        """Return the moments of the weighted gap over all strata. Shapes: a point for each answer."""

        def summed(point: FloatArray) -> ScoreMoments:
            at, w = moments(np.asarray(point)[..., None]), self.weights
            return ScoreMoments(
                np.asarray((w * at.gap).sum(axis=-1)),
                np.asarray((w**2 * at.variance).sum(axis=-1)),
                np.asarray((w**3 * at.third).sum(axis=-1)),
            )

        return summed

    def _z(self, moments: Moments, point: FloatArray) -> FloatArray:
        return skewness_corrected_statistic(moments)(point) if self._is_skew else moments(point).z

    @property
    def _is_skew(self) -> bool:
        """Whether the score alone leans: conversions that are few in the smaller variant of an unequal split."""
        ratio = np.maximum(self.n_t / self.n_c, self.n_c / self.n_t)
        expected = np.minimum(self.n_t, self.n_c) * (self.x_t + self.x_c) / (self.n_t + self.n_c)
        return bool(ratio.max() > UNEQUAL_SPLIT and expected.sum() < FEW_CONVERSIONS)

    def compare(self, key: str, *, alpha: float) -> Comparison | NotComputable:
        """Compare; difference and ratio are Mantel's and Haenszel's, their intervals invert the score of each."""
        w = self.weights
        share_t, share_c = (float(w @ (x / n)) / float(w.sum()) for x, n in self._arms())
        critical = critical_value(alpha)
        one, bound = np.asarray(1.0), np.asarray(LOG_RATIO_BOUND)
        low, high = inverted_limits(self.z_difference, -one, one, critical)
        z = float(self.z_difference(np.asarray(0.0)))
        return Comparison(
            method=key,
            alpha=alpha,
            effect=share_t - share_c,
            interval=Interval(float(low), float(high)),
            lift=self._lift(
                share_t, share_c, inverted_limits(lambda log: self.z_ratio(np.exp(log)), -bound, bound, critical)
            ),
            z=z,
            p_value=two_sided_p(z),
        )

    def _arms(self) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
        return (self.x_t, self.n_t), (self.x_c, self.n_c)

    @staticmethod
    def _lift(share_t: float, share_c: float, log_limits: tuple[FloatArray, FloatArray]) -> Lift | NotComputable:
        if share_c == 0 and share_t == 0:
            return NotComputable(Blocker.BASELINE_IS_ZERO, "Nobody has converted, so there is nothing to compare with.")
        low = 0.0 if share_t == 0 else float(np.exp(log_limits[0]))
        high = math.inf if share_c == 0 else float(np.exp(log_limits[1]))
        return Lift(math.inf if share_c == 0 else share_t / share_c - 1, Interval(low - 1, high - 1))


class ScoreByPeriodMethod:
    """Compare shares within periods of different weights: Mantel-Haenszel difference and ratio, stratified score.

    Visitors of different periods differ, and a variant that got most of its visitors in one of them differs for that reason
    alone: added up, such data can turn the sign. At no difference the square of z is the test of Cochran, Mantel and
    Haenszel.

    Source: Mantel & Haenszel (1959), JNCI 22:719-748; Greenland & Robins (1985), Biometrics 41:55-68; Miettinen & Nurminen
    (1985) for the stratified score; Crook et al. (2009), KDD, section 5. Checked against: statsmodels StratifiedTable.
    """

    key = "score_by_period"
    label = "Within periods of equal weights: Mantel-Haenszel, stratified score test and interval"
    statistic = StatisticKind.PROPORTION

    def suits(self, treatment: Statistic, control: Statistic) -> bool:
        return isinstance(treatment, Stratified) and isinstance(treatment.parts[0], Proportion | EventTimes)

    def compare(self, treatment: Statistic, control: Statistic, *, alpha: float) -> Comparison | NotComputable:
        shares = _shares(treatment, control)
        return shares if isinstance(shares, NotComputable) else shares.compare(self.key, alpha=alpha)

    def margin_z(self, treatment: Statistic, control: Statistic, *, ratio: float) -> float | NotComputable:
        shares = _shares(treatment, control)
        return shares if isinstance(shares, NotComputable) else float(shares.z_ratio(np.asarray(ratio)))


class WelchByPeriodMethod:
    """Compare means or ratios within periods of different weights; the periods are weighted as Mantel and Haenszel do.

    Source: Welch (1947) with Satterthwaite's degrees of freedom over all cells; weights after Mantel & Haenszel (1959).
    Checked against: one period, where it is the plain comparison; the weighted difference worked by hand.
    """

    key = "welch_by_period"
    label = "Within periods of equal weights: weighted means, Welch's t, Fieller interval for the lift"
    statistic = StatisticKind.MEAN

    def suits(self, treatment: Statistic, control: Statistic) -> bool:
        return isinstance(treatment, Stratified)

    def compare(self, treatment: Statistic, control: Statistic, *, alpha: float) -> Comparison | NotComputable:
        pair = _means(treatment, control)
        return pair if isinstance(pair, NotComputable) else compare_estimates(self.key, pair, alpha=alpha)

    def margin_z(self, treatment: Statistic, control: Statistic, *, ratio: float) -> float | NotComputable:
        pair = _means(treatment, control)
        return pair if isinstance(pair, NotComputable) else estimates_margin_z(pair, ratio=ratio)


def _pairs(treatment: Statistic, control: Statistic) -> list[tuple[Part, Part]]:
    """Return the periods that say anything: those with visitors in both variants."""
    if not isinstance(treatment, Stratified) or not isinstance(control, Stratified):
        raise TypeError("Periods are compared with periods.")
    both = zip(treatment.parts, control.parts, strict=True)
    return [(t, c) for t, c in both if t.visitors and c.visitors]


NOBODY = NotComputable(Blocker.NO_VISITORS, "In no period of equal weights have both variants had visitors who count.")


def _shares(treatment: Statistic, control: Statistic) -> StratifiedShares | NotComputable:
    rows = [row for t, c in _pairs(treatment, control) if (row := (*_counts(t), *_counts(c)))[1] and row[3]]
    if not rows:
        return NOBODY
    return StratifiedShares(*np.asarray(rows, dtype=float).T)


def _counts(part: Part) -> tuple[float, float]:
    """Return converted and visitors, effective ones of Kaplan-Meier shares; (0, 0) where nothing can be said yet."""
    if isinstance(part, EventTimes):
        n = part.effective_visitors
        return (part.value * n, n) if n else (0.0, 0.0)
    return part.total, float(part.visitors)


def _means(treatment: Statistic, control: Statistic) -> Estimates | NotComputable:
    pairs = [(t, c) for t, c in _pairs(treatment, control) if min(t.visitors, c.visitors) > 1]
    if any(isinstance(t, Quantile) for t, _ in pairs):
        return NotComputable(
            Blocker.PERIODS_DIFFER,
            "The weights changed on the way, so the periods must not be added up, and a quantile cannot be put together from "
            "them.",
        )
    cells = [
        (t, c)
        for t, c in pairs
        if not isinstance(t, Proportion)
        and not isinstance(c, Proportion)
        and all(math.isfinite(v) for v in (t.value, c.value, t.variance, c.variance))
    ]
    if not cells:
        return NOBODY
    weights = np.array([t.visitors * c.visitors / (t.visitors + c.visitors) for t, c in cells])
    weights /= weights.sum()
    values = [float(weights @ [pair[i].value for pair in cells]) for i in (0, 1)]
    terms = [
        [w**2 * pair[i].variance / pair[i].visitors for w, pair in zip(weights, cells, strict=True)] for i in (0, 1)
    ]
    variances = [math.fsum(arm) for arm in terms]
    if not min(variances) > 0:
        return NotComputable(Blocker.NO_VARIATION, "All visitors of a variant have the same value within the periods.")
    squares = _squares_by_freedom(terms, cells)
    return Estimates(values[0], values[1], variances[0], variances[1], math.fsum(variances) ** 2 / squares)


def _squares_by_freedom(terms: Sequence[Sequence[float]], cells: Sequence[tuple[Part, Part]]) -> float:
    return math.fsum(
        term**2 / (pair[i].visitors - 1) for i in (0, 1) for term, pair in zip(terms[i], cells, strict=True)
    )
