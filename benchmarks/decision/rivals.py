"""Decision rules that look at the macro conversion alone, and what teams do with a micro conversion when nobody stops them.

The group-sequential designs are the rivals to beat: level, futility and length are searched over a fine grid with hindsight, which
no team could do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchmarks.decision.worlds import Weeks
from reports.core.sequential.bounds import efficacy_bounds

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LEVELS = tuple(float(a) for a in np.geomspace(0.0035, 0.05, 14))
LENGTHS = (0.5, 0.75, 1.0, 1.5, 2.0, 2.75, 3.5)


DESIGN_POWER = 0.8


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule did. Shapes: both (experiments,). Units: `looks` taken, from 1."""

    shipped: NDArray[np.bool_]
    looks: IntArray


def macro_z(weeks: Weeks) -> FloatArray:
    """Return the pooled two-sample z of the macro conversion. Shapes: (experiments, looks)."""
    return _z(weeks, weeks.control.shape[2] - 1)


def _z(weeks: Weeks, step: int) -> FloatArray:
    visitors = weeks.visitors[None, :]
    c, t = weeks.control[:, :, step], weeks.treatment[:, :, step]
    pooled = (c + t) / (2 * visitors)
    spread = np.sqrt(np.maximum(2 * pooled * (1 - pooled) / visitors, 1e-300))
    result: FloatArray = np.where(c + t > 0, (t - c) / visitors / spread, 0.0)
    return result


def first_look(holds: NDArray[np.bool_]) -> IntArray:
    """Return the first look at which it holds, from 1; one beyond the last where it never does."""
    looks: IntArray = np.where(holds.any(axis=1), holds.argmax(axis=1) + 1, holds.shape[1] + 1)
    return looks


def decide_by(ship: NDArray[np.bool_], stop: NDArray[np.bool_]) -> Outcome:
    """Return what happens when the first of the two ends the experiment, or its last look does."""
    ships, stops = first_look(ship), first_look(stop)
    last = ship.shape[1]
    shipped = (ships <= last) & (ships <= stops)
    return Outcome(shipped, np.minimum(np.minimum(ships, stops), last))


class Futility(StrEnum):
    """How the power that is left is reckoned: with the effect seen so far, or with the one that the design was made for."""

    TREND = "trend"
    DESIGN = "design"


def group_sequential(
    z: FloatArray, *, alpha: float, futility: float, looks: int, reckoned: Futility = Futility.DESIGN
) -> Outcome:
    """Decide by one-sided O'Brien-Fleming-type bounds at every look; give up when conditional power falls below `futility`.

    Source: Lan & DeMets (1983); Lan & Wittes (1988), Biometrics 44:579-585.
    """
    z = z[:, :looks]
    shares = np.arange(1, looks + 1) / looks
    bounds = np.asarray(efficacy_bounds(tuple(shares), alpha=alpha, is_one_sided=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        if reckoned is Futility.TREND:
            expected = z / np.sqrt(shares)
        else:
            drift = bounds[-1] + float(special.ndtri(DESIGN_POWER))
            expected = z * np.sqrt(shares) + drift * (1 - shares)
        power = special.ndtr((expected - bounds[-1]) / np.sqrt(1 - shares))
    gives_up = power < futility
    gives_up[:, -1] = True
    return decide_by(z >= bounds, gives_up)


FUTILITY: Mapping[Futility, tuple[float, ...]] = {
    Futility.TREND: (0.0, 0.005, 0.01, 0.02, 0.05, 0.10, 0.20, 0.30, 0.45),
    Futility.DESIGN: (0.05, 0.10, 0.20, 0.30, 0.40, 0.50, 0.55, 0.60, 0.65, 0.70, 0.74, 0.77),
}


@dataclass(frozen=True, slots=True)
class Design:
    """A group-sequential design of the grid. Units: `looks` in weeks."""

    alpha: float
    futility: float
    reckoned: Futility
    looks: int


def designs(z: FloatArray, *, looks: int) -> Iterator[tuple[Design, Outcome]]:
    """Yield every design of the grid with what it did; `looks` is the length of the rule to be matched."""
    for length in LENGTHS:
        count = round(length * looks)
        if not 1 <= count <= z.shape[1]:
            continue
        for alpha in LEVELS:
            for reckoned, grid in FUTILITY.items():
                for futility in grid:
                    design = Design(alpha, futility, reckoned, count)
                    yield (
                        design,
                        group_sequential(z, alpha=alpha, futility=futility, looks=count, reckoned=reckoned),
                    )


def fixed_horizon(z: FloatArray, *, alpha: float, looks: int) -> Outcome:
    """Decide once, at the end, one-sided."""
    wins = z[:, looks - 1] >= -special.ndtri(alpha)
    return Outcome(wins, np.full(len(z), looks, dtype=np.int64))


def naive_micro(weeks: Weeks, *, looks: int, steps: Sequence[int], critical: float = 1.96) -> Outcome:
    """Ship as soon as one of the micro conversions looks significant at any look: what this product exists to prevent."""
    holds = np.zeros((len(weeks.control), looks), dtype=bool)
    for step in steps:
        holds |= _z(weeks, step)[:, :looks] >= critical
    return decide_by(holds, np.zeros_like(holds))
