"""Honest numbers after a sequential test: p-value, estimate and interval that know of the looks before."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy import optimize, special

from reports.core.methods.base import Interval
from reports.core.sequential.bounds import efficacy_bounds
from reports.core.sequential.recursion import START, Continuing, Paths, check_information

SMALLEST_P = 1e-12
GRID_EVERY = 3.0  # drifts between two recursions


@dataclass(frozen=True, slots=True)
class Stagewise:
    """What a test that stopped says, ordered by stage. Units: `estimate` and the intervals are drifts.

    A drift divided by the root of the full information is an effect; `repeated` is the interval that was valid at the look
    itself, whatever happened afterwards.
    """

    p_one_sided: float
    estimate: float
    interval: Interval
    repeated: Interval


def stagewise(
    information: Sequence[float],
    bounds: Sequence[float],
    *,
    stop_look: int,
    z: float,
    alpha: float,
    tolerance: float = 1e-9,
) -> Stagewise:
    """Return p-value, median-unbiased estimate and interval of a test that stopped at look `stop_look` (from 1) with `z`.

    Units: `alpha` two-sided. Shapes: `information` and `bounds` (looks,), the looks up to the stop at least.
    Source: Tsiatis, Rosner & Mehta (1984), Biometrics 40:797-803; Jennison & Turnbull (2000), chapter 8.
    Checked against: a test with one look, where it is the ordinary answer; simulation of coverage.
    """
    levels = [float(i) for i in check_information(information)][:stop_look]
    used = list(bounds)[:stop_look]
    root = math.sqrt(levels[-1])
    plain, reach = z / root, float(-special.ndtri(alpha / 2)) / root

    def beyond(drift: float) -> float:
        # The grid has to lie about where the paths are.
        centre = GRID_EVERY * round(drift / GRID_EVERY)
        looks = _continuing(tuple(levels), tuple(used[:-1]), centre)
        stops = zip(looks, (*used[:-1], z), strict=True)
        return sum(_probability_above(paths, bound, level, drift, centre) for (paths, level), bound in stops)

    return Stagewise(
        p_one_sided=beyond(0.0),
        estimate=_drift_where(beyond, 0.5, plain, tolerance),
        interval=Interval(
            _drift_where(beyond, alpha / 2, plain - reach, tolerance),
            _drift_where(beyond, 1 - alpha / 2, plain + reach, tolerance),
        ),
        repeated=Interval((z - used[-1]) / root, (z + used[-1]) / root),
    )


@lru_cache(maxsize=512)
def _continuing(levels: tuple[float, ...], bounds: tuple[float, ...], centre: float) -> tuple[tuple[Paths, float], ...]:
    """Return the paths that are still inside all earlier bounds under the drift `centre`, with the level of each look."""
    paths: list[Paths] = [START]
    for level, bound in zip(levels[:-1], bounds, strict=True):
        paths.append(paths[-1].next(-bound, bound, level, centre))
    return tuple(zip(paths, levels, strict=True))


def _probability_above(paths: Paths, bound: float, level: float, drift: float, centre: float) -> float:
    """Return the probability of z of at least `bound` at a look, under a drift, from the paths under `centre`.

    The drift changes the weight of a path by a likelihood ratio that depends on where it is now and on nothing else, so one
    recursion serves all drifts.
    """
    if isinstance(paths, Continuing):
        more, squared = drift - centre, drift * drift - centre * centre
        ratio = more * paths.points * math.sqrt(paths.information) - 0.5 * squared * paths.information
        paths = replace(paths, mass=paths.mass * np.exp(ratio))
    return paths.probability_above(bound, level, drift)


def _drift_where(beyond: Callable[[float], float], probability: float, near: float, tolerance: float) -> float:
    low, high = near - 0.5, near + 0.5
    while beyond(low) > probability:
        low, high = low - 1.0, low
    while beyond(high) < probability:
        low, high = high, high + 1.0

    def excess(drift: float) -> float:
        return float(special.ndtri(beyond(drift)) - special.ndtri(probability))

    return float(optimize.brentq(excess, low, high, xtol=tolerance))


def sequential_p(
    information: Sequence[float],
    z: Sequence[float],
    *,
    spending: str = "LD-OBF",
    shares: Sequence[float] | None = None,
    is_rough: bool = False,
    is_one_sided: bool = True,
) -> float:
    """Return the smallest alpha whose bound these looks have crossed; 1 when none has.

    One-sided, the bound lies above; two-sided, on both sides. It may be read at any look and goes into Holm's procedure
    like any p-value. `is_rough` interpolates between fixed levels, which is right to about three digits and lets many tests
    with the same looks share their bounds.

    Shapes: all sequences (looks,). Source: Liu & Anderson (2008), JASA 103:1621-1630.
    Checked against: bounds at the alpha it returns, which one look just touches.
    """
    if len(z) != len(information):
        raise ValueError(f"There is one z per look: {len(z)} for {len(information)} looks.")

    values = [float(v) if is_one_sided else abs(float(v)) for v in z]

    def beyond(log_alpha: float) -> float:
        bounds = efficacy_bounds(
            information, alpha=math.exp(log_alpha), spending=spending, shares=shares, is_one_sided=is_one_sided
        )
        return max(_excess(value, bound) for value, bound in zip(values, bounds, strict=True))

    seen = shares if shares is not None else information
    near = _spent_about(max(value * math.sqrt(share) for value, share in zip(values, seen, strict=True)))
    return _smallest_alpha(beyond, _LEVELS, near=near, is_rough=is_rough)


def repeated_p(
    information: Sequence[float],
    z: float,
    *,
    alpha: float,
    shares: Sequence[float] | None = None,
    spending: str = "LD-OBF",
) -> float:
    """Return the smallest two-sided alpha whose repeated interval at the last of these looks excludes no difference.

    It belongs to the interval of that look and of no other: it may rise again, and is never below the sequential p-value.
    It lies below `alpha` exactly when `z` is beyond the bound at `alpha`, and is right to about three digits, two near 1.

    Shapes: `information` and `shares` (looks,). Source: Jennison & Turnbull (2000), section 9.5 (repeated p-values).
    Checked against: bounds at the alpha it returns, which the last look just touches.
    """

    def beyond(log_alpha: float) -> float:
        bounds = efficacy_bounds(information, alpha=math.exp(log_alpha), spending=spending, shares=shares)
        return _excess(abs(z), bounds[-1])

    planned = math.log(alpha)
    if beyond(planned) > 0:
        levels = [*(level for level in _LEVELS if level < planned), planned]
    else:
        levels = [planned, *(level for level in _LEVELS if level > planned)]
    near = _spent_about(abs(z) * math.sqrt((shares or information)[-1]))
    return _smallest_alpha(beyond, levels, near=near, is_rough=True)


def _spent_about(z_at_the_end: float) -> float:
    """Return the logarithm of the alpha whose O'Brien-Fleming bounds end at about this z: where to start a search."""
    return math.log(max(2 * float(special.ndtr(-max(z_at_the_end, 0.0))), SMALLEST_P))


