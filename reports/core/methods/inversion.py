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

# Guesses at a limit: so many times the Wald reach from the estimate (for the lower one mirrored), and no further than this
# many standard errors, where bounds of early looks are infinite.
AROUND = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.3, 1.5, 2.0)
FARTHEST = 40.0


def falling_root(
    falling: Callable[[FloatArray], FloatArray],
    low: FloatArray,
    high: FloatArray,
    *,
    guesses: FloatArray | None = None,
) -> FloatArray:
    """Return where a falling function crosses 0 between `low` and `high`, element by element.

    Where it is nowhere positive the answer is `low`, where it is nowhere negative `high`. The bracket never opens, so
    there is no input on which it fails: inverse quadratic interpolation where that is safe, bisection where it is not.
    Rising `guesses` only save time: the two that enclose the root are where the search begins.

    Shapes: all arrays broadcast to one shape; `guesses` has several of them stacked in front.
    Source: Chandrupatla (1997), Advances in Engineering Software 28:145-149. Checked against: plain bisection.
    """

    def at(point: FloatArray) -> FloatArray:
        with np.errstate(invalid="ignore"):
            value = falling(point)
        # An infinite statistic against an infinite critical value: not rejected, just so.
        return np.clip(np.where(np.isnan(value), 0.0, value), -LARGEST, LARGEST)

    first, last = np.broadcast_arrays(np.asarray(low, dtype=float), np.asarray(high, dtype=float))
    points = np.stack([first, last])
    if guesses is not None:
        points = np.concatenate([points[:1], np.clip(guesses, first, last), points[1:]])
    values = at(points)
    answer = np.where(values[0] <= 0, first, np.where(values[-1] >= 0, last, np.nan))
    is_open = np.isnan(answer)
    # The last point before the function is 0 or below; with the next one it encloses the root.
    before = np.clip(np.argmax(values <= 0, axis=0) - 1, 0, len(points) - 2)[None]
    a, b = np.take_along_axis(points, before, 0)[0], np.take_along_axis(points, before + 1, 0)[0]
    f_a, f_b = np.take_along_axis(values, before, 0)[0], np.take_along_axis(values, before + 1, 0)[0]
    c, f_c = a, f_a
    with np.errstate(divide="ignore", invalid="ignore"):
        secant = f_a / (f_a - f_b)
    is_near = guesses is not None and np.all(np.abs(f_a - f_b) < 4)
    share = np.where(is_near & is_open, np.clip(secant, 0.01, 0.99), 0.5)
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
    statistic: Callable[[FloatArray], FloatArray],
    low: FloatArray,
    high: FloatArray,
    critical: ArrayLike,
    *,
    near: tuple[FloatArray, FloatArray] | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Return the lowest and the highest value between `low` and `high` at which a falling statistic is within +-`critical`.

    `near` (estimate, standard error) says about where they are, which saves time and changes nothing else.

    Shapes: `low`, `high`, `critical` and both of `near` broadcast to one shape; the statistic is asked for arrays with some
    of them stacked in front.
    """
    wanted = np.broadcast_to(np.asarray(critical, dtype=float), np.shape(low))
    target = np.stack([wanted, -wanted])
    stacked = np.broadcast_to(low, (2, *np.shape(low))), np.broadcast_to(high, (2, *np.shape(high)))
    guesses = None
    if near is not None:
        estimate, error = near
        reach = np.minimum(wanted, FARTHEST) * error
        guesses = np.stack([np.stack([estimate - (2 - f) * reach, estimate + f * reach]) for f in AROUND])
    limits = falling_root(lambda point: statistic(point) - target, *stacked, guesses=guesses)
    return limits[0], limits[1]
