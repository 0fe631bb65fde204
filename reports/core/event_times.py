"""When visitors did something, as a sufficient statistic: a life table of the metric's window that adds with `+`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from experiments.core.metric_kinds.base import VisitorValues

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

STEPS = 200  # into which the window is cut: time is counted in whole steps, so half a per cent of it is the finest
LEAST_MATURED = 20  # visitors followed to the end, below which the end of the window rests on hardly anybody


@dataclass(frozen=True)  # without slots, so that what follows from the table is worked out once
class EventTimes:
    """How many visitors converted in each step of the window, and how many were followed no longer than up to it.

    A conversion counts once the whole step in which it happened lies within the follow-up, and a visitor is at risk in the
    steps that lie wholly within it: thus in counted steps nobody's conversion is known sooner than its absence.
    `matured` visitors have been followed for the whole window, whether or not they converted.

    Shapes: `converted` (STEPS,); `left` (STEPS + 1,), who was followed for so many whole steps and did not convert in them.
    Source: Kaplan & Meier (1958), JASA 53:457-481; Greenwood (1926); effective numbers after Cutler & Ederer (1958) and
    Rothman (1978), Journal of Chronic Diseases 31:557-560.
    Checked against: statsmodels.duration.SurvfuncRight; the plain share when everybody has been followed to the end.
    """

    visitors: int
    matured: int
    converted: tuple[int, ...]
    left: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.converted) != STEPS or len(self.left) != STEPS + 1:
            raise ValueError(f"A life table has {STEPS} steps.")
        if min(self.converted) < 0 or min(self.left) < 0 or not 0 <= self.matured <= self.visitors:
            raise ValueError("A life table has no negative numbers.")
        if sum(self.converted) + sum(self.left) != self.visitors:
            raise ValueError("In a life table every visitor either converts or leaves.")

    @classmethod
    def from_values(cls, values: VisitorValues) -> Self:
        """Count hours until the conversion (NaN: none) against hours of follow-up (None: the whole window).

        Raises: ValueError when the values do not say how long the window is.
        """
        if values.window_hours is None:
            raise ValueError("Times need a window to be counted in.")
        step_hours = values.window_hours / STEPS
        followed = (
            np.full(len(values.numerator), STEPS)
            if values.followed_hours is None
            else steps_of(values.followed_hours, step_hours)
        )
        return cls.from_steps(event_steps(values.numerator, step_hours), followed)

    @classmethod
    def from_steps(cls, event: IntArray, followed: IntArray) -> Self:
        """Count steps: that of the conversion (from 0; STEPS for none) and how many have been followed whole."""
        is_seen = event < followed
        return cls(
            visitors=len(event),
            matured=int(np.count_nonzero(followed >= STEPS)),
            converted=tuple(np.bincount(event[is_seen], minlength=STEPS).tolist()),
            left=tuple(np.bincount(followed[~is_seen], minlength=STEPS + 1).tolist()),
        )

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.visitors + other.visitors,
            self.matured + other.matured,
            tuple(a + b for a, b in zip(self.converted, other.converted, strict=True)),
            tuple(a + b for a, b in zip(self.left, other.left, strict=True)),
        )

    @cached_property
    def at_risk(self) -> IntArray:
        """Who had not converted before a step and was followed through it. Shapes: (STEPS,)."""
        gone = np.cumsum(np.array([0, *self.converted[:-1]]) + np.array(self.left[:-1]))
        return np.asarray(self.visitors - gone, dtype=np.int64)

    @property
    def curve(self) -> FloatArray:
        """The share converted by the end of each step. Shapes: (STEPS,)."""
        return 1 - self._survival

    @cached_property
    def is_estimable(self) -> bool:
        """Whether enough visitors have been followed to the end of the window to say what happens there."""
        if self.visitors == 0:
            return False
        if self.matured == self.visitors:
            return True
        return self.matured >= LEAST_MATURED and bool(self.at_risk[-1] > 0 or self._survival[-1] == 0)

    @property
    def value(self) -> float:
        """The share converted within the window; NaN where that cannot be estimated."""
        return float(self.curve[-1]) if self.is_estimable else math.nan

    @property
    def total(self) -> float:
        """The conversions counted so far."""
        return float(sum(self.converted))

    @cached_property
    def effective_visitors(self) -> float:
        """How many visitors, all followed to the end, would say as much; 0 where nothing can be said."""
        if not self.is_estimable:
            return 0.0
        share, variance = self.value, self._greenwood
        if 0 < share < 1 and variance > 0:
            return min(share * (1 - share) / variance, float(self.visitors))
        if share > 0:
            return float(self.matured)
        # Without a conversion: what rare ones, spread evenly over the window, would be worth.
        return float(STEPS / np.sum(1 / self.at_risk))

    @property
    def variance(self) -> float:
        """Greenwood's variance of the value times the visitors, so that divided by them it is that of the value."""
        return self._greenwood * self.visitors if self.is_estimable else math.nan

    @cached_property
    def _survival(self) -> FloatArray:
        at_risk = np.maximum(self.at_risk, 1)
        return np.asarray(np.cumprod(1 - np.asarray(self.converted) / at_risk), dtype=np.float64)

    @cached_property
    def _greenwood(self) -> float:
        at_risk, converted = self.at_risk, np.asarray(self.converted)
        rest = at_risk - converted
        terms = np.where(rest > 0, converted / np.maximum(at_risk * rest, 1), 0.0)
        return float(self._survival[-1] ** 2 * terms.sum())


def event_steps(hours: FloatArray, step_hours: float) -> IntArray:
    """Return the step in which each conversion happened, from 0; STEPS where there was none. Shapes: (visitors,)."""
    steps = np.minimum(np.floor(np.nan_to_num(hours) / step_hours), STEPS - 1)
    return np.where(np.isnan(hours), STEPS, steps).astype(np.int64)


def steps_of(hours: FloatArray, step_hours: float) -> IntArray:
    """Return how many whole steps lie within so many hours of follow-up. Shapes: (visitors,)."""
    # A window of 0.1 h followed for 0.1 h is whole, whatever the division says.
    return np.clip(np.floor(hours / step_hours + 1e-6), 0, STEPS).astype(np.int64)
