"""Welch's t-test of two means, with the relative lift by Fieller."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from experiments.core.metric_kinds.base import StatisticKind
from reports.core.methods.base import Blocker, Comparison, Interval, NotComputable
from reports.core.methods.fieller import fieller_lift
from reports.core.statistics import Mean, Ratio, Statistic

SMALLEST_TAIL = float(np.finfo(float).tiny)


@dataclass(frozen=True, slots=True)
class Estimates:
    """Two independent estimates with the variances of these estimates and Satterthwaite's degrees of freedom."""

    t: float
    c: float
    variance_t: float
    variance_c: float
    degrees_of_freedom: float

    @property
    def standard_error(self) -> float:
        return math.sqrt(self.variance_t + self.variance_c)


def estimates(t: Mean | Ratio, c: Mean | Ratio) -> Estimates | NotComputable:
    """Return what a Welch comparison needs, or why there is none: it takes two visitors and some variation in each variant."""
    for name, arm in (("treatment", t), ("control", c)):
        if arm.visitors == 0:
            return NotComputable(Blocker.NO_VISITORS, f"No visitor of the {name} has been counted yet.")
        if isinstance(arm, Ratio) and not arm.denominator_mean:
            return NotComputable(Blocker.NO_DENOMINATOR, f"The denominator of the {name} adds up to 0.")
        if arm.visitors < 2:
            return NotComputable(Blocker.TOO_FEW_VISITORS, f"The {name} has one visitor; a variance takes two or more.")
        # Rounding leaves a speck of variance on equal numbers.
        if arm.variance <= 1e-24 * max(arm.value**2, SMALLEST_TAIL):
            return NotComputable(
                Blocker.NO_VARIATION, f"All {arm.visitors} visitors of the {name} have the same value, {arm.value:g}."
            )
    v_t, v_c = t.variance / t.visitors, c.variance / c.visitors
    freedom = (v_t + v_c) ** 2 / (v_t**2 / (t.visitors - 1) + v_c**2 / (c.visitors - 1))
    return Estimates(t.value, c.value, v_t, v_c, freedom)


def normal_equivalent(t: float, degrees_of_freedom: float) -> float:
    """Return the standard normal z that has the same tail probability as `t`."""
    tail = max(float(special.stdtr(degrees_of_freedom, -abs(t))), SMALLEST_TAIL)
    return math.copysign(float(-special.ndtri(tail)), t)


def compare_estimates(key: str, pair: Estimates, *, alpha: float) -> Comparison:
    """Compare two estimates by t with Welch's degrees of freedom; the lift by Fieller with the same critical value."""
    critical = float(-special.stdtrit(pair.degrees_of_freedom, alpha / 2))
    effect, error = pair.t - pair.c, pair.standard_error
    t = effect / error
    return Comparison(
        method=key,
        alpha=alpha,
        effect=effect,
        interval=Interval(effect - critical * error, effect + critical * error),
        lift=fieller_lift(pair.t, pair.variance_t, pair.c, pair.variance_c, critical=critical),
        z=normal_equivalent(t, pair.degrees_of_freedom),
        p_value=min(1.0, 2 * float(special.stdtr(pair.degrees_of_freedom, -abs(t)))),
        standard_error=error,
        degrees_of_freedom=pair.degrees_of_freedom,
    )


def estimates_margin_z(pair: Estimates, *, ratio: float) -> float:
    """Return the z of the hypothesis that the estimates have this ratio, with the degrees of freedom of the comparison."""
    error = math.sqrt(pair.variance_t + ratio**2 * pair.variance_c)
    return normal_equivalent((pair.t - ratio * pair.c) / error, pair.degrees_of_freedom)


class WelchMethod:
    """Compare two means with Welch's unequal-variance t-test.

    Source: Welch (1947), Biometrika 34:28-35; degrees of freedom after Satterthwaite.
    Checked against: scipy.stats.ttest_ind(equal_var=False).
    """

    key = "welch"
    label = "Welch's t-test, Fieller interval for the lift"
    statistic = StatisticKind.MEAN

    def suits(self, treatment: Statistic, control: Statistic) -> bool:
        return True

    def compare(self, treatment: Statistic, control: Statistic, *, alpha: float) -> Comparison | NotComputable:
        pair = _pair(treatment, control)
        return pair if isinstance(pair, NotComputable) else compare_estimates(self.key, pair, alpha=alpha)

    def margin_z(self, treatment: Statistic, control: Statistic, *, ratio: float) -> float | NotComputable:
        pair = _pair(treatment, control)
        return pair if isinstance(pair, NotComputable) else estimates_margin_z(pair, ratio=ratio)


def _pair(treatment: Statistic, control: Statistic) -> Estimates | NotComputable:
    if not isinstance(treatment, Mean) or not isinstance(control, Mean):
        raise TypeError("Welch compares means.")
    return estimates(treatment, control)
