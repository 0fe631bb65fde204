"""Comparing shares converted within a window when some visitors are still inside theirs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.core.metric_kinds.base import StatisticKind
from reports.core.event_times import LEAST_MATURED, EventTimes
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
from reports.core.methods.score import (
    LOG_RATIO_BOUND,
    ScoreMoments,
    difference_moments,
    near_difference,
    near_log_ratio,
    ratio_moments,
)
from reports.core.statistics import Statistic

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Effective:
    """Two variants as shares of so many visitors, all followed to the end, who would say as much."""

    x_t: float
    n_t: float
    x_c: float
    n_c: float
    standard_error: float

    @property
    def counts(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        return np.asarray(self.x_t), np.asarray(self.n_t), np.asarray(self.x_c), np.asarray(self.n_c)

    @property
    def is_skew(self) -> bool:
        """Whether the score alone leans: few conversions at an unequal split, the rule of the mid-P method."""
        small, large = sorted((self.n_t, self.n_c))
        share = (self.x_t + self.x_c) / (small + large)
        return large / small > UNEQUAL_SPLIT and small * min(share, 1 - share) < FEW_CONVERSIONS

    def z_difference(self, difference: FloatArray) -> FloatArray:
        return self._z(lambda d: difference_moments(d, self.x_t, self.n_t, self.x_c, self.n_c), difference)

    def z_ratio(self, ratio: FloatArray) -> FloatArray:
        return self._z(lambda phi: ratio_moments(phi, self.x_t, self.n_t, self.x_c, self.n_c), ratio)

    def _z(self, moments: Callable[[FloatArray], ScoreMoments], point: FloatArray) -> FloatArray:
        return skewness_corrected_statistic(moments)(point) if self.is_skew else moments(point).z


class KaplanMeierMethod:
    """Compare Kaplan-Meier shares by the score test on effective numbers.

    Greenwood's variance says how many visitors, all followed to the end, would know the share as well. With these numbers
    the comparison is the one of shares, variance under the hypothesis included: the plain Wald test of two Kaplan-Meier
    shares is wrong at few conversions for the same reason as that of two shares. Once everybody has been followed to the end
    it is exactly the comparison of shares.

    Source: Rothman (1978), Journal of Chronic Diseases 31:557-560, for effective numbers; Miettinen & Nurminen (1985);
    Klein et al. (2007), Statistics in Medicine 26:4505-4519, for comparing at one point in time.
    Checked against: statsmodels.duration.SurvfuncRight (share and Greenwood error); the score method without censoring.
    """

    key = "kaplan_meier"
    label = "Kaplan-Meier shares, score test and interval on effective numbers"
    statistic = StatisticKind.TIME_TO_EVENT

    def suits(self, treatment: Statistic, control: Statistic) -> bool:
        return True

    def compare(self, treatment: Statistic, control: Statistic, *, alpha: float) -> Comparison | NotComputable:
        pair = effective(treatment, control)
        if isinstance(pair, NotComputable):
            return pair
        critical = critical_value(alpha)
        one, bound = np.asarray(1.0), np.asarray(LOG_RATIO_BOUND)
        low, high = inverted_limits(pair.z_difference, -one, one, critical, near=near_difference(*pair.counts))
        log_limits = inverted_limits(
            lambda log: pair.z_ratio(np.exp(log)), -bound, bound, critical, near=near_log_ratio(*pair.counts)
        )
        z = float(pair.z_difference(np.asarray(0.0)))
        return Comparison(
            method=self.key,
            alpha=alpha,
            effect=treatment.value - control.value,
            interval=Interval(float(low), float(high)),
            lift=_lift(pair, *log_limits),
            z=z,
            p_value=two_sided_p(z),
            standard_error=pair.standard_error,
        )

    def margin_z(self, treatment: Statistic, control: Statistic, *, ratio: float) -> float | NotComputable:
        pair = effective(treatment, control)
        return pair if isinstance(pair, NotComputable) else float(pair.z_ratio(np.asarray(ratio)))


def effective(treatment: Statistic, control: Statistic) -> Effective | NotComputable:
    """Return both variants in effective numbers, or why one of them has none."""
    if not isinstance(treatment, EventTimes) or not isinstance(control, EventTimes):
        raise TypeError("Kaplan-Meier compares times.")
    for name, arm in (("treatment", treatment), ("control", control)):
        if arm.visitors == 0:
            return NotComputable(Blocker.NO_VISITORS, f"No visitor of the {name} has been counted yet.")
        if not arm.is_estimable:
            return NotComputable(
                Blocker.NO_MATURED_VISITORS,
                f"{arm.matured:,} visitors of the {name} have been followed to the end of the window; what happens there "
                f"takes {LEAST_MATURED}.",
            )
    n_t, n_c = treatment.effective_visitors, control.effective_visitors
    return Effective(
        x_t=treatment.value * n_t,
        n_t=n_t,
        x_c=control.value * n_c,
        n_c=n_c,
        standard_error=math.sqrt(treatment.variance / treatment.visitors + control.variance / control.visitors),
    )


def _lift(pair: Effective, log_low: FloatArray, log_high: FloatArray) -> Lift | NotComputable:
    if pair.x_c == 0 and pair.x_t == 0:
        return NotComputable(Blocker.BASELINE_IS_ZERO, "Nobody has converted, so there is nothing to compare with.")
    value = math.inf if pair.x_c == 0 else (pair.x_t / pair.n_t) / (pair.x_c / pair.n_c) - 1
    low = 0.0 if pair.x_t == 0 else float(np.exp(log_low))
    high = math.inf if pair.x_c == 0 else float(np.exp(log_high))
    return Lift(value, Interval(low - 1, high - 1))
