"""Side by side: what every metric of a site would need to carry a decision, and what is best done about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from experiments.core.metrics import Conversion, Direction, MetricDefinition, Role
from experiments.core.plan import DAILY, Futility, LearnedPrior
from reports.core.planner import (
    DAYS_A_WEEK,
    WEEKS,
    Duration,
    GuardrailOutlook,
    Question,
    detectable_lift,
    duration,
    guardrail_outlook,
)
from reports.core.planning.ask import MOST_WEEKS, Ask
from reports.core.planning.past import Baseline, NoBaseline, Traffic
from reports.core.sequential.design import Schedule

GUARDRAIL_ALPHA = 0.05
TABLE_WEEKS = (2, 4, 6, 8)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A metric that might be planned with. `role` and `margin` are those of an experiment, None without one."""

    metric: MetricDefinition
    baseline: Baseline | NoBaseline
    role: Role | None = None
    margin: float | None = None

    @property
    def is_guardrail(self) -> bool:
        if self.role is not None:
            return self.role is Role.GUARDRAIL
        return self.metric.conversion is Conversion.MACRO


@dataclass(frozen=True, slots=True)
class MetricPlan:
    """What one metric needs. `question`, `one_look` and `duration` are None when its `problem` says why.

    `one_look` counts all variants, for one look at the asked alpha and power with nothing corrected: the textbook's number.
    `at_weeks` is the lift that each number of weeks finds; `outlook` what the metric says as a guardrail.
    """

    candidate: Candidate
    lift: float
    problem: NoBaseline | None = None
    question: Question | None = None
    one_look: float | None = None
    duration: Duration | None = None
    at_weeks: tuple[tuple[int, float | None], ...] = ()
    outlook: GuardrailOutlook | None = None
    outlook_weeks: int | None = None

    @property
    def key(self) -> str:
        return self.candidate.metric.key

    @property
    def is_macro(self) -> bool:
        return self.candidate.metric.conversion is Conversion.MACRO

    @property
    def weeks(self) -> int | None:
        return self.duration.weeks if self.duration else None

    def lift_in(self, weeks: int) -> float | None:
        return dict(self.at_weeks).get(weeks)


@dataclass(frozen=True, slots=True)
class SitePlan:
    """The answer to one question. `decide_by` is the key of the metric to decide by, None when none can be.

    `horizon_weeks` are those of the experiment, where one was named; `has_no_end` when that one has no planned end. `funnel` are the
    steps towards the goal, the macro conversion last; empty where none is declared or the rates were given.
    """

    ask: Ask
    site: str
    weights: tuple[float, ...]
    traffic: Traffic
    traffic_share: float
    metrics: tuple[MetricPlan, ...]
    decide_by: str | None = None
    horizon_weeks: int | None = None
    has_no_end: bool = False
    look_every_days: int = DAILY
    futility: Futility = Futility.GENTLE
    funnel: tuple[Candidate, ...] = ()
    risk_preset: str = "balanced"
    change_type: str = ""
    target_step: str | None = None
    learned: LearnedPrior | None = None

    @property
    def longest_weeks(self) -> int:
        return self.ask.weeks or WEEKS[-1]

    def of(self, key: str) -> MetricPlan:
        return next(plan for plan in self.metrics if plan.key == key)

    def guardrails(self, without: str | None = None) -> tuple[MetricPlan, ...]:
        return tuple(plan for plan in self.metrics if plan.candidate.is_guardrail and plan.key != without)


def plan_site(
    ask: Ask,
    *,
    site: str,
    traffic: Traffic,
    candidates: Sequence[Candidate],
    weights: tuple[float, ...] = (0.5, 0.5),
    traffic_share: float = 1.0,
    horizon_weeks: int | None = None,
    has_no_end: bool = False,
    look_every_days: int = DAILY,
    futility: Futility = Futility.GENTLE,
) -> SitePlan:
    """Return sizes, durations and outlooks of every candidate at this traffic.

    Each metric is planned as the one that decides, with the other guardrails beside it. In an experiment, its success
    metrics share alpha as its analysis will share it.

    Source: STATISTICS sections 7 to 9. Checked against: statsmodels, and `duration` and `detectable_lift` one by one.
    """
    table = {*TABLE_WEEKS} | {weeks for weeks in (ask.weeks, horizon_weeks) if weeks and weeks <= MOST_WEEKS}
    plans = tuple(
        _plan(ask, traffic, candidates, one, weights, traffic_share, sorted(table), look_every_days, futility)
        for one in candidates
    )
    chosen = choose(plans)
    # A guardrail gets the visitors of the metric that decides, not those it would like to have.
    weeks = (chosen.weeks if chosen else None) or ask.weeks or WEEKS[-1]
    plans = tuple(replace(plan, outlook=_outlook(plan, ask, weeks), outlook_weeks=weeks) for plan in plans)
    decide_by = chosen.key if chosen else None
    return SitePlan(
        ask,
        site,
        weights,
        traffic,
        traffic_share,
        plans,
        decide_by,
        horizon_weeks,
        has_no_end,
        look_every_days,
        futility,
    )


