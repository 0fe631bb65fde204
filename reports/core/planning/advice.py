"""What is best done, in words for people who decide: run it, run it on a micro conversion, or do not run it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from reports.core.explain import chance
from reports.core.planning.past import LEAST_WEEKS, is_short
from reports.core.planning.site_plan import MetricPlan, SitePlan, deciding

# How many times the visitors of one look a confidence sequence may need for power .8. Source: STATISTICS section 4.1, measured.
INFLATION_WITHOUT_END = 1.71


class Advice(StrEnum):
    RUN = "run"
    RUN_ON_MICRO = "run_on_micro"
    DO_NOT_RUN = "do_not_run"
    CANNOT_SAY = "cannot_say"


TITLES = {
    Advice.RUN: "Run it",
    Advice.RUN_ON_MICRO: "Run it on a micro conversion, with the business goal as guardrail",
    Advice.DO_NOT_RUN: "Do not run it like this",
    Advice.CANNOT_SAY: "We cannot tell yet",
}


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The advice: one sentence that says it, and reasons in the order of their weight."""

    advice: Advice
    sentence: str
    reasons: tuple[str, ...]

    @property
    def title(self) -> str:
        return TITLES[self.advice]


def recommend(plan: SitePlan) -> Recommendation:
    """Return what is best done with this question at this traffic."""
    sized = [one for one in deciding(plan.metrics) if one.duration is not None]
    if plan.decide_by is not None:
        return _run(plan, plan.of(plan.decide_by))
    if not sized:
        reasons = tuple(f"{_name(one)}: {one.problem.message}" for one in plan.metrics if one.problem)
        return Recommendation(
            Advice.CANNOT_SAY,
            "No metric that may decide has a rate to plan with.",
            reasons or ("The experiment has no primary or proxy metric yet: add one.",),
        )
    return _do_not_run(plan, sized)


def _run(plan: SitePlan, one: MetricPlan) -> Recommendation:
    assert one.duration is not None and one.weeks is not None
    found = one.duration
    sentence = (
        f"Decide by {_name(one)}: {_weeks(one.weeks)} and {found.total:,} visitors find a lift of {_lift(one.lift)} "
        f"in {_percent(plan.ask.power)} of cases ({_days(found.days)} at this traffic)."
    )
    reasons: list[str] = []
    if plan.horizon_weeks is not None and plan.horizon_weeks < one.weeks:
        reasons.append(
            f"The experiment is set to {_weeks(plan.horizon_weeks)}; that is too short for this lift: set {one.weeks}."
        )
    if plan.has_no_end:
        without = round(found.total * INFLATION_WITHOUT_END / found.inflation)
        reasons.append(
            f"The experiment has no planned end: then the same answer may take {without:,} visitors. Plan an end if you can."
        )
    if not one.is_macro:
        reasons += [_later(other) for other in plan.metrics if other.is_macro and other.duration]
        reasons.append(
            f"A lift in {_name(one)} is a step, not the goal: it counts only while the guardrail shows no harm."
        )
    reasons += [_guardrail(other, plan.ask.margin) for other in plan.guardrails(without=one.key) if other.outlook]
    reasons += _notes(plan)
    return Recommendation(Advice.RUN if one.is_macro else Advice.RUN_ON_MICRO, sentence, tuple(reasons))


def _do_not_run(plan: SitePlan, sized: list[MetricPlan]) -> Recommendation:
    weeks = plan.longest_weeks
    reach = [(abs(lift), one) for one in sized if (lift := one.lift_in(weeks)) is not None]
    if reach:
        smallest, best = min(reach, key=lambda pair: pair[0])
        sentence = (
            f"At this traffic {_weeks(weeks)} can only find lifts above {smallest * 100:.1f} % (in {_name(best)}), "
            f"and you ask for {_lift(best.lift)}."
        )
    else:
        sentence = f"At this traffic {_weeks(weeks)} find no lift of any size."
    quickest = min(sized, key=lambda one: one.duration.days if one.duration else 0)
    reasons = [_later(quickest)] if quickest.duration else []
    reasons.append(
        "Test a bolder change, a step with more visitors, or fewer variants; a longer test than this measures "
        "other visitors and other seasons."
    )
    return Recommendation(Advice.DO_NOT_RUN, sentence, (*reasons, *_notes(plan)))


def _later(one: MetricPlan) -> str:
    assert one.duration is not None
    return (
        f"Deciding by {_name(one)} itself would take {one.duration.total:,} visitors: {_days(one.duration.days)} "
        "at this traffic."
    )


def _guardrail(one: MetricPlan, default_margin: float) -> str:
    outlook, margin = one.outlook, one.candidate.margin or default_margin
    assert outlook is not None and one.outlook_weeks is not None
    if outlook.chance_of_safe is None:
        return f"{_name(one)} brings no conversions in that time: as a guardrail it can neither warn nor reassure."
    after = f"Keep {_name(one)} as a guardrail: after {_weeks(one.outlook_weeks)}, if nothing changes, it is shown to be safe"
    shown = f"{after} within its margin of {_percent(margin)} in {chance(outlook.chance_of_safe)} of cases"
    if outlook.is_powered:
        return f"{shown}."
    if outlook.least_margin is None:
        return f"{shown} only. No margin makes it more than an alarm for great harm."
    return (
        f"{shown} only. A margin of {_percent(math.ceil(outlook.least_margin * 100) / 100)} is the smallest that would be "
        "shown to hold in half of the cases; with a smaller one it is an alarm for harm, no proof of safety."
    )


def _notes(plan: SitePlan) -> list[str]:
    if is_short(plan.traffic):
        return [
            f"This rests on {_weeks(plan.traffic.full_weeks)} of history; {LEAST_WEEKS} or more would be surer. "
            "Plan again when they are there."
        ]
    return []


def _name(one: MetricPlan) -> str:
    return one.candidate.metric.name or one.key


def _percent(share: float) -> str:
    percent = share * 100
    return f"{percent:.1f} %" if percent < 10 and round(percent, 1) != round(percent) else f"{percent:.0f} %"


def _lift(lift: float) -> str:
    return f"{'+' if lift > 0 else '-'}{_percent(abs(lift))}"


def _weeks(weeks: int) -> str:
    return f"{weeks} week{'' if weeks == 1 else 's'}"


def _days(days: int) -> str:
    if days > 730:
        return f"{days:,} days, that is {days / 365.25:.0f} years"
    return f"{days:,} day{'' if days == 1 else 's'}"
