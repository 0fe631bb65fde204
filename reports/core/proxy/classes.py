"""What a variant can be: classes of ideas as mixtures of normal distributions over the log-lifts of the steps.

Without an assumption about quality no micro conversion says anything of the macro. Here the assumption is made in the open: a
WIN gains at one step and may lose part of it at the next; a BAIT gains at one step and loses at least as much further down.

The sizes and shares are judgements, checked on worlds that know nothing of them (docs/benchmark.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class VariantClass(StrEnum):
    """WIN: the macro gains. NULL: nothing changes. BAIT: a micro gains, the macro does not. HARM: the macro loses.
    FILTER: fewer begin, and those who do finish more often."""

    WIN = "win"
    NULL = "null"
    BAIT = "bait"
    HARM = "harm"
    FILTER = "filter"


FOUR_CLASSES = (VariantClass.WIN, VariantClass.NULL, VariantClass.BAIT, VariantClass.HARM)
FIVE_CLASSES = (*FOUR_CLASSES, VariantClass.FILTER)

FOUR_SHARES: Mapping[VariantClass, float] = dict(zip(FOUR_CLASSES, (0.20, 0.50, 0.15, 0.15), strict=True))
FIVE_SHARES: Mapping[VariantClass, float] = dict(zip(FIVE_CLASSES, (0.20, 0.46, 0.15, 0.14, 0.05), strict=True))

GAINS = ((0.06, 0.40), (0.13, 0.40), (0.26, 0.20))
LURES = ((0.10, 0.35), (0.18, 0.40), (0.32, 0.25))
DECLARED = 0.70  # how far the declared target step is believed
HEAVILY_DILUTED = 0.20
JITTER = 0.01**2
NULL_VARIANCE = 1e-10
OVERSHOOT = 0.05  # a lure loses a little more than it gains

# Where ideas act: early step, steps between, the step before the macro, the macro itself.
_EARLY, _BETWEEN, _BEFORE_MACRO, _MACRO = 0.15, 0.40, 0.25, 0.20
_LURE_EARLY, _LURE_BETWEEN, _LURE_BEFORE_MACRO = 1.33, 1.20, 0.48

# How much likelier bait is for a kind of change than for a new layout.
BAIT_ODDS: Mapping[str, float] = {
    "layout": 1.0,
    "navigation": 1.0,
    "performance": 1.0,
    "trust": 1.0,
    "copy": 1.5,
    "price": 2.5,
    "promo": 2.5,
    "checkout": 0.5,
}


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed before the experiment.

    `pass_through` is the share of a micro gain that reaches the macro in a win, `pass_through_spread` its spread; `shares` how
    many ideas belong to each class; `target_step` (from 1) where the owner says the change aims; `scale` the size of effects
    beside the usual ones. `pass_throughs` are several values of it with their weights, in place of the one: what past
    experiments leave open.
    """

    shares: Mapping[VariantClass, float] = field(default_factory=lambda: FIVE_SHARES)
    pass_through: float = 0.8
    pass_through_spread: float = 0.15
    target_step: int | None = None
    scale: float = 1.0
    pass_throughs: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if abs(sum(self.shares.values()) - 1) > 1e-9 or min(self.shares.values()) <= 0:
            raise ValueError(f"The shares of the classes are above 0 and add up to 1: {dict(self.shares)}.")
        if VariantClass.WIN not in self.shares or len(self.shares) < 2:
            raise ValueError("A prior needs the class 'win' and something to tell it from.")
        if not 0 < self.pass_through <= 1.5 or self.scale <= 0 or self.pass_through_spread <= 0:
            raise ValueError(
                f"Pass-through {self.pass_through} (spread {self.pass_through_spread}) and scale {self.scale} must be above 0."
            )

        if self.pass_throughs and (
            abs(sum(w for _, w in self.pass_throughs) - 1) > 1e-9
            or min(min(value, weight) for value, weight in self.pass_throughs) <= 0
        ):
            raise ValueError(
                f"Values and weights of the pass-through are above 0, the weights add up to 1: {self.pass_throughs}."
            )

    @property
    def classes(self) -> tuple[VariantClass, ...]:
        return tuple(self.shares)

    @property
    def believed_pass_throughs(self) -> tuple[tuple[float, float], ...]:
        """Every pass-through reckoned with, and its weight."""
        return self.pass_throughs or ((self.pass_through, 1.0),)


