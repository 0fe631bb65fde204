"""A site's visitors with what was known when they came, and when each of them reached what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.core.metrics import Conversion

FloatArray = NDArray[np.float64]

LANDMARK_HOURS = 0.5
WINDOW_HOURS = 14 * 24.0


@dataclass(frozen=True, slots=True)
class Micro:
    """A micro conversion as the site's visitors did it.

    Shapes: `hours` is (visitors,), from first visit to the first time, NaN for never. `funnel_order` is a milestone's place on
    the way.
    """

    key: str
    name: str
    conversion: Conversion
    hours: FloatArray
    funnel_order: int | None = None
    pass_through: float = 0.8


@dataclass(frozen=True, slots=True)
class Journeys:
    """Visitors of a period, each followed for `landmark_hours` and then `window_hours` more.

    Only what was known at the first visit may be a covariate. What a visitor does up to the landmark counts as micro; the macro
    counts from there on, so that nobody's micro conversion is credited with a purchase made before it, and nobody has to
    live through the window to be counted as having done the micro.

    Shapes: `macro_hours` (visitors,), NaN for never; `covariates` (visitors, k) without missing values.
    """

    micros: tuple[Micro, ...]
    macro_hours: FloatArray
    covariates: FloatArray
    landmark_hours: float = LANDMARK_HOURS
    window_hours: float = WINDOW_HOURS

    def __post_init__(self) -> None:
        visitors = len(self.macro_hours)
        if any(len(m.hours) != visitors for m in self.micros) or len(self.covariates) != visitors:
            raise ValueError("Every array of Journeys has one entry per visitor.")
        if np.isnan(self.covariates).any():
            raise ValueError("A covariate may not be missing here; give missing ones a value and an indicator.")
        if not (self.landmark_hours > 0 and self.window_hours > 0):
            raise ValueError("The landmark and the window lie after the first visit.")

    @property
    def milestones(self) -> tuple[Micro, ...]:
        """The steps on the way, in order."""
        steps = [m for m in self.micros if m.conversion is Conversion.MILESTONE]
        return tuple(sorted(steps, key=lambda m: m.funnel_order or 0))

    def did_macro(self) -> NDArray[np.bool_]:
        """Say who reached the macro conversion within the window, landmark or not."""
        return _within(self.macro_hours, self.landmark_hours + self.window_hours)

    def did(self, micro: Micro) -> NDArray[np.bool_]:
        """Say who did a milestone within the window."""
        return _within(micro.hours, self.landmark_hours + self.window_hours)

    def did_by_landmark(self, micro: Micro) -> NDArray[np.bool_]:
        return _within(micro.hours, self.landmark_hours)

    def at_landmark(self) -> NDArray[np.bool_]:
        """Say who had not reached the macro conversion by the landmark: only they can still be won by a secondary action."""
        return ~_within(self.macro_hours, self.landmark_hours)

    def depth_before(self, micro: Micro) -> NDArray[np.int64]:
        """Return how many milestones each visitor had reached before this micro, or before the landmark without it.

        Who is deep in the shop buys more often and subscribes more often; without this the one gets credit for the other.
        """
        until = np.where(self.did_by_landmark(micro), micro.hours, self.landmark_hours)
        reached = np.zeros(len(until), dtype=np.int64)
        for step in self.milestones:
            reached += np.nan_to_num(step.hours, nan=np.inf) < until
        return reached


def _within(hours: FloatArray, limit: float) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = np.nan_to_num(hours, nan=np.inf) <= limit
    return result
