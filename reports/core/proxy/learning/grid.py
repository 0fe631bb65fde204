"""How often ideas are bait and how much of a micro gain arrives, from finished experiments: a posterior over a grid, without chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import special

from reports.core.proxy.classes import FIVE_CLASSES, Prior, VariantClass
from reports.core.proxy.engine import weigh
from reports.core.proxy.funnel import StepEffects
from reports.core.proxy.learning.past import PastComparison

FloatArray = NDArray[np.float64]

PASS_THROUGHS = (0.50, 0.65, 0.80, 0.95)
BAITS = (0.03, 0.08, 0.15, 0.30)
WINS = (0.10, 0.20, 0.30)
HARM, FILTER = 0.15, 0.05
SPREAD = 0.12

# What is believed before any experiment: the pass-through by itself, then bait (rows) beside wins (columns).
_OF_PASS_THROUGH = np.array([0.15, 0.30, 0.40, 0.15])
_OF_SHARES = np.array([[0.10, 0.12, 0.06], [0.10, 0.15, 0.07], [0.09, 0.13, 0.06], [0.04, 0.05, 0.03]])


@dataclass(frozen=True, slots=True)
class Learned:
    """The posterior over the grid.

    Shapes: `weight` (pass-throughs, baits, wins), adding up to 1. Units: `experiments` counted as fresh ones of one's own.
    """

    weight: FloatArray
    experiments: float
    bait_odds: float = 1.0

    @property
    def shares(self) -> dict[VariantClass, float]:
        """How many ideas belong to each class, on average over the grid."""
        points = _shares(self.bait_odds)
        mean = np.tensordot(self.weight.sum(axis=0), points, axes=([0, 1], [0, 1]))
        return {c: float(share) for c, share in zip(FIVE_CLASSES, mean, strict=True)}

    @property
    def pass_throughs(self) -> tuple[tuple[float, float], ...]:
        """Every pass-through of the grid with its weight."""
        return tuple(zip(PASS_THROUGHS, (float(w) for w in self.weight.sum(axis=(1, 2))), strict=True))

    @property
    def pass_through(self) -> float:
        return float(sum(value * weight for value, weight in self.pass_throughs))

    def bait_interval(self, level: float = 0.8) -> tuple[float, float]:
        """Return the smallest and largest share of bait on the grid between which the posterior lies with about this chance."""
        points = _shares(self.bait_odds)[:, :, FIVE_CLASSES.index(VariantClass.BAIT)]
        weight = self.weight.sum(axis=0)
        order = np.argsort(points, axis=None)
        below = np.cumsum(weight.ravel()[order])
        low, high = np.searchsorted(below, [(1 - level) / 2, (1 + level) / 2])
        values = points.ravel()[order]
        return float(values[low]), float(values[min(high, len(values) - 1)])

    def prior(self, target_step: int | None = None) -> Prior:
        """Return what the engine reckons with for the next experiment."""
        return Prior(
            shares=self.shares,
            pass_through=self.pass_through,
            pass_through_spread=SPREAD,
            target_step=target_step,
            pass_throughs=self.pass_throughs,
        )


def learn(past: Sequence[PastComparison], *, bait_odds: float = 1.0) -> Learned:
    """Learn from finished experiments of any outcome; without any, what is believed beforehand.

    Each experiment's likelihood is that of its step effects under each class, raised to its weight. `bait_odds` are those of the
    kind of change beside a new layout.

    Source: PROXY section 3.3.1. Checked against: the same by brute force with densities from scipy; a known truth with 300
    experiments.
    """
    found = _posterior(_log_likelihoods(past, bait_odds).sum(axis=0))
    return Learned(found, float(sum(one.weight for one in past)), bait_odds)


def learn_leaving_each_out(past: Sequence[PastComparison], *, bait_odds: float = 1.0) -> list[Learned]:
    """Return for each experiment what all the others teach."""
    each = _log_likelihoods(past, bait_odds)
    whole, count = each.sum(axis=0), sum(one.weight for one in past)
    return [
        Learned(_posterior(whole - mine), float(count - one.weight), bait_odds)
        for mine, one in zip(each, past, strict=True)
    ]


def _posterior(log_likelihood: FloatArray) -> FloatArray:
    log_weight = np.log(_OF_PASS_THROUGH)[:, None, None] + np.log(_OF_SHARES)[None, :, :] + log_likelihood
    result: FloatArray = np.exp(log_weight - special.logsumexp(log_weight))
    return result


def _log_likelihoods(past: Sequence[PastComparison], bait_odds: float) -> FloatArray:
    """Return what each experiment says of every point of the grid. Shapes: (experiments, pass-throughs, baits, wins)."""
    found = np.zeros((len(past), len(PASS_THROUGHS), len(BAITS), len(WINS)))
    log_shares = np.log(_shares(bait_odds))
    alike: dict[tuple[int, int | None], list[int]] = {}
    for row, one in enumerate(past):
        alike.setdefault((len(one.steps), one.target_step), []).append(row)
    for (_, target_step), rows in alike.items():
        effects = [past[row].effects for row in rows]
        together = StepEffects(
            np.concatenate([one.effect for one in effects]), np.concatenate([one.variance for one in effects])
        )
        for n, through in enumerate(PASS_THROUGHS):
            prior = Prior(pass_through=through, pass_through_spread=SPREAD, target_step=target_step)
            weighed = weigh(together, prior)
            held = [FIVE_CLASSES.index(c) for c in weighed.classes]
            logs = log_shares[None, :, :, held] + weighed.log_marginal[:, None, None, :]
            # A funnel of one step knows no lure: the classes it knows share everything.
            total = special.logsumexp(log_shares[:, :, held], axis=2)
            found[rows, n] = special.logsumexp(logs, axis=3) - total
    found *= np.array([one.weight for one in past])[:, None, None, None]
    return found


def _shares(bait_odds: float) -> FloatArray:
    """Return the shares of the classes at each point of bait and win. Shapes: (baits, wins, classes)."""
    points = np.zeros((len(BAITS), len(WINS), len(FIVE_CLASSES)))
    for (row, bait), (column, win) in product(enumerate(BAITS), enumerate(WINS)):
        odds = bait_odds * bait / (1 - bait)
        lured = odds / (1 + odds)
        others = {VariantClass.WIN: win, VariantClass.HARM: HARM, VariantClass.FILTER: FILTER}
        others[VariantClass.NULL] = 1 - bait - win - HARM - FILTER
        scale = (1 - lured) / (1 - bait)
        shares: Mapping[VariantClass, float] = {c: s * scale for c, s in others.items()} | {VariantClass.BAIT: lured}
        points[row, column] = [shares[c] for c in FIVE_CLASSES]
    return points
