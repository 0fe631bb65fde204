"""Portfolios of experiments whose truth is known: what a shop might try, and what its visitors then do week by week.

A truth changes the rates of the funnel's steps. The worlds know nothing of the classes that the engine reckons with: a win's
size, place and pass-through are drawn from continuous ranges, and the `sparse` worlds have no kinds of idea at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

STEPS = ("view", "cart", "checkout", "purchase")
# Share of all visitors who get that far; within the usual ranges of published shop benchmarks (cart 7-8 %, checkout 3-4 %,
# purchase 2-3 %).
REACH = (0.45, 0.081, 0.0365, 0.0200)
HIGHEST_RATE = 0.98


class Truth(IntEnum):
    """What an idea really does."""

    NEUTRAL = 0
    WIN = 1
    BAIT = 2
    VANITY = 3
    HARM = 4


@dataclass(frozen=True, slots=True)
class Mix:
    """How often what is tried, and how large it is.

    Units: sizes are relative lifts (0.12 = +12 %), except `spread`s, which are standard deviations of log-lifts.
    """

    shares: Mapping[Truth, float] = field(
        default_factory=lambda: {
            Truth.NEUTRAL: 0.40,
            Truth.WIN: 0.25,
            Truth.BAIT: 0.12,
            Truth.VANITY: 0.08,
            Truth.HARM: 0.15,
        }
    )
    reach: tuple[float, ...] = REACH
    rate_spread: float = 0.20
    places: tuple[float, ...] = (0.15, 0.40, 0.25, 0.20)
    win_median: float = 0.12
    win_spread: float = 0.5
    win_range: tuple[float, float] = (0.03, 0.60)
    pass_through: float = 0.8
    pass_through_spread: float = 0.15
    bait_median: float = 0.18
    bait_spread: float = 0.4
    bait_unchanged: float = 0.30
    bait_loss: float = 0.15
    bait_at_last_step: float = 0.25
    harm_range: tuple[float, float] = (0.03, 0.20)

    def __post_init__(self) -> None:
        if abs(sum(self.shares.values()) - 1) > 1e-9:
            raise ValueError(f"The shares of a mix add up to 1: {dict(self.shares)}.")


DEFAULT = Mix()


def with_share(mix: Mix, truth: Truth, share: float) -> Mix:
    """Return the mix with another share of one truth; the others keep their proportions."""
    rest = 1 - mix.shares[truth]
    scaled = {t: s * (1 - share) / rest for t, s in mix.shares.items() if t is not truth}
    return replace(mix, shares={**scaled, truth: share})


STRESS: Mapping[str, Mix] = {
    "default": DEFAULT,
    "small wins (+5 %)": replace(DEFAULT, win_median=0.05, win_range=(0.01, 0.60)),
    "big wins (+20 %)": replace(DEFAULT, win_median=0.20),
    "pass-through 0.5": replace(DEFAULT, pass_through=0.5),
    "bait-heavy (30 %)": with_share(DEFAULT, Truth.BAIT, 0.30),
    "pure curiosity": replace(DEFAULT, bait_unchanged=1.0),
    "small bait (+8 %)": replace(DEFAULT, bait_median=0.08),
    "loss at the last step": replace(DEFAULT, bait_at_last_step=1.0),
    "10 % wins": with_share(DEFAULT, Truth.WIN, 0.10),
    "rarer macro (1 %)": replace(DEFAULT, reach=(0.45, 0.060, 0.0210, 0.0100)),
}


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Experiments with their truths.

    Shapes: `truth`, `place` and `macro` (experiments,); `control` and `treatment` (experiments, steps), the share that goes on
    from the step before. Units: `macro` is the true log-lift of the macro conversion; `place` the step that the change aims at.
    """

    truth: IntArray
    place: IntArray
    control: FloatArray
    treatment: FloatArray
    macro: FloatArray

    @property
    def is_win(self) -> NDArray[np.bool_]:
        result: NDArray[np.bool_] = self.truth == Truth.WIN
        return result

    def __len__(self) -> int:
        return len(self.truth)


def portfolio(mix: Mix, experiments: int, rng: np.random.Generator) -> Portfolio:
    """Draw experiments with their truths."""
    kinds = np.array(list(mix.shares), dtype=np.int64)
    truth = rng.choice(kinds, size=experiments, p=list(mix.shares.values()))
    control = _jittered(mix, experiments, rng)
    place = rng.choice(len(mix.reach), size=experiments, p=mix.places)
    effects = np.zeros((experiments, len(mix.reach)))
    for kind, draw in ((Truth.WIN, _win), (Truth.HARM, _harm), (Truth.BAIT, _bait)):
        for row in np.flatnonzero(truth == kind):
            place[row], effects[row] = draw(mix, int(place[row]), rng)
    return _portfolio(truth, place, control, effects)


