"""Before the start: how many visitors an experiment needs, how long that takes, and what it could find."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.core.metrics import Direction
from experiments.core.power import (
    alpha_per_success_test,
    detectable_share,
    power_per_metric,
    visitors_for_shares,
)
from reports.core.methods.noninferiority import LEAST_POWER, safe_power
from reports.core.sequential.design import default_design
from reports.core.statistics import Proportion

WEEKS = tuple(range(2, 9))
DAYS_A_WEEK = 7


@dataclass(frozen=True, slots=True)
class Question:
    """What the plan asks for.

    `base` is the share of visitors who convert today, `lift` the smallest relative change worth finding; `window_days` how
    long a visitor is followed: only visitors whose window has passed count.
    """

    base: float
    lift: float
    visitors_per_day: float
    variants: int = 2
    success_metrics: int = 1
    guardrails: int = 1
    window_days: float = 0.0
    alpha: float = 0.05
    power: float = 0.8

    def __post_init__(self) -> None:
        if not 0 < self.base < 1 or not 0 < self.base * (1 + self.lift) < 1 or self.lift == 0:
            raise ValueError(
                f"A base of {self.base} with a lift of {self.lift} is no plan: shares lie between 0 and 1."
            )
        if self.variants < 2 or not self.visitors_per_day > 0:
            raise ValueError(f"{self.variants} variants and {self.visitors_per_day} visitors a day are no experiment.")

    @property
    def success_tests(self) -> int:
        return self.success_metrics * (self.variants - 1)

    @property
    def alpha_per_test(self) -> float:
        return alpha_per_success_test(self.alpha, success_tests=self.success_tests)

    @property
    def power_per_metric(self) -> float:
        return power_per_metric(self.power, metrics=self.guardrails + 1)

    def matured_per_variant(self, days: float) -> float:
        """Return the visitors per variant whose window has passed after so many days."""
        return self.visitors_per_day * max(days - self.window_days, 0.0) / self.variants


@dataclass(frozen=True, slots=True)
class Duration:
    """An answer to a question.

    `per_variant` and `total` are the most that may be needed, `expected_if_real` and `expected_if_null` the average share of
    that when the lift is real and when there is none. `weeks` is None when no horizon offered is long enough.
    """

    weeks: int | None
    per_variant: int
    total: int
    inflation: float
    expected_if_real: float
    expected_if_null: float


def duration(question: Question, *, weeks: Sequence[int] = WEEKS) -> Duration:
    """Return the shortest horizon of whole weeks at which the question can be answered, and its price.

    Source: STATISTICS sections 4.2, 8 and 9. Checked against: the size of one look times the design's inflation.
    """
    fixed = visitors_for_shares(
        question.base,
        question.base * (1 + question.lift),
        alpha=question.alpha_per_test,
        power=question.power_per_metric,
    )
    for count in weeks:
        design = default_design(count * DAYS_A_WEEK, alpha=question.alpha_per_test, power=question.power_per_metric)
        needed = fixed * design.inflation
        if question.matured_per_variant(count * DAYS_A_WEEK) >= needed or count == weeks[-1]:
            is_enough = question.matured_per_variant(count * DAYS_A_WEEK) >= needed
            per_variant = math.ceil(needed)
            return Duration(
                weeks=count if is_enough else None,
                per_variant=per_variant,
                total=per_variant * question.variants,
                inflation=design.inflation,
                expected_if_real=design.expected_if_real / design.inflation,
                expected_if_null=design.expected_if_null / design.inflation,
            )
    raise ValueError("No horizon was offered.")


def detectable_lift(question: Question, *, weeks: int) -> float | None:
    """Return the smallest relative lift that so many weeks find, the question's own lift set aside; None when none is.

    Checked against: `duration` of that lift.
    """
    design = default_design(weeks * DAYS_A_WEEK, alpha=question.alpha_per_test, power=question.power_per_metric)
    visitors = question.matured_per_variant(weeks * DAYS_A_WEEK) / design.inflation
    if visitors < 1:
        return None
    share = detectable_share(question.base, visitors, alpha=question.alpha_per_test, power=question.power_per_metric)
    return None if share is None else share / question.base - 1


@dataclass(frozen=True, slots=True)
class GuardrailOutlook:
    """What a guardrail can be expected to say when nothing changes. `is_powered` means safe in half of the cases or more."""

    conversions_per_variant: float
    chance_of_safe: float | None
    is_powered: bool


def guardrail_outlook(base: float, visitors_per_variant: int, *, margin: float, alpha: float) -> GuardrailOutlook:
    """Return the chance that a guardrail with this base rate is shown to be safe.

    Units: `margin` relative, `alpha` one-sided. Source: STATISTICS section 7. Checked against: its power table.
    """
    # The power formula takes whole conversions; a hundred-fold sample keeps the base rate exact, and is scaled back.
    scale = 100
    arm = Proportion(visitors_per_variant * scale, round(base * visitors_per_variant * scale))
    found = safe_power(arm, arm, margin=margin, alpha=alpha, direction=Direction.INCREASE, growth=1 / scale)
    return GuardrailOutlook(base * visitors_per_variant, found, found is not None and found >= LEAST_POWER)
