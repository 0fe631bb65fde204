"""A plan's numbers as the planner page and the terminal write them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.core.explain import chance
from reports.sections import numbers

ADVICE_LOOKS = {
    "run": ("good", "check"),
    "run_on_micro": ("good", "check"),
    "do_not_run": ("warn", "alert"),
    "cannot_say": ("quiet", "hourglass"),
}
CONVERSIONS = {
    "macro": "business goal (macro)",
    "milestone": "milestone (micro)",
    "secondary": "secondary action (micro)",
}
DAY_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class Lift:
    """What a number of weeks finds."""

    weeks: str
    lift: str
    is_enough: bool


@dataclass(frozen=True, slots=True)
class MetricWords:
    """One metric of a plan in words; `problem` replaces everything but name and facts."""

    key: str
    name: str
    facts: tuple[str, ...]
    is_chosen: bool
    problem: str
    baseline: str = ""
    baseline_note: str = ""
    one_look: str = ""
    visitors: str = ""
    weeks: str = ""
    weeks_note: str = ""
    expected: str = ""
    lifts: tuple[Lift, ...] = ()
    guardrail: str = ""
    guardrail_note: str = ""
    correction: str = ""


@dataclass(frozen=True, slots=True)
class PlanWords:
    """A whole plan in words."""

    tone: str
    mark: str
    title: str
    sentence: str
    reasons: tuple[str, ...]
    visitors_per_week: str
    traffic_note: str
    weekdays: tuple[tuple[str, str], ...]
    lift: str
    looks: str
    metrics: tuple[MetricWords, ...]


def plan_words(document: Mapping[str, Any]) -> PlanWords:
    """Put the public document of a plan into words."""
    advice, traffic = document["recommendation"], document["traffic"]
    tone, mark = ADVICE_LOOKS[advice["state"]]
    share = document["question"]["traffic"]
    metrics = tuple(_metric(one, document) for one in document["metrics"])
    return PlanWords(
        tone=tone,
        mark=mark,
        title=advice["title"],
        sentence=numbers.typeset(advice["sentence"]),
        reasons=tuple(numbers.typeset(reason) for reason in advice["reasons"]),
        visitors_per_week=numbers.whole(traffic["visitors_per_week"] * share),
        traffic_note=_traffic_note(traffic, share),
        weekdays=tuple(
            (name, numbers.whole(count)) for name, count in zip(DAY_NAMES, traffic["by_weekday"], strict=False)
        ),
        lift=numbers.typeset(f"{document['question']['lift'] * 100:g} %"),
        looks=f"{_looked(document)} looks",
        metrics=metrics,
    )


def _looked(document: Mapping[str, Any]) -> str:
    return "daily" if document["question"]["look_every_days"] == 1 else "weekly"


def _traffic_note(traffic: Mapping[str, Any], share: float) -> str:
    part = "" if share == 1 else numbers.typeset(f", of whom {share * 100:g} % take part")
    if traffic["source"] == "given":
        return f"as given{part}"
    return (
        f"the usual week of {traffic['first_day']} to {traffic['last_day']} "
        f"({numbers.plural(traffic['full_weeks'], 'full week')}){part}"
    )


def _metric(one: Mapping[str, Any], document: Mapping[str, Any]) -> MetricWords:
    facts = [CONVERSIONS[one["conversion"]]]
    if one["role"]:
        facts.append(one["role"])
    if one["window_hours"]:
        facts.append(f"within {_hours(one['window_hours'])}")
    is_chosen = one["key"] == document["recommendation"]["decide_by"]
    name = one["name"] or one["key"]
    size = one["size"]
    if size is None:
        problem = one["problem"]
        text = numbers.typeset(f"{problem['message']} {problem['advice']}")
        return MetricWords(one["key"], name, tuple(facts), is_chosen, text)
    needed = abs(one["lift"])
    return MetricWords(
        key=one["key"],
        name=name,
        facts=tuple(facts),
        is_chosen=is_chosen,
        problem="",
        **_baseline(one["baseline"]),
        one_look=numbers.whole(size["one_look"]),
        visitors=numbers.whole(size["visitors"]),
        weeks=numbers.plural(size["weeks"], "week") if size["weeks"] else "too long",
        weeks_note=numbers.plural(size["days"], "day"),
        expected=(
            f"{numbers.whole(size['visitors_expected_if_real'])} visitors if the lift is real, "
            f"{numbers.whole(size['visitors_expected_if_none'])} if there is none"
        ),
        lifts=tuple(
            Lift(
                f"{row['weeks']}{numbers.NO_BREAK}wk",
                numbers.lift(row["lift"]) if row["lift"] is not None else "none",
                row["lift"] is not None and abs(row["lift"]) <= needed,
            )
            for row in one["detectable"]
        ),
        **_guardrail(one["guardrail"]),
        correction=numbers.typeset(
            f"alpha {size['alpha_per_test']:.4g}, power {size['power_per_metric'] * 100:.3g} %, "
            f"{size['inflation']:.3f} times the visitors for looking {_looked(document)}"
        ),
    )


def _baseline(base: Mapping[str, Any]) -> dict[str, str]:
    write = numbers.share if base["deviation"] is None else numbers.amount
    if base["source"] == "given":
        return {"baseline": write(base["value"]), "baseline_note": "as given"}
    between = numbers.interval(base["low"], base["high"], write)
    return {
        "baseline": write(base["value"]),
        "baseline_note": f"{between}, {numbers.plural(base['visitors'], 'visitor')}",
    }


def _guardrail(outlook: Mapping[str, Any] | None) -> dict[str, str]:
    if outlook is None or outlook["chance_of_safe"] is None:
        return {"guardrail": numbers.UNKNOWN, "guardrail_note": "no conversions in that time"}
    note = f"margin {outlook['margin'] * 100:g} %, after {numbers.plural(outlook['weeks'], 'week')}"
    if not outlook["is_powered"]:
        least = outlook["least_margin"]
        note += "; it cannot be powered at this margin: " + (
            f"half of the cases from {math.ceil(least * 100)} % on" if least is not None else "no margin reaches half"
        )
    return {"guardrail": numbers.typeset(chance(outlook["chance_of_safe"])), "guardrail_note": numbers.typeset(note)}


def _hours(hours: float) -> str:
    return numbers.plural(round(hours / 24), "day") if hours % 24 == 0 else numbers.plural(round(hours), "hour")


def plan_lines(document: Mapping[str, Any]) -> Sequence[str]:
    """Return a plan as lines for a terminal."""
    words = plan_words(document)
    lines = [f"{words.title}  [{document['recommendation']['state']}]", words.sentence]
    lines += [f"- {reason}" for reason in words.reasons]
    lines += ["", f"New visitors a week: {words.visitors_per_week} ({words.traffic_note})"]
    for one in words.metrics:
        lines += ["", f"{one.name} ({one.key}): {', '.join(one.facts)}"]
        if one.problem:
            lines.append(f"  {one.problem}")
            continue
        lines += [
            f"  today     {one.baseline} ({one.baseline_note})",
            f"  needs     {one.visitors} visitors in all: {one.weeks}, {one.weeks_note} ({one.correction})",
            f"            on average {one.expected}; one look, nothing corrected: {one.one_look}",
            f"  finds     {', '.join(f'{row.lift} in {row.weeks}' for row in one.lifts)}",
            f"  guardrail shown safe in {one.guardrail} of cases if nothing changes ({one.guardrail_note})",
        ]
    return lines
