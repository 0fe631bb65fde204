"""Mistakes that the harness must see: each puts one wrong rule where the product has the right one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.core.plan import PlannedMetric
from reports.core import claims, comparing, measure, methods, progress
from reports.core.methods.base import NotComputable, critical_value
from reports.core.methods.noninferiority import GuardrailOutcome, GuardrailResult, judge_guardrail
from reports.core.methods.score import ScoreMethod
from reports.core.progress import Progress
from reports.core.sequential import monitors
from reports.core.statistics import Proportion, Ratio, Statistic
from tests.calibration import harness
from tests.calibration.harness import Found, World
from tests.calibration.scenarios import world_named
from tracking.core.totals import VisitorTotals

Break = Callable[[pytest.MonkeyPatch], None]


class Wald(ScoreMethod):
    """Two proportions with the unpooled variance, as many calculators have it."""

    key = "wald"

    def margin_z(self, treatment: Statistic, control: Statistic, *, ratio: float) -> float | NotComputable:
        assert isinstance(treatment, Proportion)
        assert isinstance(control, Proportion)
        variance = sum(arm.value * (1 - arm.value) / arm.visitors for arm in (treatment, control))
        return (treatment.value - control.value) / math.sqrt(variance) if variance else 0.0


def unpooled_variance(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(methods, "METHODS", (Wald(), *methods.METHODS))


def spending_switched_off(patch: pytest.MonkeyPatch) -> None:
    """Hold every look to the critical value of a single one."""

    def bounds(information: tuple[float, ...], *, alpha: float, **_: Any) -> tuple[float, ...]:
        return (critical_value(alpha),) * len(information)

    patch.setattr(monitors, "efficacy_bounds", bounds)


def naive_peeking(patch: pytest.MonkeyPatch) -> None:
    """Look from the first day on, each time at the critical value of a single look."""
    spending_switched_off(patch)
    for module in (progress, measure, comparing):
        patch.setattr(module, "FIRST_LOOK_DAYS", 1)


def maturity_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Count visitors from their first exposure on, whether or not their window has passed."""
    right = measure.first_matured_look

    def at_once(planned: PlannedMetric, totals: VisitorTotals, so_far: Progress) -> NDArray[np.int64]:
        return right(replace(planned, metric=replace(planned.metric, window_hours=None)), totals, so_far)

    patch.setattr(measure, "first_matured_look", at_once)


def family_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Test every variant as if it were the only one."""
    right = claims.holm_claims

    def each_alone(tests: Sequence[claims.Test], alpha: float) -> dict[claims.Key, Any]:
        found: dict[claims.Key, Any] = {}
        for test in tests:
            found |= right([test], alpha)
        return found

    patch.setattr(claims, "holm_claims", each_alone)


def sessions_taken_for_visitors(patch: pytest.MonkeyPatch) -> None:
    """Take the sessions of a visitor for independent: the variance of a share of all sessions."""

    def variance(self: Ratio) -> float:
        return self.value * (1 - self.value) / self.denominator_mean if self.visitors > 1 else math.nan

    patch.setattr(Ratio, "variance", property(variance))


def silence_read_as_safety(patch: pytest.MonkeyPatch) -> None:
    """Call a guardrail safe because no harm was significant."""

    def judge(*arguments: Any, **options: Any) -> GuardrailResult:
        found = judge_guardrail(*arguments, **options)
        is_harm = found.outcome is GuardrailOutcome.HARM
        return found if is_harm else replace(found, outcome=GuardrailOutcome.SAFE)

    patch.setattr(comparing, "judge_guardrail", judge)


@dataclass(frozen=True, slots=True)
class Mutation:
    """A mistake, the world that shows it, and the rates at which its first reading is then seen.

    `known` are the rates that a published or specified measurement found, where there is one.
    """

    name: str
    apply: Break
    world: str
    known: tuple[float, float] | None = None
    replicates: int = 300

    @property
    def shown_in(self) -> World:
        """The world, with its first reading only."""
        world = world_named(self.world)
        return replace(world, readings=world.readings[:1])


def seen(mutation: Mutation, replicates: int | None = None, seed: int = 50) -> Found:
    """Make the mistake, measure the world that shows it, and put the right rule back."""
    with pytest.MonkeyPatch.context() as patch:
        mutation.apply(patch)
        (found,) = harness.measure(mutation.shown_in, replicates or mutation.replicates, seed)
    return found


MUTATIONS: tuple[Mutation, ...] = (
    Mutation("unpooled variance at a 90/10 split", unpooled_variance, "split 90/10"),
    Mutation("maturity rule forgotten", maturity_forgotten, "20 % convert within three weeks"),
    Mutation("spending switched off", spending_switched_off, "5 % convert, no effect"),
    Mutation("naive peeking on every day", naive_peeking, "5 % convert, no effect", known=(0.25, 0.30), replicates=800),
    Mutation("several variants tested as one", family_forgotten, "five variants", replicates=400),
    Mutation("sessions taken for visitors", sessions_taken_for_visitors, "orders per session", replicates=400),
    Mutation("no significant harm read as safe", silence_read_as_safety, "purchase 20 % down"),
)
