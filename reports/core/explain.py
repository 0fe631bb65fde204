"""Every sentence of the verdict, in one place, for a person who decides about a product."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from experiments.core.metrics import Direction
from reports.core.methods.base import Interval, Lift, NotComputable
from reports.core.methods.noninferiority import GuardrailOutcome, GuardrailResult
from reports.core.progress import FIRST_LOOK_DAYS, Progress
from reports.core.results import MetricResult, VariantComparison
from reports.core.sequential.confidence import LEAST_CONVERSIONS, LEAST_PER_VARIANT
from reports.core.statistics import ONE_LOOK_ONLY


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


def change(comparison: VariantComparison) -> str:
    """Write how much changed, relative where that makes sense, with its uncertainty.

    Of a test that crossed its bound the numbers that know of the earlier looks are given: the plain ones flatter a winner.
    """
    stopped, result = comparison.stopped, comparison.result
    if stopped is not None and stopped.lift is not None and stopped.lift_interval is not None:
        return f"{percent(stopped.lift)} ({likely(stopped.lift_interval)})"
    if stopped is not None:
        return _absolute(stopped.effect, stopped.interval)
    if isinstance(result, NotComputable):
        return result.detail
    if isinstance(result.lift, Lift) and math.isfinite(result.lift.value):
        return f"{percent(result.lift.value)} ({likely(result.lift.interval)})"
    return _absolute(result.effect, result.interval)


def _absolute(effect: float, interval: Interval) -> str:
    return f"{effect:+.4g} (likely {interval.low:+.4g} to {interval.high:+.4g}, in the metric's own unit)"


def changed(metric: MetricResult, comparison: VariantComparison) -> str:
    """Write a metric with its change, for use inside a sentence."""
    return f"'{metric.name}' {change(comparison)}"


def better(metric: MetricResult, comparison: VariantComparison) -> str:
    return f"'{metric.name}' is better: {change(comparison)}."


def worse(metric: MetricResult, comparison: VariantComparison) -> str:
    return f"'{metric.name}' is worse: {change(comparison)}."


def open_effect(metric: MetricResult, comparison: VariantComparison) -> str:
    text = f"'{metric.name}' is not clear: {change(comparison)}."
    if comparison.waits_for_primary:
        text += " It may be claimed only once every primary metric is decided."
    if comparison.is_unlikely_to_win:
        text += " A win is unlikely by the planned end."
    return text


def listed(phrases: Sequence[str]) -> str:
    """Write phrases one after the other: 'x', 'x and y', 'x, y and z'."""
    return phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + " and " + phrases[-1]


def ruled_out(guardrail: GuardrailResult) -> str:
    """Write the largest worsening that the data still allow."""
    word = "drop" if guardrail.direction is Direction.INCREASE else "rise"
    if guardrail.ruled_out is None:
        return f"We cannot rule out a {word} of any size."
    if guardrail.ruled_out == 0:
        return f"We can rule out a {word} of any size."
    return f"We can only rule out a {word} larger than {plain_percent(guardrail.ruled_out)}."


def _more_than_chance(result: GuardrailResult) -> str:
    """Write which numbers showed a worsening, and when: a later look may no longer show it, and does not undo it."""
    seen = result.worsening
    if seen is None:
        return "that is more than chance."
    when = f"on day {seen.day} it was " if seen.day is not None else ""
    lift = seen.comparison.lift
    if isinstance(lift, Lift) and math.isfinite(lift.value):
        numbers = f"{percent(lift.value)} ({likely(lift.interval)})"
    else:
        numbers = _absolute(seen.comparison.effect, seen.comparison.interval)
    return f"{when}{numbers}, and that is more than chance."


def guardrail(metric: MetricResult, result: GuardrailResult) -> str:
    """Write what a guardrail found, and how much this experiment could have found."""
    margin = plain_percent(result.margin)
    word = "drop" if result.direction is Direction.INCREASE else "rise"
    if result.outcome is GuardrailOutcome.SAFE:
        if result.is_small_drop_likely:
            return (
                f"'{metric.name}' stays within its margin of {margin}, but a small {word} is likely: "
                f"{_more_than_chance(result)} {ruled_out(result)}{_could_show(result)}"
            )
        if result.ruled_out:
            return (
                f"'{metric.name}' is safe: a {word} larger than {plain_percent(result.ruled_out)} is ruled out, and the margin "
                f"is {margin}.{_could_show(result)}"
            )
        return f"'{metric.name}' is safe: a {word} of any size is ruled out.{_could_show(result)}"
    if result.outcome is GuardrailOutcome.HARM:
        return f"'{metric.name}' got worse: {_more_than_chance(result)} {ruled_out(result)}{_could_show(result)}"
    text = f"'{metric.name}' is not shown to be safe within its margin of {margin}. {ruled_out(result)}{_could_show(result)}"
    if result.outcome is GuardrailOutcome.CANNOT_BE_POWERED:
        reach = result.power_at_horizon if result.power_at_horizon is not None else result.power
        if reach is not None:
            text += (
                f" With the visitors planned, this experiment shows safety in only {chance(reach)} of the cases in which nothing "
                "changed: it cannot answer this question."
            )
        return text
    return text


def _could_show(result: GuardrailResult) -> str:
    """Write what stands beside every limit that was ruled out: how often so many visitors could have shown safety at all."""
    if result.power is None:
        return ""
    return (
        f" With the visitors so far this test could have shown safety in {chance(result.power)} of the cases in which nothing "
        "changed."
    )


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
    text = f"Ship '{variant}': better in {listed(wins)}"
    if not guards:
        return f"{text}."
    return f"{text}, and {names(guards)} {'is' if len(guards) == 1 else 'are'} shown to be safe."


def harm(variant: str, losses: Sequence[str]) -> str:
    return f"Do not ship '{variant}': worse in {listed(losses)}."


def conflict(variant: str, wins: Sequence[str], losses: Sequence[str]) -> str:
    return (
        f"Do not ship '{variant}': better in {listed(wins)}, but worse in {listed(losses)}. Look for a promise that the next "
        "page does not keep, accidental clicks, or a tracking fault."
    )


def promising(variant: str, wins: Sequence[str], unproven: Sequence[str], *, is_final: bool) -> str:
    tail = (
        "If you ship it, keep a part of the visitors on the control and go on measuring."
        if is_final
        else "Keep it running: the goal itself has to be shown safe."
    )
    what = (
        f"{names(unproven)} {'is' if len(unproven) == 1 else 'are'} not shown to be safe"
        if unproven
        else "no macro conversion is measured"
    )
    return f"'{variant}' is promising but not proven: better in {listed(wins)}, yet {what}. {tail}"


def unlikely(variant: str) -> str:
    return (
        f"'{variant}' is unlikely to win by the planned end: stop and use the traffic for another idea. You may go on all the "
        "same; the risk of a false win does not grow."
    )


def no_decision_yet(variants: Sequence[str], progress: Progress) -> str:
    text = f"No decision on {names(variants)} yet."
    if progress.horizon_at is not None and progress.horizon_days is not None:
        return f"{text} Day {progress.days} of {progress.horizon_days}; the planned end is {day(progress.horizon_at)}."
    if progress.has_no_end:
        return f"{text} {no_end()}"
    return text


def no_end() -> str:
    return (
        "No planned end: the intervals hold at every look, however long it runs, and are wider for it. It goes on until "
        "something is shown or somebody stops it."
    )


def no_look_yet(progress: Progress) -> str:
    """Write why there is no look at a metric although the experiment has had its first week."""
    if progress.has_no_end:
        return (
            f"There is no look at this metric yet: without a planned end it takes {LEAST_CONVERSIONS:g} conversions over both "
            f"variants and {LEAST_PER_VARIANT:g} in each, of visitors who have been followed for its conversion window."
        )
    return "There is no look at this metric yet: too few visitors have been followed for its conversion window."


def no_effect(variant: str, lines: Sequence[str]) -> str:
    return f"No gain was shown for '{variant}': keep the control, unless it is cheaper to keep the change. " + " ".join(
        lines
    )


def inconclusive(variants: Sequence[str]) -> str:
    return f"There are too few data to say anything about {names(variants)}, and the planned time is over: keep the control."


def ended_early(variants: Sequence[str], progress: Progress) -> str:
    text = f"Stopped before an answer on {names(variants)}: keep the control."
    if progress.horizon_days is not None:
        text += (
            f" It ran {progress.ended_days} of {progress.horizon_days} planned days."
            if progress.ended_days
            else f" It was stopped on its first day; {progress.horizon_days} days were planned."
        )
    return text


def bounds(metric: MetricResult, comparison: VariantComparison) -> str:
    """Write what an unclear result does rule out; nothing where there is no relative effect."""
    result = comparison.result
    if isinstance(result, NotComputable) or not isinstance(result.lift, Lift):
        return ""
    low, high = result.lift.interval.low, result.lift.interval.high
    if math.isinf(high):
        return f"The data rule out changes of '{metric.name}' below {percent(low)}, and none above."
    return f"The data rule out changes of '{metric.name}' beyond {percent(low)} and {percent(high)}."


def waits_for_horizon(metric: MetricResult, progress: Progress) -> str:
    """Write why a metric decides nothing at this look."""
    if metric.statistic in ONE_LOOK_ONLY:
        when = (
            f"on {day(progress.horizon_at)}" if progress.horizon_at is not None else "at the end, and the plan has none"
        )
        return f"'{metric.name}' is a quantile, which no sequential bounds are known for: it decides once, {when}."
    if metric.planned.metric.window_hours is None:
        if progress.has_no_end:
            return (
                f"'{metric.name}' has no conversion window, so what earlier visitors do keeps growing: without a planned end it "
                "decides nothing."
            )
        when = (
            f"on {day(progress.horizon_at)}" if progress.horizon_at is not None else "at the end, and the plan has none"
        )
        return f"'{metric.name}' has no conversion window, so what earlier visitors do keeps growing: it decides once, {when}."
    if progress.has_no_end:
        return f"'{metric.name}': {no_look_yet(progress)[0].lower()}{no_look_yet(progress)[1:]}"
    if progress.horizon_at is None and progress.planned_visitors is None:
        return (
            f"'{metric.name}' cannot decide: the plan has neither a horizon nor a number of visitors, so there is no way to hold "
            "down chance findings from repeated looks."
        )
    return f"'{metric.name}' has too few visitors whose conversion window has passed."


def several(parts: Sequence[str]) -> str:
    return " ".join(parts)
