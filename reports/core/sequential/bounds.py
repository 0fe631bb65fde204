"""Bounds of a group-sequential test: how large z must be at each look, so that all looks together keep to alpha."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import optimize, special

from reports.core.sequential.recursion import START, Paths, check_information, grid_for
from reports.core.sequential.spending import spending_named

NEVER = float("inf")
SMALLEST_AMOUNT = 1e-250
MAX_STEPS = 30
HIGHEST = 38.0  # beyond this a double has no tail probability left


def efficacy_bounds(
    information: Sequence[float],
    *,
    alpha: float,
    spending: str = "LD-OBF",
    shares: Sequence[float] | None = None,
    is_one_sided: bool = False,
) -> tuple[float, ...]:
    """Return the critical value of each look.

    `alpha` is two-sided and spent half on each side (`is_one_sided`: all on the upper). `shares` are the shares of the
    planned data that the spending function sees; without them the information itself, which then ends at 1. Correlations
    always follow `information`, so an over-run look is judged by what was really collected.

    Shapes: all sequences (looks,). Raises: ValueError for information that does not grow, or shares that fall.
    Source: Lan & DeMets (1983), Biometrika 70:659-663; Jennison & Turnbull (2000), chapter 19.
    Checked against: gsDesign (R) and the tables of Jennison & Turnbull.
    """
    seen = tuple(float(s) for s in (shares if shares is not None else information))
    return _bounds(tuple(float(i) for i in information), seen, float(alpha), spending, is_one_sided)


@lru_cache(maxsize=4096)
def _bounds(
    information: tuple[float, ...], shares: tuple[float, ...], alpha: float, spending: str, is_one_sided: bool
) -> tuple[float, ...]:
    levels = check_information(information)
    if len(shares) != len(levels) or np.any(np.diff(shares) < 0):
        raise ValueError(f"There is one share of the planned data per look, and they do not fall: {list(shares)}.")
    total = alpha if is_one_sided else alpha / 2
    spend = spending_named(spending)
    paths: Paths = START
    bounds: list[float] = []
    spent = 0.0
    grid = grid_for(levels)
    for k, level in enumerate(levels):
        allowed = spend(shares[k], total)
        bound = _bound_spending(paths, allowed - spent, float(level))
        bounds.append(bound)
        spent = allowed
        if k + 1 < len(levels):
            low = -NEVER if is_one_sided else -bound
            paths = paths.next(low, bound, float(level), 0.0, grid=grid)
    return tuple(bounds)


def _bound_spending(paths: Paths, amount: float, level: float) -> float:
    """Return the bound that is crossed with probability `amount` under no effect; infinite when nothing may be spent.

    The logarithm of a tail probability is concave in the bound (Prekopa 1973), so Newton's steps on it, begun at the bound of
    a test without earlier looks, come down to the answer and never pass it.
    """
    if amount > SMALLEST_AMOUNT:
        bound = float(-special.ndtri(amount))
        for _ in range(MAX_STEPS):
            probability, density = paths.tail_at(bound, level)
            if not (probability > 0 and density > 0):
                break
            step = probability / density * math.log(probability / amount)
            bound += step
            if abs(step) <= 1e-12 * max(1.0, abs(bound)):
                return bound
    return _bound_by_bracket(paths, amount, level)


def _bound_by_bracket(paths: Paths, amount: float, level: float) -> float:
    if amount <= 1e-300 or paths.probability_above(HIGHEST, level, 0.0) > amount:
        return NEVER

    def excess(bound: float) -> float:
        return paths.probability_above(bound, level, 0.0) - amount

    if excess(-HIGHEST) < 0:
        return -HIGHEST
    return float(optimize.brentq(excess, -HIGHEST, HIGHEST, xtol=1e-10))


def nominal_alpha(bound: float) -> float:
    """Return the two-sided alpha of a single test with this critical value."""
    return float(2 * special.ndtr(-bound))
