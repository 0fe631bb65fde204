"""Micro conversions ranked by how good a guide they are, each with its uncertainty and the reasons for doubt.

A ranking may suggest what to watch. It never licenses a ship: only experiments show causes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from experiments.core.metrics import Conversion
from reports.core.methods.base import NotComputable
from reports.core.proxy.observational.association import Association, Cells, associate
from reports.core.proxy.observational.doubly_robust import Adjusted, adjusted_association, ceiling_of
from reports.core.proxy.observational.journeys import Journeys, Micro
from reports.core.proxy.observational.quality import proxy_quality, sign_agreement, visitors_ratio

FloatArray = NDArray[np.float64]

DRAWS = 1000
LEAST_MACRO_WITH_MICRO = 50
AFTER_MACRO = 0.10
AUTOMATIC = 0.95
MOSTLY_BUYERS = 0.90
BOT_SECONDS = 2.0


class Doubt(StrEnum):
    """Why a micro conversion may be a worse guide than it looks."""

    DEPTH_EXPLAINS_IT = "depth_explains_it"
    OFTEN_AFTER_MACRO = "often_after_macro"
    REVERSE_GATE = "reverse_gate"
    FEW_MACRO = "few_macro"
    AUTOMATIC_EVENT = "automatic_event"
    BOT_LIKE = "bot_like"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is known of one micro conversion.

    `adjusted` is None for a milestone, which lies on the way itself: its ceiling is 1 by construction. `quality` is the
    correlation with the macro lift at the site's traffic, 0 for a secondary action that no experiment has vouched for;
    `first` and `top_three` how often it came out there when visitors were drawn afresh.
    Units: `hours` are the median from first visit to the micro; `visitors_ratio` compares with the macro conversion.
    """

    key: str
    name: str
    conversion: Conversion
    association: Association
    adjusted: Adjusted | NotComputable | None
    ceiling: float | None
    quality: float
    sign_agreement: float
    visitors_ratio: float
    hours: float
    doubts: tuple[Doubt, ...]
    first: float
    top_three: float


