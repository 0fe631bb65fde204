"""How good a decision rule was, told in several numbers because none alone can."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.decision.rivals import Design, Outcome, designs
from benchmarks.decision.worlds import Portfolio, Truth

FloatArray = NDArray[np.floating[Any]]

RESAMPLES = 200
_AT_ONCE = 512
_HAIR = 1e-6  # sums in single precision


@dataclass(frozen=True, slots=True)
class Score:
    """What a rule did with a portfolio.

    `false_ships` is the share of all that were no wins; `false_share` the share of what was shipped that was none.
    Units: shares of 1; visitors both variants together; `gain_per_million` the log-lifts shipped per million visitors. `counts` are
    how many experiments a share rests on, by the share's name.
    """

    power: float
    false_ships: float
    harmful: float
    bait_shipped: float
    false_share: float
    visitors: float
    median_to_right: float
    gain_per_million: float
    counts: Mapping[str, int]

    def error(self, name: str) -> float:
        """Return the standard error of a share."""
        share, count = float(getattr(self, name)), self.counts[name]
        return math.sqrt(share * (1 - share) / count) if count else math.nan


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
        counts={
            "power": int(is_win.sum()),
            "false_ships": int((~is_win).sum()),
            "bait_shipped": int((found.truth == Truth.BAIT).sum()),
            "false_share": int(shipped.sum()),
        },
    )


def _share(holds: NDArray[np.bool_]) -> float:
    return float(holds.mean()) if len(holds) else math.nan


@dataclass(frozen=True, slots=True)
class Rival:
    """A design of the grid with what it did. Units: `visitors` mean, both variants together; `per_look` between two looks."""

    design: Design
    visitors: float
    power: float
    false_ships: float
    outcome: Outcome
    per_look: float


def rivals_of(found: Portfolio, macro_z: FloatArray, *, looks: int, per_look: float) -> list[Rival]:
    """Return every design of the grid, played on the portfolio."""
    is_win = found.is_win
    return [
        Rival(
            design,
            float(outcome.looks.mean()) * per_look,
            _share(outcome.shipped[is_win]),
            _share(outcome.shipped[~is_win]),
            outcome,
            per_look,
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


def saving_error(
    found: Portfolio,
    outcome: Outcome,
    rivals: Sequence[Rival],
    *,
    per_look: float,
    resamples: int = RESAMPLES,
    seed: int = 1,
) -> float:
    """Return the standard error of the saving: experiments drawn again, and the cheapest design as good picked anew each time.

    NaN where hardly any draw has a design as good. Source: Efron (1979), Annals of Statistics 7:1-26.
    """
    rng = np.random.default_rng(seed)
    count = len(found)
    draws = rng.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float32)
    is_win = found.is_win

    def told(shipped: FloatArray, visitors: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return power, false ships and mean visitors in every draw. Shapes: all (resamples, rules)."""
        wins, others = draws[:, is_win], draws[:, ~is_win]
        power = wins @ shipped[is_win] / wins.sum(axis=1, keepdims=True)
        return power, others @ shipped[~is_win] / others.sum(axis=1, keepdims=True), draws @ visitors / count

    own = told(outcome.shipped[:, None].astype(np.float32), (outcome.looks * per_look)[:, None].astype(np.float32))
    best = np.full((resamples, 1), np.inf)
    for first in range(0, len(rivals), _AT_ONCE):
        some = rivals[first : first + _AT_ONCE]
        shipped = np.stack([r.outcome.shipped for r in some], axis=1).astype(np.float32)
        visitors = np.stack([r.outcome.looks.astype(np.float32) * r.per_look for r in some], axis=1)
        power, false, mean = told(shipped, visitors)
        equal = (power >= own[0] - _HAIR) & (false <= own[1] + _HAIR)
        best = np.minimum(best, np.where(equal, mean, np.inf).min(axis=1, keepdims=True))
    saving = (1 - own[2] / best)[np.isfinite(best)]
    return float(saving.std(ddof=1)) if len(saving) > resamples / 2 else math.nan


def frontier(rivals: list[Rival], *, false_ships: float) -> list[Rival]:
    """Return the designs that no other beats in both power and visitors, of those with few enough false ships; by power."""
    allowed = sorted((r for r in rivals if r.false_ships <= false_ships), key=lambda r: (r.visitors, -r.power))
    best: list[Rival] = []
    for rival in allowed:
        if not best or rival.power > best[-1].power:
            best.append(rival)
    return best
