"""How many visitors a comparison needs, what it can find with those it has, and what it costs to look often.

Sizes are not rounded, so that they can be multiplied and inverted; round up at the end.
"""

from __future__ import annotations

import math

from scipy import optimize, special


def _z(probability: float) -> float:
    return float(special.ndtri(probability))


def _check_share(*shares: float) -> None:
    if not all(0 < share < 1 for share in shares):
        raise ValueError(f"Shares lie between 0 and 1, not {shares}.")


def _spread(share: float) -> float:
    return share * (1 - share)


def visitors_for_shares(share_c: float, share_t: float, *, alpha: float, power: float) -> float:
    """Return the visitors per variant that find this change of a share, at an equal split.

    Units: `alpha` two-sided. Source: Fleiss, Levin & Paik (2003), chapter 4, without continuity correction.
    Checked against: R power.prop.test; statsmodels samplesize_proportions_2indep_onetail.
    """
    _check_share(share_c, share_t)
    if share_c == share_t:
        raise ValueError("No number of visitors finds a difference of 0.")
    middle = (share_c + share_t) / 2
    reach = _z(1 - alpha / 2) * math.sqrt(2 * _spread(middle)) + _z(power) * math.sqrt(
        _spread(share_c) + _spread(share_t)
    )
    return (reach / (share_t - share_c)) ** 2


def power_for_shares(share_c: float, share_t: float, visitors: float, *, alpha: float) -> float:
    """Return the chance to find this change of a share with so many visitors per variant.

    Units: `alpha` two-sided; the far side is left out. Checked against: R power.prop.test.
    """
    _check_share(share_c, share_t)
    middle = (share_c + share_t) / 2
    gap = math.sqrt(visitors) * abs(share_t - share_c)
    return float(
        special.ndtr(
            (gap - _z(1 - alpha / 2) * math.sqrt(2 * _spread(middle))) / math.sqrt(_spread(share_c) + _spread(share_t))
        )
    )


def detectable_share(share_c: float, visitors: float, *, alpha: float, power: float) -> float | None:
    """Return the smallest higher share that so many visitors per variant find with this power; None when there is none.

    Checked against: `visitors_for_shares` at the share it returns.
    """
    _check_share(share_c)

    def missing(share_t: float) -> float:
        return power_for_shares(share_c, share_t, visitors, alpha=alpha) - power

    highest = 1 - 1e-9
    if missing(highest) < 0:
        return None
    return float(optimize.brentq(missing, share_c * (1 + 1e-12) + 1e-15, highest, xtol=1e-14, rtol=1e-13))


def visitors_for_means(
    deviation: float, difference: float, *, alpha: float, power: float, r_squared: float = 0.0
) -> float:
    """Return the visitors per variant that find this difference of means, at an equal split.

    `deviation` is the standard deviation of one visitor's value (capped, if the metric is; for a ratio that of the linearised
    value); `r_squared` the share of its variance that covariates explain.

    Units: `alpha` two-sided. Source: STATISTICS section 9. Checked against: statsmodels NormalIndPower.
    """
    if not deviation > 0 or difference == 0 or not 0 <= r_squared < 1:
        raise ValueError(
            f"Need spread and a difference: deviation {deviation}, difference {difference}, R2 {r_squared}."
        )
    reach = _z(1 - alpha / 2) + _z(power)
    return reach**2 * 2 * deviation**2 * (1 - r_squared) / difference**2


def detectable_mean_difference(deviation: float, visitors: float, *, alpha: float, power: float) -> float:
    """Return the smallest difference of means that so many visitors per variant find with this power.

    Units: `alpha` two-sided. Checked against: `visitors_for_means` at the difference it returns.
    """
    if not deviation > 0 or not visitors > 0:
        raise ValueError(f"Need spread and visitors: deviation {deviation}, visitors {visitors}.")
    return (_z(1 - alpha / 2) + _z(power)) * deviation * math.sqrt(2 / visitors)


def visitors_for_noninferiority(
    share_c: float, share_t: float, *, margin: float, alpha_one_sided: float, power: float
) -> float:
    """Return the visitors, both variants together, that show a share not to be lower by the margin, at an equal split.

    Units: `margin` absolute. Source: Farrington & Manning (1990), Statistics in Medicine 9:1447-1454: variance restricted at
    the margin. Checked against: gsDesign nBinomial (R); simulation.
    """
    _check_share(share_c, share_t)
    distance = share_t - share_c + margin
    if distance <= 0:
        raise ValueError(f"A share {share_t - share_c:+g} away cannot be shown to be within a margin of {margin}.")
    r_c = _restricted_share(share_c, share_t, -margin)
    r_t = r_c - margin
    reach = _z(1 - alpha_one_sided) * math.sqrt(_spread(r_t) + _spread(r_c)) + _z(power) * math.sqrt(
        _spread(share_t) + _spread(share_c)
    )
    return 2 * (reach / distance) ** 2


def _restricted_share(share_c: float, share_t: float, difference: float) -> float:
    """Return the control share at which the expected likelihood is highest, the treatment lying `difference` away."""

    def slope(r: float) -> float:
        s = r + difference
        return share_c / r - (1 - share_c) / (1 - r) + share_t / s - (1 - share_t) / (1 - s)

    edge = 1e-12
    return float(optimize.brentq(slope, max(0.0, -difference) + edge, min(1.0, 1 - difference) - edge, xtol=1e-15))


def unequal_split_factor(ratio: float) -> float:
    """Return how many times the visitors an unequal split needs in all; `ratio` is the larger variant over the smaller."""
    if ratio <= 0:
        raise ValueError(f"A ratio of visitors is above 0, not {ratio}.")
    return (1 + ratio) ** 2 / (4 * ratio)


def visitors_in_all(per_variant: float, share_c: float, share_t: float) -> float:
    """Return the visitors of the whole experiment, when two variants with these shares of it are to be compared as well as
    two equal ones with `per_variant` visitors each.

    Source: the variance of a difference, 1/n_c + 1/n_t. Checked against: `unequal_split_factor`.
    """
    _check_share(share_c, share_t)
    return per_variant / 2 * (1 / share_c + 1 / share_t)


def equal_visitors(total: float, share_c: float, share_t: float) -> float:
    """Return the visitors per variant of an equal split that is worth as much; the inverse of `visitors_in_all`."""
    _check_share(share_c, share_t)
    return 2 * total / (1 / share_c + 1 / share_t)


def alpha_per_success_test(alpha: float, *, success_tests: int) -> float:
    """Return the level of each success metric and treatment. Source: Schultzberg, Ankargren & Franberg (2024)."""
    return alpha / max(success_tests, 1)


def power_per_metric(power: float, *, metrics: int) -> float:
    """Return the power each of several metrics needs, so that all of them together keep the planned one (union bound).

    Count the guardrails and the success metric: guardrails + 1. Spotify's documentation counts the guardrails only, which
    is slightly smaller.

    Source: Schultzberg, Ankargren & Franberg (2024), arXiv 2402.11609.
    """
    return 1 - (1 - power) / max(metrics, 1)
