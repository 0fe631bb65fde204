"""Every sentence of the verdict, in one place, for a person who decides about a product."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from experiments.core.metrics import Direction
from reports.core.methods.base import Comparison, Interval, Lift
from reports.core.methods.noninferiority import GuardrailOutcome, GuardrailResult
from reports.core.progress import FIRST_LOOK_DAYS, Progress
from reports.core.results import MetricResult


def percent(share: float) -> str:
    """Write a share with a sign and three digits: +7.52 %, or ten thousands and more as they are."""
    if math.isinf(share):
        return "without limit" if share > 0 else "-100 %"
    return f"{100 * share:+.3g} %" if abs(share) < 10 else f"{100 * share:+,.0f} %"


def plain_percent(share: float) -> str:
    """Write a share without a sign."""
    return f"{100 * abs(share):.3g} %"


def chance(probability: float) -> str:
    """Write a probability as whole per cent, never as 0 or 100."""
    return f"{min(max(round(100 * probability), 1), 99)} %"


def number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"


def names(items: Sequence[str]) -> str:
    """Write a list of names: 'a', 'a and b', 'a, b and c'."""
    quoted = [f"'{item}'" for item in items]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " and " + quoted[-1]


def day(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"


def likely(interval: Interval) -> str:
    """Write a lift's interval."""
    if math.isinf(interval.high):
        return f"likely more than {percent(interval.low)}"
    return f"likely {percent(interval.low)} to {percent(interval.high)}"


def change(comparison: Comparison) -> str:
    """Write how much changed, relative where that makes sense, with its uncertainty."""
    if isinstance(comparison.lift, Lift) and math.isfinite(comparison.lift.value):
        return f"{percent(comparison.lift.value)} ({likely(comparison.lift.interval)})"
    low, high = comparison.interval.low, comparison.interval.high
    return f"{comparison.effect:+.4g} (likely {low:+.4g} to {high:+.4g}, in the metric's own unit)"


def better(metric: MetricResult, comparison: Comparison) -> str:
    return f"'{metric.name}' is better: {change(comparison)}."


def worse(metric: MetricResult, comparison: Comparison) -> str:
    return f"'{metric.name}' is worse: {change(comparison)}."


def open_effect(metric: MetricResult, comparison: Comparison) -> str:
    return f"'{metric.name}' is not clear: {change(comparison)}."


def ruled_out(guardrail: GuardrailResult) -> str:
    """Write the largest worsening that the data still allow."""
    word = "drop" if guardrail.direction is Direction.INCREASE else "rise"
    if guardrail.ruled_out is None:
        return f"We cannot rule out a {word} of any size."
    if guardrail.ruled_out == 0:
        return f"We can rule out a {word} of any size."
    return f"We can only rule out a {word} larger than {plain_percent(guardrail.ruled_out)}."


def guardrail(metric: MetricResult, result: GuardrailResult) -> str:
    """Write what a guardrail found, and how much this experiment could have found."""
    margin = plain_percent(result.margin)
    word = "drop" if result.direction is Direction.INCREASE else "rise"
    if result.outcome is GuardrailOutcome.SAFE:
        text = f"'{metric.name}' is safe: any {word} is smaller than the margin of {margin}. {ruled_out(result)}"
        if result.is_small_drop_likely:
            text += f" A small {word} is likely all the same."
        return text
    if result.outcome is GuardrailOutcome.HARM:
        return f"'{metric.name}' got worse, and that is more than chance. {ruled_out(result)}"
    text = f"'{metric.name}' is not shown to be safe within its margin of {margin}. {ruled_out(result)}"
    if result.outcome is GuardrailOutcome.CANNOT_BE_POWERED:
        reach = result.power_at_horizon if result.power_at_horizon is not None else result.power
        if reach is not None:
            text += (
                f" With the visitors planned, this experiment shows safety in only {chance(reach)} of the cases in which nothing "
                "changed: it cannot answer this question."
            )
        return text
    if result.power is not None:
        text += f" With the visitors so far it shows safety in {chance(result.power)} of the cases in which nothing changed."
    return text