def deciding(plans: Sequence[MetricPlan]) -> list[MetricPlan]:
    """Return the metrics that may decide first: all of a site; of an experiment the primary ones, or without any its proxies."""
    roles = {plan.candidate.role for plan in plans}
    first = Role.PRIMARY if Role.PRIMARY in roles else Role.PROXY
    return [plan for plan in plans if plan.candidate.role in (None, first)]


def choose(plans: Sequence[MetricPlan]) -> MetricPlan | None:
    """Return the metric to decide by: the macro conversion if it can be in time, else the quickest that can; None if none can.

    In an experiment only its success metrics may decide, and beside a primary metric the proxies only after it.
    """
    able = [plan for plan in deciding(plans) if plan.weeks is not None]
    macro = [plan for plan in able if plan.is_macro]
    return min(macro or able, key=lambda plan: plan.duration.total if plan.duration else 0, default=None)


def _plan(
    ask: Ask,
    traffic: Traffic,
    candidates: Sequence[Candidate],
    one: Candidate,
    weights: tuple[float, ...],
    traffic_share: float,
    table: Sequence[int],
    look_every_days: int,
    futility: Futility,
) -> MetricPlan:
    sign = 1.0 if one.metric.direction is Direction.INCREASE else -1.0
    lift = sign * ask.lift_to_find()
    if isinstance(one.baseline, NoBaseline):
        return MetricPlan(one, lift, problem=one.baseline)
    base = one.baseline
    if base.deviation is None and not 0 < base.value * (1 + lift) < 1:
        return MetricPlan(
            one,
            lift,
            problem=NoBaseline(
                "lift_impossible",
                f"{base.value * 100:.1f} % of visitors do it already; with a lift of {lift * 100:+.0f} % it would be {base.value * (1 + lift) * 100:.1f} %.",
                "Ask for a smaller lift.",
            ),
        )
    question = Question(
        base=base.value,
        lift=lift,
        visitors_per_day=traffic.per_week * traffic_share / DAYS_A_WEEK,
        variants=len(weights),
        success_metrics=_family_size(one, candidates),
        guardrails=sum(c.is_guardrail and c is not one for c in candidates),
        window_days=(one.metric.window_hours or 0.0) / 24,
        alpha=ask.alpha,
        power=ask.power,
        deviation=base.deviation,
        weights=() if max(weights) - min(weights) < 1e-9 else weights,
        weekly_deviation=traffic.deviation * traffic_share,
        look_every_days=look_every_days,
        futility=futility,
    )
    found = duration(question, weeks=range(1, ask.weeks + 1) if ask.weeks else WEEKS)
    return MetricPlan(
        one,
        lift,
        question=question,
        one_look=_one_look(question),
        duration=found,
        at_weeks=tuple((weeks, detectable_lift(question, weeks=weeks)) for weeks in table),
    )


def _outlook(plan: MetricPlan, ask: Ask, weeks: int) -> GuardrailOutlook | None:
    """Return what the metric can be expected to say as a guardrail after so many weeks; None for a mean that is not above 0."""
    question, base = plan.question, plan.candidate.baseline
    if question is None or isinstance(base, NoBaseline) or base.value <= 0:
        return None
    matured = question.matured(weeks * DAYS_A_WEEK)
    control, treatment = question.shares
    return guardrail_outlook(
        base.value,
        int(matured * control),
        margin=plan.candidate.margin or ask.margin,
        alpha=guardrail_alpha(plan.candidate.metric, weeks, look_every_days=question.look_every_days),
        visitors_of_treatment=int(matured * treatment),
        deviation=base.deviation,
        direction=plan.candidate.metric.direction,
    )


def guardrail_alpha(metric: MetricDefinition, weeks: int, *, look_every_days: int = DAILY) -> float:
    """Return the one-sided alpha of a guardrail's last look; without a conversion window it is the only one."""
    if metric.window_hours is None:
        return GUARDRAIL_ALPHA
    return Schedule(weeks * DAYS_A_WEEK, look_every_days).final_safety_alpha(2 * GUARDRAIL_ALPHA) / 2


def _family_size(one: Candidate, candidates: Sequence[Candidate]) -> int:
    """Return how many metrics share alpha with this one: proxies beside a primary metric are a family of their own."""
    roles = [c.role for c in candidates]
    first = Role.PRIMARY if Role.PRIMARY in roles else Role.PROXY
    return max(roles.count(Role.PROXY if one.role is Role.PROXY else first), 1)


def _one_look(question: Question) -> float:
    control, treatment = question.shares
    return question.one_look(alpha=question.alpha, power=question.power) / 2 * (1 / control + 1 / treatment)