def sparse_portfolio(
    undoing: float, experiments: int, rng: np.random.Generator, *, mix: Mix = DEFAULT, scale: float = 0.12
) -> Portfolio:
    """Draw experiments without kinds: a heavy-tailed effect on one or two steps, part of it undone further down.

    `undoing` is the largest share that may be undone; above 1 an effect can turn round. A win is a macro lift above 5 %.
    """
    steps = len(mix.reach)
    control = _jittered(mix, experiments, rng)
    place = rng.choice(steps, size=experiments, p=mix.places)
    effects = np.zeros((experiments, steps))
    for row in range(experiments):
        for step in {int(place[row]), int(rng.integers(steps))} if rng.random() < 0.3 else {int(place[row])}:
            size = rng.laplace(scale=scale)
            effects[row, step] += size
            if step + 1 < steps:
                effects[row, rng.integers(step + 1, steps)] -= size * undoing * rng.random()
    found = _portfolio(np.zeros(experiments, dtype=np.int64), place, control, effects)
    truth = np.where(found.macro > np.log(1.05), Truth.WIN, np.where(found.macro < 0, Truth.HARM, Truth.NEUTRAL))
    return replace(found, truth=truth.astype(np.int64))


def _portfolio(truth: IntArray, place: IntArray, control: FloatArray, effects: FloatArray) -> Portfolio:
    treatment = np.minimum(control * np.exp(effects), HIGHEST_RATE)
    macro = np.log(treatment).sum(axis=1) - np.log(control).sum(axis=1)
    return Portfolio(truth, place, control, treatment, macro)


def _jittered(mix: Mix, experiments: int, rng: np.random.Generator) -> FloatArray:
    reach = np.asarray(mix.reach)
    rates = reach / np.concatenate([[1.0], reach[:-1]])
    logits = np.log(rates / (1 - rates)) + rng.normal(scale=mix.rate_spread, size=(experiments, len(rates)))
    result: FloatArray = 1 / (1 + np.exp(-logits))
    return result


def _gain_at(mix: Mix, place: int, macro: float, rng: np.random.Generator) -> FloatArray:
    """Return step effects that add up to the macro log-lift; the shortfall of the pass-through is lost at the next step."""
    effects = np.zeros(len(mix.reach))
    if place == len(effects) - 1:
        effects[place] = macro
        return effects
    through = min(max(float(rng.normal(mix.pass_through, mix.pass_through_spread)), 0.2), 1.2)
    effects[place] = macro / through
    effects[place + 1] = macro - effects[place]
    return effects


def _win(mix: Mix, place: int, rng: np.random.Generator) -> tuple[int, FloatArray]:
    gain = float(np.clip(mix.win_median * np.exp(rng.normal(scale=mix.win_spread)), *mix.win_range))
    return place, _gain_at(mix, place, float(np.log1p(gain)), rng)


def _harm(mix: Mix, place: int, rng: np.random.Generator) -> tuple[int, FloatArray]:
    return place, _gain_at(mix, place, float(np.log1p(-rng.uniform(*mix.harm_range))), rng)


def _bait(mix: Mix, _place: int, rng: np.random.Generator) -> tuple[int, FloatArray]:
    shares = np.asarray(mix.places[:-1])
    place = int(rng.choice(len(shares), p=shares / shares.sum()))
    micro = float(np.log1p(mix.bait_median * np.exp(rng.normal(scale=mix.bait_spread))))
    loss = 0.0 if rng.random() < mix.bait_unchanged else float(np.log1p(-rng.uniform(0, mix.bait_loss)))
    effects = np.zeros(len(mix.reach))
    effects[place] = micro
    later = np.arange(place + 1, len(effects))
    at_last = rng.random() < mix.bait_at_last_step
    lost = np.array([len(effects) - 1]) if at_last else later[: int(rng.integers(1, len(later) + 1))]
    effects[lost] += (loss - micro) / len(lost)
    return place, effects


@dataclass(frozen=True, slots=True)
class Weeks:
    """Visitors and those who reached each step, cumulative by week.

    Shapes: `visitors` (weeks,) of each variant; `control` and `treatment` (experiments, weeks, steps).
    """

    visitors: IntArray
    control: IntArray
    treatment: IntArray


def play(found: Portfolio, *, per_week: int, weeks: int, looks_per_week: int, rng: np.random.Generator) -> Weeks:
    """Let the visitors walk down the funnel, half of them in each variant."""
    looks = weeks * looks_per_week
    each = round(per_week / 2 / looks_per_week)

    def walk(rates: FloatArray) -> IntArray:
        reached = np.full((len(found), looks), each, dtype=np.int64)
        steps = []
        for step in range(rates.shape[1]):
            reached = rng.binomial(reached, rates[:, step : step + 1])
            steps.append(reached)
        return np.cumsum(np.stack(steps, axis=2), axis=1)

    return Weeks(each * np.arange(1, looks + 1), walk(found.control), walk(found.treatment))
