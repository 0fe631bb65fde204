"""A finished experiment, as far as later ones can learn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.core.proxy.funnel import FunnelCounts, StepEffects, step_effects

HALF_LIFE_MONTHS = 12.0
OF_IMPORTED = 0.25  # what an experiment that was run elsewhere counts beside one of this site's own


@dataclass(frozen=True, slots=True)
class PastComparison:
    """One treatment of a finished experiment against its control, whatever became of it.

    `steps` are the keys of the funnel, the macro conversion last; `shared_by` how many treatments share the control, and the
    experiment's one vote. Units: `age_months` since it ended.
    """

    experiment: str
    variant: str
    steps: tuple[str, ...]
    treatment: FunnelCounts
    control: FunnelCounts
    age_months: float = 0.0
    is_imported: bool = False
    change_type: str = ""
    target_step: int | None = None
    shared_by: int = 1

    @property
    def weight(self) -> float:
        """What it counts: 1 for a fresh experiment of the site's own, half of that after a year. Source: PROXY section 3.3."""
        fresh = 2 ** (-max(self.age_months, 0.0) / HALF_LIFE_MONTHS)
        return fresh * (OF_IMPORTED if self.is_imported else 1.0) / self.shared_by

    @property
    def effects(self) -> StepEffects:
        return step_effects(self.treatment, self.control)


def experiments_in(past: Sequence[PastComparison]) -> float:
    """Return how many fresh experiments of one's own these are worth."""
    return float(sum(one.weight for one in past))


def up_to(past: Sequence[PastComparison], step: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return log-lifts of a micro conversion and of the macro, their error covariances, and the weights, where the step is known.

    The macro's error contains that of the step, so the two hang together. Shapes: (n, 2), (n, 2, 2), (n,).
    """
    mine = [one for one in past if step in one.steps[:-1]]
    estimates, noise = np.zeros((len(mine), 2)), np.zeros((len(mine), 2, 2))
    for row, one in enumerate(mine):
        depth = one.steps.index(step) + 1
        effects = one.effects
        micro, micro_variance = (float(a[0]) for a in effects.up_to(depth))
        estimates[row] = micro, effects.macro[0]
        noise[row] = micro_variance
        noise[row, 1, 1] = effects.macro_variance[0]
    return estimates, noise, np.array([one.weight for one in mine])
