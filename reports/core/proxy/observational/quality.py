"""How well a measured micro lift follows the macro lift, at a given amount of traffic."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def proxy_quality(latent: FloatArray, *, depth: int, reach: float, visitors_per_variant: float) -> float:
    """Return the correlation of the estimated micro lift with the true macro lift over the site's ideas.

    The micro's noise counts: little traffic makes every metric a poor guide, and a frequent one suffers less.

    Shapes: `latent` (steps, steps) is the covariance of the true log-lifts of the steps over the site's ideas. `depth` counts
    the steps up to the micro conversion; all of them give the macro conversion itself. Units: `reach` is the share of
    visitors who get that far. Raises: ValueError for a depth or a reach that cannot be.
    Source: Tripuraneni et al. (2023), arXiv 2309.07893.
    """
    steps = len(latent)
    if not 1 <= depth <= steps:
        raise ValueError(f"A funnel of {steps} steps has no depth {depth}.")
    if not 0 < reach <= 1:
        raise ValueError(f"A reach of {reach} is no share of visitors.")
    micro = np.arange(steps) < depth
    shared = float(latent[micro].sum())
    noise = 2 * (1 - reach) / (reach * visitors_per_variant)
    spread = float(latent.sum()) * (float(latent[np.ix_(micro, micro)].sum()) + noise)
    return shared / math.sqrt(spread) if spread > 0 else 0.0


def sign_agreement(quality: float) -> float:
    """Return the chance that the macro lift is above 0 when the estimated micro lift is, for jointly normal lifts.

    Source: Sheppard's formula, as in Tripuraneni et al. (2023).
    """
    return 0.5 + math.asin(quality) / math.pi


def visitors_ratio(*, reach: float, macro_share: float, pass_through: float) -> float:
    """Return the visitors that the micro conversion needs for each one that the macro needs, for the same macro lift.

    With pass-through below 1 the micro moves more than the macro, so the same gain shows sooner.
    Units: `pass_through` is the share of a micro lift that reaches the macro (0..1).
    """
    return pass_through**2 * ((1 - reach) / reach) / ((1 - macro_share) / macro_share)
