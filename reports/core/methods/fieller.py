"""Fieller's interval of a ratio of two estimates: the relative lift that always agrees with the absolute effect."""

from __future__ import annotations

import math

from reports.core.methods.base import Blocker, Interval, Lift, NotComputable


def fieller_lift(
    estimate_t: float,
    variance_t: float,
    estimate_c: float,
    variance_c: float,
    *,
    critical: float,
    covariance: float = 0.0,
) -> Lift | NotComputable:
    """Return estimate_t / estimate_c - 1 with the interval of all ratios that are not rejected at `critical`.

    With the critical value of the absolute comparison it excludes 0 exactly when that one does.

    Units: variances are those of the estimates (not of one visitor).
    Source: Fieller (1954), JRSS B 16:175-185; Deng, Knoblich & Lu (2018), KDD, section 3.
    Checked against: solving |t - r c| = critical * se(r) for r by root finding.
    """
    if estimate_c < 0:
        return NotComputable(
            Blocker.BASELINE_IS_NEGATIVE, "The control's value is below 0, so a relative change of it has no meaning."
        )
    a = estimate_c**2 - critical**2 * variance_c
    if a <= 0:
        return NotComputable(
            Blocker.BASELINE_NEAR_ZERO,
            "The control's value cannot be told apart from 0 yet, so a relative change of it cannot be estimated; "
            "read the absolute effect.",
        )
    b = estimate_c * estimate_t - critical**2 * covariance
    d = estimate_t**2 - critical**2 * variance_t
    root = math.sqrt(max(b * b - a * d, 0.0))
    return Lift(estimate_t / estimate_c - 1, Interval((b - root) / a - 1, (b + root) / a - 1))
