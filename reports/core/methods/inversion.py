"""Confidence limits by inverting a test statistic: the values that the test just does not reject, by bracketed root finding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

# Statistics are infinite where a variance vanishes; interpolation needs numbers.
LARGEST = 1e6
TOLERANCE = 1e-13
MAX_STEPS = 200


def falling_root(falling: Callable[[FloatArray], FloatArray], low: FloatArray, high: FloatArray) -> FloatArray:
    """Return where a falling function crosses 0 between `low` and `high`, element by element.

    Where it is nowhere positive the answer is `low`, where it is nowhere negative `high`. The bracket never opens, so
    there is no input on which it fails: inverse quadratic interpolation where that is safe, bisection where it is not.

    Shapes: all arrays broadcast to one shape. Source: Chandrupatla (1997), Advances in Engineering Software 28:145-149.
    Checked against: plain bisection.
    """

    def at(point: FloatArray) -> FloatArray:
        return np.clip(falling(point), -LARGEST, LARGEST)

    a, b = (np.array(x, dtype=float) for x in np.broadcast_arrays(low, high))
    f_a, f_b = at(a), at(b)
    answer = np.where(f_a <= 0, a, np.where(f_b >= 0, b, np.nan))
    is_open = np.isnan(answer)
    c, f_c = a, f_a
    share = np.full(a.shape, 0.5)
    best = 0.5 * (a + b)
    for _ in range(MAX_STEPS):
        point = a + share * (b - a)
        f = at(point)
        is_same_side = np.sign(f) == np.sign(f_a)
        c, f_c = np.where(is_same_side, a, b), np.where(is_same_side, f_a, f_b)
        b, f_b = np.where(is_same_side, b, a), np.where(is_same_side, f_b, f_a)
        a, f_a = point, f
        best = np.where(np.abs(f_a) < np.abs(f_b), a, b)
        width = np.abs(b - a)
        limit = (TOLERANCE * np.abs(best) + 1e-15) / np.where(width > 0, width, 1.0)
        if np.all(~is_open | (limit > 0.5) | (f_a == 0) | (width == 0)):
            break
        with np.errstate(divide="ignore", invalid="ignore"):
            xi = (a - b) / (c - b)
            phi = (f_a - f_b) / (f_c - f_b)
            quadratic = f_a / (f_b - f_a) * f_c / (f_b - f_c) + (c - a) / (b - a) * f_a / (f_c - f_a) * f_b / (
                f_c - f_b
            )
            is_safe = (phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi) & np.isfinite(quadratic)
        share = np.clip(np.where(is_safe, quadratic, 0.5), np.minimum(limit, 0.5), np.maximum(1 - limit, 0.5))
    return np.where(is_open, best, answer)


def inverted_limits(
    statistic: Callable[[FloatArray], FloatArray], low: FloatArray, high: FloatArray, critical: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Return the lowest and the highest value between `low` and `high` at which a falling statistic is within +-`critical`.

    Shapes: `low`, `high` and `critical` broadcast to one shape; the statistic is asked for arrays with two of them stacked
    in front.
    """
    target = np.stack([np.broadcast_to(c, np.shape(low)) for c in (np.asarray(critical), -np.asarray(critical))])
    stacked = np.broadcast_to(low, (2, *np.shape(low))), np.broadcast_to(high, (2, *np.shape(high)))
    limits = falling_root(lambda point: statistic(point) - target, *stacked)
    return limits[0], limits[1]
