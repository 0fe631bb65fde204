"""The learning tried on experiments in which nothing can be learnt: whatever it finds there is a fault of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reports.core.proxy.classes import Prior
from reports.core.proxy.covariance import total_covariance
from reports.core.proxy.funnel import FunnelCounts, StepCount
from reports.core.proxy.learning.past import PastComparison, up_to
from reports.core.proxy.learning.report_card import class_covariance

ROUNDS = 40
ALARM = 3.0  # standard errors of the mean over the rounds


@dataclass(frozen=True, slots=True)
class Placebo:
    """The covariance of micro and macro effects found where there are none: its mean over the rounds, and that mean's standard error."""

    rounds: int
    covariance: float
    standard_error: float

    @property
    def is_clean(self) -> bool:
        return abs(self.covariance) <= ALARM * self.standard_error


def dealt_again(one: PastComparison, rng: np.random.Generator) -> PastComparison:
    """Return the experiment with its visitors dealt to the variants afresh, step by step: both variants are now the same.

    Of those who could make a step, as many make it as before; chance decides in which variant.
    """
    treatment, control = [], []
    for t, c in zip(one.treatment.steps, one.control.steps, strict=True):
        reached = t.reached + c.reached
        mine = int(rng.hypergeometric(reached, t.at_risk + c.at_risk - reached, t.at_risk)) if t.at_risk else 0
        treatment.append(StepCount(t.at_risk, mine))
        control.append(StepCount(c.at_risk, reached - mine))
    return replace(one, treatment=FunnelCounts(tuple(treatment)), control=FunnelCounts(tuple(control)))


def placebo(
    past: Sequence[PastComparison], step: str, prior: Prior, *, rounds: int = ROUNDS, seed: int = 1
) -> Placebo | None:
    """Return the corrected covariance in shuffled experiments, which must be about 0; None without an experiment of the step.

    Without the correction for shared noise it would be far above. Source: PROXY section 3.3.6; Sigerson et al. (2026).
    """
    mine = [one for one in past if step in one.steps[:-1]]
    if not mine:
        return None
    rng = np.random.default_rng(seed)
    found = []
    believed = class_covariance(prior, len(mine[0].steps), mine[0].steps.index(step) + 1)
    for _ in range(rounds):
        estimates, noise, weights = up_to([dealt_again(one, rng) for one in mine], step)
        raw = total_covariance(estimates, noise, believed, weights=weights).raw
        error = np.einsum("e,eij->ij", weights / weights.sum(), noise)
        found.append(float((raw - error)[0, 1]))
    values = np.array(found)
    return Placebo(rounds, float(values.mean()), float(values.std(ddof=1) / np.sqrt(rounds)))