def needs_days(progress: Progress) -> str:
    wait = FIRST_LOOK_DAYS - progress.days
    return (
        f"Weekdays differ, so the first look is after {FIRST_LOOK_DAYS} full days; {progress.days} have passed and "
        f"{wait} {'is' if wait == 1 else 'are'} missing."
    )


def needs_conversions(metric: MetricResult, least: int) -> str:
    return f"'{metric.name}' has {number(metric.total)} of the {least} conversions, over all variants, that any answer takes."


def needs_matured(metric: MetricResult) -> str:
    hours = metric.planned.metric.window_hours or 0
    return f"No visitor has been followed for the {hours:g} hours of '{metric.name}' yet."


def too_early(progress: Progress) -> str:
    at = progress.next_look_at
    when = f" The first answer can come on {day(at)}." if at is not None and progress.is_before_first_look else ""
    return f"Too early to tell: {number(progress.visitors)} visitors so far.{when} Until then only the health of the data counts."


def invalid(titles: Sequence[str]) -> str:
    return f"We cannot judge this experiment: {'; '.join(t[0].lower() + t[1:] for t in titles)}."


def ship(variant: str, wins: Sequence[str], guards: Sequence[str]) -> str:
    text = f"Ship '{variant}': {names(wins)} improved"
    return (
        f"{text} and {names(guards)} {'is' if len(guards) == 1 else 'are'} shown to be safe." if guards else f"{text}."
    )


def harm(variant: str, losses: Sequence[str]) -> str:
    return f"Do not ship '{variant}': {names(losses)} got worse."


def conflict(variant: str, wins: Sequence[str], losses: Sequence[str]) -> str:
    return (
        f"Do not ship '{variant}': {names(wins)} improved but {names(losses)} got worse. More visitors take the step, and "
        "fewer of them reach the goal; check for a promise that the next page does not keep, or accidental clicks."
    )


def promising(variant: str, wins: Sequence[str], unproven: Sequence[str], *, is_final: bool) -> str:
    tail = (
        "If you ship, keep a part of the visitors on the control and go on measuring."
        if is_final
        else "Keep it running: the goal itself has to be shown safe."
    )
    what = (
        f"{names(unproven)} {'is' if len(unproven) == 1 else 'are'} not shown to be safe"
        if unproven
        else "no macro conversion is measured"
    )
    return f"'{variant}' looks promising but is not proven: {names(wins)} improved, {what}. {tail}"


def no_decision_yet(variant: str, progress: Progress) -> str:
    text = f"No decision on '{variant}' yet."
    if progress.horizon_at is not None and progress.horizon_days is not None:
        return f"{text} Day {progress.days} of {progress.horizon_days}; the planned end is {day(progress.horizon_at)}."
    return text


def no_effect(variant: str, lines: Sequence[str]) -> str:
    return f"No gain was shown for '{variant}': keep the control, unless it is cheaper to keep the change. " + " ".join(
        lines
    )


def inconclusive(variant: str) -> str:
    return f"There are too few data to say anything about '{variant}', and the planned time is over: keep the control."


def bounds(metric: MetricResult, comparison: Comparison) -> str:
    """Write what an unclear result does rule out."""
    if not isinstance(comparison.lift, Lift):
        return ""
    low, high = comparison.lift.interval.low, comparison.lift.interval.high
    if math.isinf(high):
        return f"The data rule out changes of '{metric.name}' below {percent(low)}, and none above."
    return f"The data rule out changes of '{metric.name}' beyond {percent(low)} and {percent(high)}."


def waits_for_horizon(progress: Progress) -> str:
    if progress.horizon_at is None:
        return (
            "The plan has no end, so there is no time at which chance findings from repeated looks would be held down."
        )
    return (
        f"The planned look is on {day(progress.horizon_at)}. Deciding on a lucky day before it would find false winners in more "
        "than one of four experiments without any effect."
    )


def several(parts: Sequence[str]) -> str:
    return " ".join(parts)