def rank_micros(
    journeys: Journeys,
    latent: FloatArray,
    *,
    visitors_per_variant: float,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> tuple[Candidate, ...]:
    """Return the micro conversions, best guide first: by quality, and by ceiling where no quality is known.

    Shapes: `latent` is (milestones + 1, milestones + 1), see `proxy_quality`. Raises: ValueError when nobody has reached the
    macro conversion, or when `latent` does not fit the milestones.
    """
    macro = journeys.did_macro()
    if not macro.any():
        raise ValueError("Nobody has reached the macro conversion in this period, so nothing can lead to it.")
    if latent.shape != (len(journeys.milestones) + 1,) * 2:
        raise ValueError(
            f"{len(journeys.milestones)} milestones and the macro need a covariance of that size, not {latent.shape}."
        )
    looked_at = [_Measured(journeys, micro, latent, visitors_per_variant, rng) for micro in journeys.micros]
    first, top_three = _places(looked_at, len(macro), rng, draws)
    found = [
        one.candidate(float(macro.mean()), float(first[n]), float(top_three[n])) for n, one in enumerate(looked_at)
    ]
    return tuple(sorted(found, key=lambda c: (-c.quality, -(c.ceiling or 0.0), c.key)))


class _Measured:
    """One micro, with what its place in the ranking rests on: a mean over visitors that can be drawn afresh."""

    def __init__(
        self,
        journeys: Journeys,
        micro: Micro,
        latent: FloatArray,
        visitors_per_variant: float,
        rng: np.random.Generator,
    ) -> None:
        self.micro = micro
        self.latent = latent
        self.visitors_per_variant = visitors_per_variant
        self.is_milestone = micro.conversion is Conversion.MILESTONE
        macro = journeys.did_macro()
        self.reached = journeys.did(micro)
        self.adjusted: Adjusted | NotComputable | None = None
        self.rows = np.arange(len(macro))
        if self.is_milestone:
            self.depth = 1 + [m.key for m in journeys.milestones].index(micro.key)
            self.cells = _cells(self.reached, macro)
        else:
            self.rows = np.flatnonzero(journeys.at_landmark())
            did, later = journeys.did_by_landmark(micro)[self.rows], macro[self.rows]
            self.cells = _cells(did, later)
            depth = journeys.depth_before(micro)[self.rows]
            steps = [(depth >= step).astype(float) for step in range(1, len(journeys.milestones) + 1)]
            covariates = np.column_stack([journeys.covariates[self.rows], *steps])
            self.adjusted = adjusted_association(did.astype(float), later.astype(float), covariates, rng)
        self.after_macro = _share_after_macro(micro, journeys)
        self.with_micro_ever = float(macro[self.reached].mean()) if self.reached.any() else 0.0
        seconds = micro.hours[self.reached] * 3600
        self.median_seconds = float(np.median(seconds)) if len(seconds) else float("nan")

    def score(self, weights: FloatArray) -> tuple[float, float]:
        """Return quality and ceiling with these weights of the visitors."""
        if self.is_milestone:
            reach = float(weights @ self.reached) / float(weights.sum())
            return (self._quality(reach), 1.0)
        if not isinstance(self.adjusted, Adjusted):
            return (0.0, 0.0)
        mine = weights[self.rows]
        without, share = (mine @ self.adjusted.influence) / mine.sum()
        return (0.0, ceiling_of(float(without), float(share)) if share > 0 else 0.0)

    def _quality(self, reach: float) -> float:
        if reach <= 0:
            return 0.0
        return proxy_quality(self.latent, depth=self.depth, reach=reach, visitors_per_variant=self.visitors_per_variant)

    def candidate(self, macro_share: float, first: float, top_three: float) -> Candidate:
        association = associate(self.cells)
        quality, ceiling = self.score(np.ones(len(self.reached)))
        has_ceiling = self.is_milestone or isinstance(self.adjusted, Adjusted)
        reach = float(self.reached.mean())
        return Candidate(
            key=self.micro.key,
            name=self.micro.name,
            conversion=self.micro.conversion,
            association=association,
            adjusted=self.adjusted,
            ceiling=ceiling if has_ceiling else None,
            quality=quality,
            sign_agreement=sign_agreement(quality),
            visitors_ratio=visitors_ratio(reach=reach, macro_share=macro_share, pass_through=self.micro.pass_through)
            if reach > 0
            else float("inf"),
            hours=self.median_seconds / 3600,
            doubts=tuple(self._doubts(association, reach)),
            first=first,
            top_three=top_three,
        )

    def _doubts(self, association: Association, reach: float) -> list[Doubt]:
        raw = association.risk_difference
        found = {
            Doubt.DEPTH_EXPLAINS_IT: isinstance(self.adjusted, Adjusted)
            and raw is not None
            and abs(self.adjusted.risk_difference) < abs(raw) / 2,
            Doubt.OFTEN_AFTER_MACRO: self.after_macro > AFTER_MACRO,
            Doubt.REVERSE_GATE: self.with_micro_ever >= MOSTLY_BUYERS,
            Doubt.FEW_MACRO: self.cells.both < LEAST_MACRO_WITH_MICRO,
            Doubt.AUTOMATIC_EVENT: reach > AUTOMATIC,
            Doubt.BOT_LIKE: self.median_seconds < BOT_SECONDS,
        }
        return [doubt for doubt, holds in found.items() if holds]


def _cells(did_micro: NDArray[np.bool_], did_macro: NDArray[np.bool_]) -> Cells:
    counts = np.bincount(2 * did_micro + did_macro, minlength=4)
    return Cells(both=int(counts[3]), micro_only=int(counts[2]), macro_only=int(counts[1]), neither=int(counts[0]))


def _share_after_macro(micro: Micro, journeys: Journeys) -> float:
    """Return how often, of the visitors with both, the micro came second."""
    both = ~np.isnan(micro.hours) & ~np.isnan(journeys.macro_hours)
    return float(np.mean(micro.hours[both] > journeys.macro_hours[both])) if both.any() else 0.0


def _places(
    looked_at: Sequence[_Measured], visitors: int, rng: np.random.Generator, draws: int
) -> tuple[FloatArray, FloatArray]:
    """Return how often each came first and among the first three, over draws of the visitors.

    Source: Rubin (1981), Annals of Statistics 9:130-134 (the Bayesian bootstrap).
    """
    first, top_three = np.zeros(len(looked_at)), np.zeros(len(looked_at))
    for _ in range(draws):
        weights = rng.standard_exponential(visitors)
        scores = [one.score(weights) for one in looked_at]
        order = sorted(range(len(scores)), key=lambda n: (-scores[n][0], -scores[n][1], looked_at[n].micro.key))
        first[order[:1]] += 1
        top_three[order[:3]] += 1
    return first / draws, top_three / draws
