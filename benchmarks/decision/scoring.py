"""How good a decision rule was, told in several numbers because none alone can."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.decision.rivals import Design, Outcome, designs
from benchmarks.decision.worlds import Portfolio, Truth

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Score:
    """What a rule did with a portfolio.

    `false_ships` is the share of all that were no wins; `false_share` the share of what was shipped that was none.
    Units: shares of 1; visitors both variants together; `gain_per_million` the log-lifts shipped per million visitors.
    """

    power: float
    false_ships: float
    harmful: float
    bait_shipped: float
    false_share: float
    visitors: float
    median_to_right: float
    gain_per_million: float


def score(found: Portfolio, outcome: Outcome, *, per_look: float) -> Score:
    """Score what a rule did. `per_look` are the visitors between two looks."""
    is_win, shipped = found.is_win, outcome.shipped
    visitors = outcome.looks * per_look
    right = np.where(shipped == is_win, visitors, np.inf)
    return Score(
        power=_share(shipped[is_win]),
        false_ships=_share(shipped[~is_win]),
        harmful=_share(shipped[found.macro < -1e-9]),
        bait_shipped=_share(shipped[found.truth == Truth.BAIT]),
        false_share=_share(~is_win[shipped]),
        visitors=float(visitors.mean()),
        median_to_right=float(np.quantile(right, 0.5, method="lower")),
        gain_per_million=float(found.macro[shipped].sum() / visitors.sum() * 1e6),
    )


def _share(holds: NDArray[np.bool_]) -> float:
    return float(holds.mean()) if len(holds) else math.nan


@dataclass(frozen=True, slots=True)
class Rival:
    """A design of the grid with what it did. Units: `visitors` mean, both variants together."""

    design: Design
    visitors: float
    power: float
    false_ships: float


def rivals_of(found: Portfolio, macro_z: FloatArray, *, looks: int, per_look: float) -> list[Rival]:
    """Return every design of the grid, played on the portfolio."""
    is_win = found.is_win
    return [
        Rival(
            design,
            float(outcome.looks.mean()) * per_look,
            _share(outcome.shipped[is_win]),
            _share(outcome.shipped[~is_win]),
        )
        for design, outcome in designs(macro_z, looks=looks)
    ]


def risk_matched(rule: Score, rivals: list[Rival], *, false_ships: float | None = None) -> Rival | None:
    """Return the design with the fewest visitors that has at least the rule's power and at most its false ships.

    None when no design of the grid is as good as the rule. `false_ships` allows the rivals more of them than the rule had.
    """
    allowed = rule.false_ships if false_ships is None else false_ships
    equal = [r for r in rivals if r.power >= rule.power and r.false_ships <= allowed]
    return min(equal, key=lambda r: r.visitors, default=None)


def frontier(rivals: list[Rival], *, false_ships: float) -> list[Rival]:
    """Return the designs that no other beats in both power and visitors, of those with few enough false ships; by power."""
    allowed = sorted((r for r in rivals if r.false_ships <= false_ships), key=lambda r: (r.visitors, -r.power))
    best: list[Rival] = []
    for rival in allowed:
        if not best or rival.power > best[-1].power:
            best.append(rival)
    return best