def with_bait_odds(shares: Mapping[VariantClass, float], factor: float) -> dict[VariantClass, float]:
    """Return the shares with the odds of bait multiplied; the others keep their proportions."""
    bait = shares[VariantClass.BAIT]
    odds = factor * bait / (1 - bait)
    new = odds / (1 + odds)
    return {c: new if c is VariantClass.BAIT else s * (1 - new) / (1 - bait) for c, s in shares.items()}


@dataclass(frozen=True, slots=True)
class Components:
    """Normal components of all classes, end to end.

    The covariance of a component is its two directions' outer products plus `jitter` on the diagonal.
    Shapes: `log_weight` and `jitter` (components,), `mean` (components, steps), `directions` (components, steps, 2); `owner` says
    which class of `classes` each component belongs to. Weights add up to 1 within a class.
    """

    classes: tuple[VariantClass, ...]
    owner: NDArray[np.intp]
    log_weight: FloatArray
    mean: FloatArray
    directions: FloatArray
    jitter: FloatArray

    @property
    def steps(self) -> int:
        return int(self.mean.shape[1])


def components_of(prior: Prior, steps: int) -> Components:
    """Return the components of a prior for a funnel of so many steps.

    Raises: ValueError for a target step that the funnel does not have.
    """
    if steps < 1:
        raise ValueError(f"A funnel has at least one step, not {steps}.")
    if prior.target_step is not None and not 1 <= prior.target_step <= steps:
        raise ValueError(f"A funnel of {steps} steps has no step {prior.target_step} to aim at.")
    # With one step there is nothing to lose further down: no lure can be told from a win, so those classes are left out.
    classes = tuple(c for c in prior.classes if steps > 1 or c not in {VariantClass.BAIT, VariantClass.FILTER})
    believed = prior.believed_pass_throughs
    return _components(classes, believed, prior.pass_through_spread, prior.target_step, prior.scale, steps)


_Component = tuple[float, FloatArray, FloatArray, float]


@lru_cache(maxsize=512)
def _components(
    classes: tuple[VariantClass, ...],
    pass_throughs: tuple[tuple[float, float], ...],
    spread: float,
    target_step: int | None,
    scale: float,
    steps: int,
) -> Components:
    places = step_weights(steps, target_step)
    lures = _lure_weights(steps, target_step)
    wins = [
        (share * weight, mean, directions, jitter)
        for through, share in pass_throughs
        for weight, mean, directions, jitter in _wins(places, through, spread, scale)
    ]
    win_places = [place for _ in pass_throughs for place in _places(steps)]
    baits = list(_baits(lures, scale))
    made: dict[VariantClass, list[_Component]] = {
        VariantClass.WIN: wins + list(_diluted_wins(places, scale)),
        VariantClass.NULL: [(1.0, np.zeros(steps), np.zeros((steps, 2)), NULL_VARIANCE)],
        VariantClass.BAIT: [(w, gain - loss, u, j) for w, gain, loss, u, j in baits],
        # A share of the wins is heavily diluted; harm has no such part, so its weights are whole.
        VariantClass.HARM: [
            (w / (1 - HEAVILY_DILUTED) if place < steps - 1 else w, -mean, u, j)
            for (w, mean, u, j), place in zip(wins, win_places, strict=True)
        ],
        VariantClass.FILTER: [(w, gain * -1 + loss * (gain.sum() / loss.sum()), u, j) for w, gain, loss, u, j in baits],
    }
    chosen = [(number, one) for number, c in enumerate(classes) for one in made[c]]
    return Components(
        classes=classes,
        owner=np.array([number for number, _ in chosen]),
        log_weight=np.log([one[0] for _, one in chosen]),
        mean=np.stack([one[1] for _, one in chosen]),
        directions=np.stack([one[2] for _, one in chosen]),
        jitter=np.array([one[3] for _, one in chosen]),
    )


