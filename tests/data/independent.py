"""The oracles of the real data sets: nothing here uses the product's code.

Score tests by scipy's chi-square; score intervals by maximising the likelihood numerically under each hypothesis, where the
product solves a cubic in closed form; means by scipy; Fieller's interval by finding where the test of `t - rho c` turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, stats

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Expected:
    effect: float
    ci: tuple[float, float]
    lift: float
    lift_ci: tuple[float, float]
    p_value: float


def proportions(x_t: int, n_t: int, x_c: int, n_c: int) -> Expected:
    """Score test with the N-1 correction, and its inversion for the difference and for the ratio."""
    p_t, p_c, total = x_t / n_t, x_c / n_c, n_t + n_c
    table = [[x_t, n_t - x_t], [x_c, n_c - x_c]]
    chi_square = stats.chi2_contingency(table, correction=False).statistic * (total - 1) / total

    def z(distance: float, variance: float) -> float:
        return float(distance / np.sqrt(variance * total / (total - 1)))

    def likelihood(r_t: float, r_c: float) -> float:
        terms = x_t * np.log(r_t) + (n_t - x_t) * np.log1p(-r_t) + x_c * np.log(r_c) + (n_c - x_c) * np.log1p(-r_c)
        return float(terms)

    def z_difference(d: float) -> float:
        r_c = _maximise(lambda r: likelihood(r + d, r), max(0.0, -d), min(1.0, 1 - d))
        r_t = r_c + d
        return z(p_t - p_c - d, r_t * (1 - r_t) / n_t + r_c * (1 - r_c) / n_c)

    def z_ratio(phi: float) -> float:
        r_c = _maximise(lambda r: likelihood(phi * r, r), 0.0, min(1.0, 1 / phi))
        r_t = phi * r_c
        return z(p_t - phi * p_c, r_t * (1 - r_t) / n_t + phi**2 * r_c * (1 - r_c) / n_c)

    ratio = p_t / p_c
    low, high = _limits(z_ratio, ratio, 0.5 * ratio)
    return Expected(
        effect=p_t - p_c,
        ci=_limits(z_difference, p_t - p_c, 0.5 * max(p_t, p_c)),
        lift=ratio - 1,
        lift_ci=(low - 1, high - 1),
        p_value=float(stats.chi2.sf(chi_square, 1)),
    )


def means(treatment: np.ndarray[Any, Any], control: np.ndarray[Any, Any]) -> Expected:
    """Welch's test and interval; Fieller's interval for the ratio of the means with Welch's degrees of freedom."""
    test = stats.ttest_ind(treatment, control, equal_var=False)
    interval = test.confidence_interval(LEVEL)
    m_t, m_c = treatment.mean(), control.mean()
    v_t, v_c = treatment.var(ddof=1) / len(treatment), control.var(ddof=1) / len(control)

    def t(rho: float) -> float:
        return float((m_t - rho * m_c) / np.sqrt(v_t + rho**2 * v_c))

    critical = float(stats.t.ppf(0.5 + LEVEL / 2, test.df))
    low, high = _limits(t, m_t / m_c, m_t / m_c, critical)
    return Expected(
        effect=float(m_t - m_c),
        ci=(float(interval.low), float(interval.high)),
        lift=float(m_t / m_c - 1),
        lift_ci=(low - 1, high - 1),
        p_value=float(test.pvalue),
    )


def _maximise(log_likelihood: Any, low: float, high: float) -> float:
    width = high - low
    found = optimize.minimize_scalar(
        lambda r: -log_likelihood(r),
        bounds=(low + 1e-12 * width, high - 1e-12 * width),
        method="bounded",
        options={"xatol": 1e-13},
    )
    return float(found.x)


def _limits(z: Any, estimate: float, reach: float, critical: float | None = None) -> tuple[float, float]:
    bound = float(stats.norm.ppf(0.5 + LEVEL / 2)) if critical is None else critical
    low = optimize.brentq(lambda v: z(v) - bound, estimate - 0.9 * reach, estimate, xtol=1e-13)
    high = optimize.brentq(lambda v: z(v) + bound, estimate, estimate + 3 * reach, xtol=1e-13)
    return float(low), float(high)
