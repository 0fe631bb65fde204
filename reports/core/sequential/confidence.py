"""The asymptotic confidence sequence: an interval that holds at every moment, for experiments without a planned end."""

from __future__ import annotations

import math
from dataclasses import dataclass

from reports.core.methods.base import Interval

LEAST_CONVERSIONS = 20
LEAST_PER_VARIANT = 5


@dataclass(frozen=True, slots=True)
class ConfidenceSequence:
    """The interval now, the p-value now (its running minimum may be used) and log e."""

    interval: Interval
    p_value: float
    log_e: float


def confidence_sequence(
    effect: float, standard_error: float, visitors: int, *, tuned_for: int, alpha: float
) -> ConfidenceSequence:
    """Return the normal-mixture confidence sequence of an effect.

    It is narrowest at `tuned_for` visitors, which must be fixed before the start. It pays for that freedom: finding what a
    planned test finds takes up to 1.7 times its visitors.

    Units: `visitors` and `tuned_for` all variants together. Source: Waudby-Smith et al. (2024), Annals of Statistics,
    arXiv 2103.06476, equations 9, 155 and 161; Robbins (1970). Checked against: gbstats 0.8 (GrowthBook).
    """
    if visitors < 1 or tuned_for < 1 or not standard_error > 0 or not 0 < alpha < 1:
        raise ValueError(
            f"A confidence sequence needs visitors and a standard error above 0, not {visitors} and {standard_error}."
        )
    doubled = -2 * math.log(alpha)
    squared = (doubled + math.log(doubled + 1)) / tuned_for
    growth = visitors * squared
    half = (
        standard_error
        * math.sqrt(visitors)
        * math.sqrt(2 * (growth + 1) / (visitors * growth) * math.log(math.sqrt(growth + 1) / alpha))
    )
    z = effect / standard_error
    log_e = growth * z * z / (2 * (growth + 1)) - 0.5 * math.log(growth + 1)
    return ConfidenceSequence(Interval(effect - half, effect + half), min(1.0, math.exp(-log_e)), log_e)


def pooled_standard_error(converted_t: int, visitors_t: int, converted_c: int, visitors_c: int) -> float:
    """Return the standard error of a difference of shares under no difference.

    The plug-in variance of the two shares must not be used here: with a 90 / 10 split it makes an "always valid" interval
    miss in 21 % of experiments (STATISTICS section 4.1).
    """
    share = (converted_t + converted_c) / (visitors_t + visitors_c)
    return math.sqrt(share * (1 - share) * (1 / visitors_t + 1 / visitors_c))


def unpooled_standard_error(converted_t: int, visitors_t: int, converted_c: int, visitors_c: int) -> float:
    """Return the plug-in standard error, as GrowthBook uses it: for comparison with its numbers only."""
    t, c = converted_t / visitors_t, converted_c / visitors_c
    return math.sqrt(t * (1 - t) / visitors_t + c * (1 - c) / visitors_c)


def is_burnt_in(converted_t: int, converted_c: int) -> bool:
    """Say whether there are enough conversions for the normal approximation behind the sequence."""
    return converted_t + converted_c >= LEAST_CONVERSIONS and min(converted_t, converted_c) >= LEAST_PER_VARIANT