def step_weights(steps: int, target_step: int | None = None) -> FloatArray:
    """Return where ideas act: a weight per step that add up to 1, moved towards the declared target step.

    Of a short funnel the early steps are taken together; of a long one the steps between share their weight.
    """
    if steps == 1:
        weights = np.ones(1)
    elif steps == 2:
        weights = np.array([_EARLY + _BETWEEN + _BEFORE_MACRO, _MACRO])
    elif steps == 3:
        weights = np.array([_EARLY + _BETWEEN, _BEFORE_MACRO, _MACRO])
    else:
        weights = np.array([_EARLY, *[_BETWEEN / (steps - 3)] * (steps - 3), _BEFORE_MACRO, _MACRO])
    return _aimed(weights, target_step)


def _aimed(weights: FloatArray, target_step: int | None) -> FloatArray:
    if target_step is None:
        return weights
    aimed = weights * (1 - DECLARED)
    aimed[target_step - 1] += DECLARED
    return aimed


def _lure_weights(steps: int, target_step: int | None) -> FloatArray:
    """Return where lures act: every step but the macro, early ones more than wins do."""
    if steps < 2:
        return np.empty(0)
    plain = step_weights(steps)
    if steps == 2:
        factors = np.ones(1)
    elif steps == 3:
        early = (_EARLY * _LURE_EARLY + _BETWEEN * _LURE_BETWEEN) / (_EARLY + _BETWEEN)
        factors = np.array([early, _LURE_BEFORE_MACRO])
    else:
        factors = np.array([_LURE_EARLY, *[_LURE_BETWEEN] * (steps - 3), _LURE_BEFORE_MACRO])
    weights = _aimed(plain, target_step)[:-1] * factors
    result: FloatArray = weights / weights.sum()
    return result


def _places(steps: int) -> Iterator[int]:
    for place in range(steps):
        for _ in GAINS:
            yield place


def _wins(places: FloatArray, pass_through: float, spread: float, scale: float) -> Iterator[_Component]:
    """Yield gains at one step of which the next one keeps about `pass_through`."""
    unit, last = np.eye(len(places)), len(places) - 1
    for place, share in enumerate(places):
        for size, weight in GAINS:
            gain = size * scale
            if place == last:
                yield share * weight, gain * unit[place], _directions(0.4 * gain * unit[place]), JITTER
                continue
            kept = unit[place] - (1 - pass_through) * unit[place + 1]
            yield (
                share * weight * (1 - HEAVILY_DILUTED),
                gain * kept,
                _directions(0.4 * gain * kept, spread * gain * unit[place + 1]),
                JITTER,
            )


def _diluted_wins(places: FloatArray, scale: float) -> Iterator[_Component]:
    """Yield large gains at one step of which more than half is lost later, and still something is left."""
    unit, last = np.eye(len(places)), len(places) - 1
    for place, share in enumerate(places[:-1]):
        losses = [unit[last]] if place + 1 == last else [unit[place + 1], unit[last]]
        for size, weight in GAINS:
            gain = 2 * size * scale
            for loss in losses:
                yield (
                    share * weight * HEAVILY_DILUTED / len(losses),
                    gain * unit[place] - 0.55 * gain * loss,
                    _directions(0.3 * gain * unit[place], 0.2 * gain * loss),
                    JITTER,
                )


def _baits(lures: FloatArray, scale: float) -> Iterator[tuple[float, FloatArray, FloatArray, FloatArray, float]]:
    """Yield weight, gain, loss, directions and jitter of gains at one step that are lost again further down."""
    steps = len(lures) + 1
    unit, last = np.eye(steps), steps - 1
    for place, share in enumerate(lures):
        patterns: Sequence[tuple[FloatArray, float]] = [(unit[last], 1.0)]
        if place + 1 < last:
            patterns = [(unit[place + 1], 0.35), (unit[place + 1 :].mean(axis=0), 0.40), (unit[last], 0.25)]
        for size, weight in LURES:
            gain = size * scale
            for pattern, chance in patterns:
                yield (
                    share * weight * chance,
                    gain * unit[place],
                    (gain + OVERSHOOT) * pattern,
                    _directions(0.4 * gain * (unit[place] - pattern), OVERSHOOT * pattern),
                    JITTER,
                )


def _directions(*columns: FloatArray) -> FloatArray:
    both = [*columns, np.zeros_like(columns[0])][:2]
    return np.stack(both, axis=1)
