"""Probabilities of crossing bounds at repeated looks, by recursive integration.

The z statistics at looks 1..K of a test with information I_1 < ... < I_K are jointly normal: Z_k has mean drift * sqrt(I_k),
and (Z_j, Z_k) correlation sqrt(I_j / I_k). The density of "not stopped before look k, and Z_k = z" follows from that of
look k - 1 by one integral; each is kept on Simpson's grid.

Source: Armitage, McPherson & Rowe (1969), JRSS A 132:235-244; Jennison & Turnbull (2000), chapter 19.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

FloatArray = NDArray[np.float64]

GRID = 18  # gives five decimal places of a bound, while looks are no closer than about a hundredth of the information
FINEST_GRID = 120
POINTS_A_STEP = 1.9  # Simpson's rule needs its points closer than the spread of what one look adds
ROOT_TWO_PI = float(np.sqrt(2 * np.pi))


def check_information(information: Sequence[float]) -> FloatArray:
    """Return the information as an array. Raises: ValueError unless it starts above 0 and always grows."""
    levels = np.asarray(information, dtype=float)
    if levels.ndim != 1 or not len(levels) or levels[0] <= 0 or np.any(np.diff(levels) <= 0):
        raise ValueError(f"Information must start above 0 and grow from look to look: {list(information)}.")
    return levels


def _base_mesh(r: int) -> FloatArray:
    i = np.arange(1, 6 * r)
    with np.errstate(divide="ignore", invalid="ignore"):
        left = -3 - 4 * np.log(r / i)
        middle = -3 + 3 * (i - r) / (2 * r)
        right = 3 + 4 * np.log(r / (6 * r - i))
    return np.where(i < r, left, np.where(i <= 5 * r, middle, right))


@lru_cache(maxsize=128)
def _mesh_of(r: int) -> FloatArray:
    return _base_mesh(r)


def grid_for(information: FloatArray) -> int:
    """Return how fine a grid looks at these levels need: of very many looks each adds little, and a coarse grid misses it."""
    if len(information) < 2:
        return GRID
    closest = float(np.sqrt(np.min(np.diff(information) / information[:-1])))
    return int(np.clip(np.ceil(POINTS_A_STEP / closest), GRID, FINEST_GRID))


@dataclass(frozen=True, slots=True)
class Continuing:
    """The density of z among paths that go on after a look: grid points and density times Simpson weight.

    Shapes: both (points,).
    """

    information: float
    points: FloatArray
    mass: FloatArray

    def probability_above(self, bound: float, information: float, drift: float) -> float:
        """Return the probability that a continuing path has z of at least `bound` at the next look."""
        step = information - self.information
        score = self.points * np.sqrt(self.information) + drift * step - bound * np.sqrt(information)
        return float(self.mass @ special.ndtr(score / np.sqrt(step)))

    def tail_at(self, bound: float, information: float) -> tuple[float, float]:
        """Return the probability of z of at least `bound` at the next look without an effect, and the density of z there."""
        step = information - self.information
        beyond = (self.points * np.sqrt(self.information) - bound * np.sqrt(information)) / np.sqrt(step)
        density = self.mass @ np.exp(-0.5 * beyond * beyond) * np.sqrt(information / step) / ROOT_TWO_PI
        return float(self.mass @ special.ndtr(beyond)), float(density)

    def probability_below(self, bound: float, information: float, drift: float) -> float:
        step = information - self.information
        score = bound * np.sqrt(information) - self.points * np.sqrt(self.information) - drift * step
        return float(self.mass @ special.ndtr(score / np.sqrt(step)))

    def next(self, low: float, high: float, information: float, drift: float, *, grid: int = GRID) -> Continuing:
        """Return the paths that stay between `low` and `high` at the next look."""
        points, weights = _grid(low, high, drift * np.sqrt(information), grid)
        step = information - self.information
        gap = (
            points[:, None] * np.sqrt(information) - self.points[None, :] * np.sqrt(self.information) - drift * step
        ) / np.sqrt(step)
        density = (np.exp(-0.5 * gap * gap) @ self.mass) * np.sqrt(information / step) / ROOT_TWO_PI
        return Continuing(information, points, density * weights)


class _Start:
    """Before the first look: z at the first look is normal about its mean."""

    information = 0.0

    def probability_above(self, bound: float, information: float, drift: float) -> float:
        return float(special.ndtr(drift * np.sqrt(information) - bound))

    def tail_at(self, bound: float, information: float) -> tuple[float, float]:
        return float(special.ndtr(-bound)), float(np.exp(-0.5 * bound * bound) / ROOT_TWO_PI)

    def probability_below(self, bound: float, information: float, drift: float) -> float:
        return float(special.ndtr(bound - drift * np.sqrt(information)))

    def next(self, low: float, high: float, information: float, drift: float, *, grid: int = GRID) -> Continuing:
        points, weights = _grid(low, high, drift * np.sqrt(information), grid)
        gap = points - drift * np.sqrt(information)
        return Continuing(information, points, np.exp(-0.5 * gap * gap) / ROOT_TWO_PI * weights)


Paths = _Start | Continuing
START = _Start()


def _grid(low: float, high: float, centre: float, grid: int) -> tuple[FloatArray, FloatArray]:
    """Return Simpson's points and weights between `low` and `high`, dense where the density is."""
    mesh = _mesh_of(grid) + centre
    mesh = np.clip(mesh, low, high)
    mesh = mesh[np.concatenate(([True], np.diff(mesh) > 0))]
    if len(mesh) == 1:
        return mesh, np.zeros(1)
    points = np.empty(2 * len(mesh) - 1)
    points[0::2] = mesh
    points[1::2] = 0.5 * (mesh[:-1] + mesh[1:])
    width = np.diff(mesh) / 6
    weights = np.zeros_like(points)
    weights[0:-2:2] += width
    weights[2::2] += width
    weights[1::2] = 4 * width
    return points, weights


@dataclass(frozen=True, slots=True)
class Crossing:
    """The probability of first crossing each bound at each look. Shapes: both (looks,)."""

    upper: FloatArray
    lower: FloatArray


def crossing_probabilities(
    information: Sequence[float], lower: Sequence[float], upper: Sequence[float], *, drift: float
) -> Crossing:
    """Return the probabilities of first crossing `upper` or `lower` at each look, z having mean drift * sqrt(information).

    Shapes: all sequences (looks,). Checked against: published tables; simulation.
    """
    levels = check_information(information)
    grid = grid_for(levels)
    paths: Paths = START
    above, below = np.zeros(len(levels)), np.zeros(len(levels))
    for k, level in enumerate(levels):
        above[k] = paths.probability_above(upper[k], level, drift)
        below[k] = paths.probability_below(lower[k], level, drift)
        if k + 1 < len(levels):
            paths = paths.next(lower[k], upper[k], level, drift, grid=grid)
    return Crossing(above, below)
