"""The score test of two proportions, with the intervals of difference and ratio that come from inverting it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.core.metric_kinds.base import StatisticKind
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
from reports.core.statistics import Proportion, Statistic

FloatArray = NDArray[np.float64]

# Ratios are searched on the scale of their logarithm; exp(+-50) is beyond any ratio of two counts.
LOG_RATIO_BOUND = 50.0


def _shrinkage(n_t: FloatArray, n_c: FloatArray, corrected: bool) -> FloatArray:
    total = n_t + n_c
    return np.asarray(total / (total - 1) if corrected else np.ones_like(total))


def restricted_control_share(
    difference: FloatArray, x_t: FloatArray, n_t: FloatArray, x_c: FloatArray, n_c: FloatArray
) -> FloatArray:
    """Return the likeliest share of the control among all pairs of shares that are `difference` apart.

    It is the root of a cubic within the legal range; the closed form is polished by two Newton steps, because its arc
    cosine loses half the digits where two roots meet.

    Source: Miettinen & Nurminen (1985), Statistics in Medicine 4:213-226, appendix; Farrington & Manning (1990).
    Checked against: maximising the likelihood by brute force.
    """
    total, converted = n_t + n_c, x_t + x_c
    c3 = total
    c2 = (n_t + 2 * n_c) * difference - total - converted
    c1 = (n_c * difference - total - 2 * x_c) * difference + converted
    c0 = x_c * difference * (1 - difference)
    low, high = np.maximum(0.0, -difference), np.minimum(1.0, 1 - difference)
    shift = c2 / (3 * c3)
    q = shift**3 - c1 * c2 / (6 * c3**2) + c0 / (2 * c3)
    p = np.where(q < 0, -1.0, 1.0) * np.sqrt(np.maximum(shift**2 - c1 / (3 * c3), 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = np.where(p == 0, 0.0, np.clip(q / p**3, -1.0, 1.0))
    root = np.clip(2 * p * np.cos((np.pi + np.arccos(cosine)) / 3) - shift, low, high)
    for _ in range(2):
        value = ((c3 * root + c2) * root + c1) * root + c0
        slope = (3 * c3 * root + 2 * c2) * root + c1
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.where(np.abs(slope) > 1e-9 * total, value / slope, 0.0)
        root = np.where(np.abs(step) < 1e-4, np.clip(root - step, low, high), root)
    return np.asarray(root)


@dataclass(frozen=True, slots=True)
class ScoreMoments:
    """The score at a hypothesis: how far the data lie from it, and the variance and third moment of that gap there."""

    gap: FloatArray
    variance: FloatArray
    third: FloatArray

    @property
    def z(self) -> FloatArray:
        """The gap in standard errors; over no variance at all it is 0 without a gap and infinite with one."""
        with np.errstate(divide="ignore", invalid="ignore"):
            z = self.gap / np.sqrt(self.variance)
        return np.where(self.variance > 0, z, np.where(np.abs(self.gap) < 1e-14, 0.0, np.copysign(np.inf, self.gap)))


def _third(share: FloatArray, visitors: FloatArray) -> FloatArray:
    return np.asarray(share * (1 - share) * (1 - 2 * share) / visitors**2)


def difference_moments(
    difference: ArrayLike, x_t: ArrayLike, n_t: ArrayLike, x_c: ArrayLike, n_c: ArrayLike, *, corrected: bool = True
) -> ScoreMoments:
    """Return the score moments of the hypothesis that the shares are `difference` apart (treatment minus control).

    `corrected` multiplies the variance by N/(N-1) (Miettinen & Nurminen); without it this is Mee's statistic.

    Shapes: all arguments broadcast to one shape. Source: Miettinen & Nurminen (1985).
    Checked against: the pooled chi-square at 0, brute-force restricted likelihood elsewhere.
    """
    d, xt, nt, xc, nc = (np.asarray(a, dtype=float) for a in (difference, x_t, n_t, x_c, n_c))
    r_c = restricted_control_share(d, xt, nt, xc, nc)
    r_t = np.clip(r_c + d, 0.0, 1.0)
    variance = (r_t * (1 - r_t) / nt + r_c * (1 - r_c) / nc) * _shrinkage(nt, nc, corrected)
    return ScoreMoments(np.asarray(xt / nt - xc / nc - d), variance, _third(r_t, nt) - _third(r_c, nc))


def ratio_moments(
    ratio: ArrayLike, x_t: ArrayLike, n_t: ArrayLike, x_c: ArrayLike, n_c: ArrayLike, *, corrected: bool = True
) -> ScoreMoments:
    """Return the score moments of the hypothesis that treatment / control equals `ratio`.

    Shapes: all arguments broadcast to one shape. Source: Miettinen & Nurminen (1985); without the N/(N-1) correction
    Koopman (1984), Biometrics 40:513-517. Checked against: statsmodels confint_proportions_2indep(compare="ratio").
    """
    phi, xt, nt, xc, nc = (np.asarray(a, dtype=float) for a in (ratio, x_t, n_t, x_c, n_c))
    a = (nt + nc) * phi
    b = -((nc + xt) + phi * (nt + xc))
    c = xt + xc
    # The smaller root of a r^2 + b r + c, in the form that does not subtract near-equal numbers.
    r_c = np.clip(2 * c / (-b + np.sqrt(np.maximum(b * b - 4 * a * c, 0.0))), 0.0, 1.0)
    r_t = np.clip(phi * r_c, 0.0, 1.0)
    variance = (r_t * (1 - r_t) / nt + phi**2 * r_c * (1 - r_c) / nc) * _shrinkage(nt, nc, corrected)
    return ScoreMoments(np.asarray(xt / nt - phi * (xc / nc)), variance, _third(r_t, nt) - phi**3 * _third(r_c, nc))


def z_difference(
    difference: ArrayLike, x_t: ArrayLike, n_t: ArrayLike, x_c: ArrayLike, n_c: ArrayLike, *, corrected: bool = True
) -> FloatArray:
    """Return the score z at `difference`; see `difference_moments`."""
    return difference_moments(difference, x_t, n_t, x_c, n_c, corrected=corrected).z


def z_ratio(
    ratio: ArrayLike, x_t: ArrayLike, n_t: ArrayLike, x_c: ArrayLike, n_c: ArrayLike, *, corrected: bool = True
) -> FloatArray:
    """Return the score z at `ratio`; see `ratio_moments`."""
    return ratio_moments(ratio, x_t, n_t, x_c, n_c, corrected=corrected).z


def difference_limits(
    x_t: ArrayLike, n_t: ArrayLike, x_c: ArrayLike, n_c: ArrayLike, *, critical: ArrayLike, corrected: bool = True
) -> tuple[FloatArray, FloatArray]:
    """Return the differences that the score test just does not reject at `critical`: low and high.

    Shapes: all arguments broadcast to one shape.
    """
    counts = np.broadcast_arrays(*(np.asarray(a, dtype=float) for a in (x_t, n_t, x_c, n_c)))
    shape = counts[0].shape
    return inverted_limits(
        lambda d: z_difference(d, *counts, corrected=corrected),
        np.full(shape, -1.0),
        np.full(shape, 1.0),
        critical,
        near=near_difference(*counts),
    )


def near_difference(
    x_t: FloatArray, n_t: FloatArray, x_c: FloatArray, n_c: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the difference and about its standard error: where to look for limits, not what to report."""
    t, c = (x_t + 0.5) / (n_t + 1), (x_c + 0.5) / (n_c + 1)
    return x_t / n_t - x_c / n_c, np.sqrt(t * (1 - t) / n_t + c * (1 - c) / n_c)


