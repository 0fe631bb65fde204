"""How good a decision rule was, told in several numbers because none alone can."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.decision.rivals import Outcome, designs
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
class Matched:
    """The cheapest macro-only design that is as strong and as safe as a rule, found with hindsight.

    `saving` is 1 - the rule's visitors / the design's; NaN when no design of the grid is as good as the rule.
    """

    design: tuple[float, float, int] | None
    visitors: float
    saving: float


def risk_matched(
    found: Portfolio, rule: Score, macro_z: FloatArray, *, looks: int, per_look: float, false_ships: float | None = None
) -> Matched:
    """Search the grid for the fewest visitors with at least the rule's power and at most its false ships.

    `false_ships` allows the rivals more of them than the rule had.
    """
    allowed = rule.false_ships if false_ships is None else false_ships
    best: tuple[float, float, int] | None = None
    fewest = math.inf
    is_win = found.is_win
    for design, outcome in designs(macro_z, looks=looks):
        visitors = float(outcome.looks.mean()) * per_look
        if visitors >= fewest:
            continue
        if _share(outcome.shipped[is_win]) >= rule.power and _share(outcome.shipped[~is_win]) <= allowed:
            best, fewest = design, visitors
    saving = 1 - rule.visitors / fewest if best is not None else math.nan
    return Matched(best, fewest if best is not None else math.nan, saving)
