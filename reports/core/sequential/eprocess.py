"""Exact e-processes: evidence against a split or equal rates that may be read at any time, as often as one likes.

An e-process starts at 1 and under the hypothesis reaches 1/alpha with probability alpha at most, whenever one looks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special


def log_dirichlet_multinomial_e(counts: Sequence[int], shares: Sequence[float], *, concentration: float) -> float:
    """Return log e of "each arrival falls on the cells with these shares", mixed over a Dirichlet prior about them.

    `concentration` is the prior's weight in arrivals: large for small deviations, small for large ones.

    Shapes: both (cells,). Source: Lindon & Malek (2022), NeurIPS, arXiv 2011.03567, section 3.
    Checked against: savvi.Multinomial; multiplying the predictive probabilities one arrival at a time.
    """
    seen = np.asarray(counts, dtype=float)
    expected = np.asarray(shares, dtype=float) / math.fsum(shares)
    if np.any(seen < 0) or np.any(expected <= 0):
        raise ValueError(f"Counts are not negative and shares above 0: {list(counts)}, {list(shares)}.")
    prior = concentration * expected
    return float(
        special.gammaln(prior.sum())
        - special.gammaln(prior.sum() + seen.sum())
        + np.sum(special.gammaln(prior + seen) - special.gammaln(prior))
        - seen @ np.log(expected)
    )


def split_concentration(arrivals: int) -> float:
    """Return the concentration for a watch over the split: 1,000, or 100 for fewer than 1,000 arrivals (STATISTICS 6)."""
    return 1000.0 if arrivals >= 1000 else 100.0


def highest_log_e(
    daily: Sequence[Sequence[int]], shares: Sequence[float], *, concentration: float
) -> tuple[float, float]:
    """Return log e now and its highest value after any day so far.

    Shapes: `daily` (days, cells), arrivals of each day.
    """
    cumulative = np.cumsum(np.asarray(daily, dtype=float).reshape(-1, len(shares)), axis=0)
    if not len(cumulative):
        return 0.0, 0.0
    values = [
        log_dirichlet_multinomial_e([int(n) for n in row], shares, concentration=concentration) for row in cumulative
    ]
    return values[-1], max(0.0, *values)


def rare_event_concentration(share: float, least_ratio: float) -> float:
    """Return the prior weight that puts one standard deviation of the prior at the smallest ratio worth finding.

    `share` is the treatment's part of the conversions without an effect, `least_ratio` treatment rate over control rate.

    Source: Lindon & Malek (2022), section 4; STATISTICS section 4.4.
    """
    if not 0 < share < 1 or least_ratio <= 0 or least_ratio == 1:
        raise ValueError(f"Need a share between 0 and 1 and a ratio other than 1, not {share} and {least_ratio}.")
    odds = share / (1 - share) * least_ratio
    gap = odds / (1 + odds) - share
    return max(share * (1 - share) / gap**2 - 1, 1e-3)


def log_worsening_e(converted_t: int, converted_c: int, share: float, *, concentration: float) -> float:
    """Return log e of "the treatment does not convert less": large when too few of the conversions are the treatment's.

    The treatment's part of the conversions follows its part of the visitors when rates are equal, and exceeds it when the
    treatment is better. The Beta prior is cut to parts below that share, so only worsening adds evidence. Valid for rare
    conversions and no conversions at all, and while the base rate changes over time.

    Source: Lindon & Malek (2022), section 4 (one-sided by truncating the prior).
    Checked against: numerical integration of the mixture.
    """
    a, b = concentration * share, concentration * (1 - share)
    log_prior_below = _log_betainc(a, b, share)
    log_posterior_below = _log_betainc(a + converted_t, b + converted_c, share)
    log_mixture = special.betaln(a + converted_t, b + converted_c) - special.betaln(a, b)
    log_null = converted_t * math.log(share) + converted_c * math.log1p(-share)
    return float(log_mixture + log_posterior_below - log_prior_below - log_null)


def _log_betainc(a: float, b: float, x: float) -> float:
    value = float(special.betainc(a, b, x))
    if value > 1e-290:
        return math.log(value)
    # Far in the tail: the leading term of the continued fraction.
    return float(a * math.log(x) + b * math.log1p(-x) - math.log(a) - special.betaln(a, b))