def near_log_ratio(x_t: FloatArray, n_t: FloatArray, x_c: FloatArray, n_c: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the logarithm of the ratio and about its standard error: where to look for limits, not what to report."""
    t, c = np.maximum(x_t, 0.5), np.maximum(x_c, 0.5)
    return np.log(t / n_t) - np.log(c / n_c), np.sqrt(1 / t + 1 / c)


def ratio_limits(
    x_t: ArrayLike, n_t: ArrayLike, x_c: ArrayLike, n_c: ArrayLike, *, critical: ArrayLike, corrected: bool = True
) -> tuple[FloatArray, FloatArray]:
    """Return the ratios that the score test just does not reject at `critical`: low (may be 0) and high (may be infinite).

    Shapes: all arguments broadcast to one shape.
    """
    counts = np.broadcast_arrays(*(np.asarray(a, dtype=float) for a in (x_t, n_t, x_c, n_c)))
    bound = np.full(counts[0].shape, LOG_RATIO_BOUND)
    low, high = inverted_limits(
        lambda log_ratio: z_ratio(np.exp(log_ratio), *counts, corrected=corrected),
        -bound,
        bound,
        critical,
        near=near_log_ratio(*counts),
    )
    return np.where(counts[0] == 0, 0.0, np.exp(low)), np.where(counts[2] == 0, np.inf, np.exp(high))


def proportions(treatment: Statistic, control: Statistic) -> tuple[Proportion, Proportion] | NotComputable:
    """Return both as proportions, or the reason why they cannot be compared."""
    t, c = cast(Proportion, treatment), cast(Proportion, control)
    for name, arm in (("treatment", t), ("control", c)):
        if arm.visitors == 0:
            return NotComputable(Blocker.NO_VISITORS, f"No visitor of the {name} has been counted yet.")
    return t, c


def lift_of(t: Proportion, c: Proportion, low: float, high: float) -> Lift | NotComputable:
    """Return the relative effect with the interval whose ratios are `low` and `high`."""
    if c.converted == 0 and t.converted == 0:
        return NotComputable(Blocker.BASELINE_IS_ZERO, "Nobody has converted, so there is nothing to compare with.")
    value = float("inf") if c.converted == 0 else t.value / c.value - 1
    return Lift(value, Interval(low - 1, high - 1))


class ScoreMethod:
    """Compare two proportions by the score test; intervals of Miettinen & Nurminen.

    Source: Miettinen & Nurminen (1985); Koopman (1984); Fagerland, Lydersen & Laake (2015), SMMR 24:224-254.
    Checked against: brute-force inversion, statsmodels where it is right (ratios, and differences at 0).
    """

    key = "score"
    label = "Score test, Miettinen-Nurminen interval"
    statistic = StatisticKind.PROPORTION

    def suits(self, treatment: Statistic, control: Statistic) -> bool:
        return True

    def compare(self, treatment: Statistic, control: Statistic, *, alpha: float) -> Comparison | NotComputable:
        pair = proportions(treatment, control)
        if isinstance(pair, NotComputable):
            return pair
        t, c = pair
        counts = (t.converted, t.visitors, c.converted, c.visitors)
        critical = critical_value(alpha)
        low, high = difference_limits(*counts, critical=critical)
        ratio_low, ratio_high = ratio_limits(*counts, critical=critical)
        z = float(z_difference(0.0, *counts))
        return Comparison(
            method=self.key,
            alpha=alpha,
            effect=t.value - c.value,
            interval=Interval(float(low), float(high)),
            lift=lift_of(t, c, float(ratio_low), float(ratio_high)),
            z=z,
            p_value=two_sided_p(z),
        )

    def margin_z(self, treatment: Statistic, control: Statistic, *, ratio: float) -> float | NotComputable:
        pair = proportions(treatment, control)
        if isinstance(pair, NotComputable):
            return pair
        t, c = pair
        return float(z_ratio(ratio, t.converted, t.visitors, c.converted, c.visitors))
