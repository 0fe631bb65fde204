"""Before the start: how many visitors an experiment needs, how long that takes, and what it could find."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy import optimize

from experiments.core.metrics import Direction
from experiments.core.plan import DAILY, Futility
from experiments.core.power import (
    alpha_per_success_test,
    detectable_mean_difference,
    detectable_share,
    equal_visitors,
    power_per_metric,
    visitors_for_means,
    visitors_for_shares,
    visitors_in_all,
)
from reports.core.methods.noninferiority import LEAST_POWER, safe_power
from reports.core.sequential.design import Design, Schedule
from reports.core.statistics import Mean, Proportion, Statistic

WEEKS = tuple(range(2, 9))
DAYS_A_WEEK = 7
# The normal quantile of 0.8: a horizon counts on the traffic that four of five such periods reach.
CAUTION = 0.8416


@dataclass(frozen=True, slots=True)
class Question:
    """What the plan asks for.

    `base` is the share of visitors who convert today, or with `deviation` (the spread of one visitor's value) their mean;
    `lift` the smallest relative change worth finding, below 0 where less is better; `window_days` how long a visitor is
    followed: only visitors whose window has passed count. `weekly_deviation` is how much the visitors of one week differ from
    those of another. `weights` are the shares of the variants, the control first; empty means equal ones.
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
    deviation: float | None = None
    weights: tuple[float, ...] = ()
    weekly_deviation: float = 0.0
    look_every_days: int = DAILY
    futility: Futility = Futility.GENTLE

    def __post_init__(self) -> None:
        if self.lift == 0 or (
            self.deviation is None and not (0 < self.base < 1 and 0 < self.base * (1 + self.lift) < 1)
        ):
            raise ValueError(
                f"A base of {self.base} with a lift of {self.lift} is no plan: shares lie between 0 and 1."
            )
        if self.deviation is not None and (self.base == 0 or not self.deviation > 0):
            raise ValueError(f"A mean of {self.base} with a deviation of {self.deviation} is no plan.")
        if self.variants < 2 or not self.visitors_per_day > 0:
            raise ValueError(f"{self.variants} variants and {self.visitors_per_day} visitors a day are no experiment.")
        if self.weights and (len(self.weights) != self.variants or min(self.weights) <= 0):
            raise ValueError(f"{self.variants} variants need as many shares above 0, not {self.weights}.")

    @property
    def success_tests(self) -> int:
        return self.success_metrics * (self.variants - 1)

    @property
    def alpha_per_test(self) -> float:
        return alpha_per_success_test(self.alpha, success_tests=self.success_tests)

    @property
    def power_per_metric(self) -> float:
        return power_per_metric(self.power, metrics=self.guardrails + 1)

    @property
    def shares(self) -> tuple[float, float]:
        """The control's share of all visitors, and that of the smallest treatment."""
        if not self.weights:
            return 1 / self.variants, 1 / self.variants
        whole = sum(self.weights)
        return self.weights[0] / whole, min(self.weights[1:]) / whole

    def design(self, weeks: int) -> Design:
        """Return the group-sequential design of a horizon of so many weeks."""
        schedule = Schedule(weeks * DAYS_A_WEEK, self.look_every_days, self.futility)
        return schedule.design(alpha=self.alpha_per_test, power=self.power_per_metric)

    def arrived(self, days: float) -> float:
        """Return the visitors that so many days bring, all variants together, in four of five such periods."""
        return max(days * self.visitors_per_day - CAUTION * math.sqrt(days / DAYS_A_WEEK) * self.weekly_deviation, 0.0)

    def matured(self, days: float) -> float:
        """Return how many of them have a window that has passed, all variants together."""
        return self.arrived(max(days - self.window_days, 0.0))

    def one_look(self, *, alpha: float, power: float) -> float:
        """Return the visitors per variant that one look at an equal split needs."""
        if self.deviation is not None:
            return visitors_for_means(self.deviation, self.base * self.lift, alpha=alpha, power=power)
        return visitors_for_shares(self.base, self.base * (1 + self.lift), alpha=alpha, power=power)


@dataclass(frozen=True, slots=True)
class Duration:
    """An answer to a question.

    `per_variant` and `total` are the most that may be needed, `expected_if_real` and `expected_if_null` the average share of
    that when the lift is real and when there is none. `weeks` is None when no horizon offered is long enough; `days` is the
    time that `total` takes at this traffic, however long that is.
    """

    weeks: int | None
    per_variant: int
    total: int
    inflation: float
    expected_if_real: float
    expected_if_null: float
    days: int


def duration(question: Question, *, weeks: Sequence[int] = WEEKS) -> Duration:
    """Return the shortest horizon of whole weeks at which the question can be answered, and its price.

    Source: STATISTICS sections 4.2, 8 and 9. Checked against: the size of one look times the design's inflation.
    """
    fixed = question.one_look(alpha=question.alpha_per_test, power=question.power_per_metric)
    for count in weeks:
        matured = question.matured(count * DAYS_A_WEEK)
        if matured < visitors_in_all(fixed, *question.shares) and count != weeks[-1]:
            continue  # Not even one look could be filled: looking often needs more than that.
        design = question.design(count)
        needed = visitors_in_all(fixed * design.inflation, *question.shares)
        is_enough = matured >= needed
        if is_enough or count == weeks[-1]:
            per_variant = math.ceil(fixed * design.inflation)
            total = math.ceil(needed) if question.weights else per_variant * question.variants
            return Duration(
                weeks=count if is_enough else None,
                per_variant=per_variant,
                total=total,
                inflation=design.inflation,
                expected_if_real=design.expected_if_real / design.inflation,
                expected_if_null=design.expected_if_null / design.inflation,
                days=math.ceil(needed / question.visitors_per_day + question.window_days),
            )
    raise ValueError("No horizon was offered.")


def detectable_lift(question: Question, *, weeks: int) -> float | None:
    """Return the smallest relative lift that so many weeks find; None when none is.

    Only the sign of the question's own lift counts. Checked against: `duration` of that lift.
    """
    design = question.design(weeks)
    visitors = equal_visitors(question.matured(weeks * DAYS_A_WEEK), *question.shares) / design.inflation
    if visitors < 1:
        return None
    alpha, power = question.alpha_per_test, question.power_per_metric
    if question.deviation is not None:
        difference = detectable_mean_difference(question.deviation, visitors, alpha=alpha, power=power)
        return math.copysign(difference / abs(question.base), question.lift)
    if question.lift < 0:
        # A share that falls is the share of the others that rises.
        others = detectable_share(1 - question.base, visitors, alpha=alpha, power=power)
        return None if others is None else (1 - others) / question.base - 1
    share = detectable_share(question.base, visitors, alpha=alpha, power=power)
    return None if share is None else share / question.base - 1


@dataclass(frozen=True, slots=True)
class GuardrailOutlook:
    """What a guardrail can be expected to say when nothing changes. `is_powered` means safe in half of the cases or more.

    `least_margin` is the smallest margin that would be powered; None when none is.
    """

    conversions_per_variant: float
    chance_of_safe: float | None
    is_powered: bool
    least_margin: float | None = None


def guardrail_outlook(
    base: float,
    visitors_per_variant: int,
    *,
    margin: float,
    alpha: float,
    visitors_of_treatment: int | None = None,
    deviation: float | None = None,
    direction: Direction = Direction.INCREASE,
) -> GuardrailOutlook:
    """Return the chance that a guardrail with this base is shown to be safe.

    Units: `margin` relative, `alpha` one-sided. Source: STATISTICS section 7. Checked against: its power table.
    """
    treated = visitors_per_variant if visitors_of_treatment is None else visitors_of_treatment
    # The power formula takes whole conversions; a hundred-fold sample keeps the base rate exact, and is scaled back.
    scale = 100

    def arm(visitors: int) -> Statistic:
        if deviation is None:
            return Proportion(visitors * scale, round(base * visitors * scale))
        return Mean(visitors * scale, base, deviation**2 * (visitors * scale - 1))

    def chance(of_margin: float) -> float | None:
        if min(visitors_per_variant, treated) < 1:
            return None
        return safe_power(
            arm(treated),
            arm(visitors_per_variant),
            margin=of_margin,
            alpha=alpha,
            direction=direction,
            growth=1 / scale,
        )

    found = chance(margin)
    return GuardrailOutlook(
        conversions_per_variant=base * visitors_per_variant,
        chance_of_safe=found,
        is_powered=found is not None and found >= LEAST_POWER,
        least_margin=None if found is None else _least_margin(lambda m: chance(m) or 0.0),
    )


def _least_margin(chance: Callable[[float], float]) -> float | None:
    lowest, highest = 1e-4, 0.95
    if chance(highest) < LEAST_POWER:
        return None
    if chance(lowest) >= LEAST_POWER:
        return lowest
    return float(optimize.brentq(lambda margin: chance(margin) - LEAST_POWER, lowest, highest, xtol=1e-6))