def _excess(value: float, bound: float) -> float:
    """Return how far a value is beyond its bound; nothing is beyond an infinite one."""
    return -math.inf if math.isinf(bound) else value - bound


def _smallest_alpha(beyond: Callable[[float], float], levels: Sequence[float], *, near: float, is_rough: bool) -> float:
    """Return the alpha at which `beyond`, a rising function of its logarithm, crosses 0 within these levels."""
    index = _first_crossed(beyond, levels, bisect.bisect_left(levels, near))
    if index is None:
        return 1.0
    if index == 0:
        return math.exp(levels[0])
    low, high = levels[index - 1], levels[index]
    below, above = beyond(low), beyond(high)
    if not is_rough and math.isfinite(below):
        return math.exp(float(optimize.brentq(beyond, low, high, xtol=1e-11)))
    is_between = math.isfinite(below) and math.isfinite(above) and above > below
    return math.exp(low + (high - low) * (-below / (above - below) if is_between else 1.0))


def _first_crossed(beyond: Callable[[float], float], levels: Sequence[float], start: int) -> int | None:
    """Return the first level at which `beyond` is not negative, or None; it looks in growing steps from `start`.

    Every level costs a whole set of bounds, so a good start is worth more than a short list.
    """
    last, step = len(levels) - 1, 1
    low = high = min(start, last)
    while low > 0 and beyond(levels[low]) >= 0:
        low, high, step = max(low - step, 0), low, 2 * step
    while beyond(levels[high]) < 0:
        if high == last:
            return None
        low, high, step = high, min(high + step, last), 2 * step
    if low == 0 and beyond(levels[0]) >= 0:
        return 0
    return low + 1 + bisect.bisect_left(levels[low + 1 : high], 0.0, key=beyond)


# Logarithms of alpha, evenly spaced where p-values matter.
_LEVELS = [math.log(SMALLEST_P) + (math.log1p(-1e-9) - math.log(SMALLEST_P)) * i / 96 for i in range(97)]
