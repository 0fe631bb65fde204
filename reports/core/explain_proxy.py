"""The sentences of the proxy engine, for a person who decides about a product; every number comes from the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence

from experiments.core.metrics import MetricDefinition
from reports.core.explain import chance, day, names, percent, plain_percent
from reports.core.methods.base import Interval
from reports.core.progress import Progress
from reports.core.proxy.classes import VariantClass
from reports.core.proxy.judging import ProxyResult
from reports.core.proxy.quality import StepQuality
from reports.core.proxy.verdict import Leg, Note, ProxyVerdict

CLASS_NAMES = {
    VariantClass.WIN: "a real gain",
    VariantClass.NULL: "no difference",
    VariantClass.BAIT: "bait: a step gains, the goal does not",
    VariantClass.HARM: "a loss",
    VariantClass.FILTER: "fewer begin, and those who do finish more often",
}


def relative(log_lift: float) -> str:
    return percent(math.expm1(log_lift))


def likely_range(interval: Interval) -> str:
    return f"likely {relative(interval.low)} to {relative(interval.high)}"


def one_in(risk: float) -> str:
    """Write a risk as `about 1 in 8`, never as nothing."""
    return f"about 1 in {max(round(1 / risk), 1):,}" if risk > 0.001 else "less than 1 in 1,000"


def moved_most(qualities: Sequence[StepQuality]) -> StepQuality | None:
    """Return the milestone whose reach moved most surely."""
    return max(qualities, key=lambda q: abs(q.z_micro)) if qualities else None


def explanations(verdict: ProxyVerdict) -> dict[VariantClass, float]:
    """Return the chance of each explanation; a gain at a step that leaves the goal no gain is told as bait."""
    gain = 1 - verdict.risk
    lost = verdict.posterior[VariantClass.WIN] - gain
    bait = (
        {VariantClass.BAIT: verdict.posterior[VariantClass.BAIT] + lost}
        if VariantClass.BAIT in verdict.posterior
        else {}
    )
    return {**verdict.posterior, VariantClass.WIN: gain, **bait}


def _step_name(steps: Sequence[MetricDefinition], number: int) -> str:
    return steps[number - 1].name or steps[number - 1].key


def going_on(moved: StepQuality) -> str:
    """Say how the share that goes on changed, with no "about as many" where the interval speaks against it."""
    if moved.quality_interval.high < 0:
        return "a smaller share goes on"
    return "a larger share goes on" if moved.quality_interval.low > 0 else "about as many go on"


def ship_by_proxy(label: str, found: ProxyResult, steps: Sequence[MetricDefinition]) -> str:
    verdict, macro = found.verdict, _step_name(steps, len(steps))
    text = f"Ship '{label}'."
    moved = moved_most(found.qualities)
    if moved is not None and moved.z_micro > 0:
        text += (
            f" More visitors reach '{_step_name(steps, moved.step)}' ({percent(moved.micro)}, likely "
            f"{percent(moved.micro_interval.low)} to {percent(moved.micro_interval.high)}), and of those who do {going_on(moved)} "
            f"({percent(moved.quality)}, could be {percent(moved.quality_interval.low)} to "
            f"{percent(moved.quality_interval.high)})."
        )
    says = "alone points the same way" if verdict.macro_alone_95.low > 0 else "alone could not tell yet"
    text += (
        f" '{macro}' {says} ({relative(verdict.macro_alone)}, could be {relative(verdict.macro_alone_95.low)} to "
        f"{relative(verdict.macro_alone_95.high)}); with all steps its gain is expected at {relative(verdict.macro)} "
        f"({likely_range(verdict.macro_80)}). Chance that this is no real gain: {one_in(verdict.risk)}."
    )
    if verdict.tipping_bait_share < 1:
        text += (
            f" You would have to believe that more than {plain_percent(verdict.tipping_bait_share)} of your ideas are "
            "bait-and-switch to decide otherwise."
        )
    return text


def ship_by_macro(label: str, found: ProxyResult, steps: Sequence[MetricDefinition]) -> str:
    verdict = found.verdict
    return (
        f"Ship '{label}'. '{_step_name(steps, len(steps))}' itself rose clearly ({relative(verdict.macro_alone)}, likely "
        f"{relative(verdict.macro_alone_95.low)} to {relative(verdict.macro_alone_95.high)}). The proxies were not needed."
    )


def conflict(label: str, found: ProxyResult, steps: Sequence[MetricDefinition]) -> str:
    lure = max(found.qualities, key=lambda q: q.z_micro - q.z_quality)
    step, macro = _step_name(steps, lure.step), _step_name(steps, len(steps))
    fell = "fell" if found.verdict.macro_alone_95.high < 0 else "did not rise"
    return (
        f"Do not ship '{label}'. It gets more people to '{step}' ({percent(lure.micro)}) but a smaller share of them goes on "
        f"({percent(lure.quality)}), so '{macro}' {fell} ({relative(found.verdict.macro_alone)}, could be "
        f"{relative(found.verdict.macro_alone_95.low)} to {relative(found.verdict.macro_alone_95.high)}). Typical causes: a "
        f"promise that the next page does not keep, accidental clicks, or a tracking fault: look at the events of '{step}' first."
    )


def stop_harm(label: str, found: ProxyResult, steps: Sequence[MetricDefinition]) -> str:
    return (
        f"Stop '{label}'. It very probably loses '{_step_name(steps, len(steps))}' ({relative(found.verdict.macro)}, "
        f"{likely_range(found.verdict.macro_80)})."
    )


def harmed(label: str, metrics: Sequence[str]) -> str:
    return f"Do not ship '{label}': {names(metrics)} {'is' if len(metrics) == 1 else 'are'} worse."


def unproven(label: str, metrics: Sequence[str]) -> str:
    return (
        f"'{label}' is promising: the steps towards the goal speak for it. {names(metrics)} "
        f"{'is' if len(metrics) == 1 else 'are'} not shown to be safe yet, so it is not to be shipped."
    )


def no_gain(label: str, found: ProxyResult) -> str:
    text = (
        f"Stop '{label}' and use the traffic for another idea: a worthwhile gain is now less likely than for a fresh one "
        f"({chance(1 - found.verdict.risk)})."
    )
    if Note.LEANING_HARMFUL in found.verdict.notes:
        text += f" It leans towards a loss ({relative(found.verdict.macro)} expected)."
    return text


def inconclusive(label: str, found: ProxyResult, progress: Progress) -> str:
    chances = explanations(found.verdict)
    leading = max(chances, key=lambda c: chances[c])
    half = (found.verdict.macro_alone_95.high - found.verdict.macro_alone_95.low) / 2
    return (
        f"The time is over and the answer on '{label}' is still open: keep the control. Likeliest is {CLASS_NAMES[leading]} "
        f"({chance(chances[leading])}). With this traffic the goal alone can show changes of about "
        f"{plain_percent(math.expm1(half * 1.43))} or more; this one, if real, is probably smaller."
    )


def little_time(label: str, found: ProxyResult, progress: Progress) -> str:
    chances = explanations(found.verdict)
    leading = max(chances, key=lambda c: chances[c])
    text = (
        f"Stop '{label}', keep the control and use the traffic for another idea: the answer is open and will probably stay so. A real "
        f"gain has a chance of {chance(1 - found.verdict.risk)}; likeliest is {CLASS_NAMES[leading]} ({chance(chances[leading])})."
    )
    if progress.horizon_days is not None:
        text += f" Day {progress.look_day} of {progress.horizon_days}: what is left is too little to turn that."
    return text


def keep_running(label: str, found: ProxyResult, progress: Progress) -> str:
    verdict = found.verdict
    chances = explanations(verdict)
    leading = max(chances, key=lambda c: chances[c])
    text = f"Not decided on '{label}'. Likeliest so far: {CLASS_NAMES[leading]} ({chance(chances[leading])})."
    if progress.horizon_at is not None and progress.horizon_days is not None:
        text += f" Day {progress.days} of {progress.horizon_days}; the planned end is {day(progress.horizon_at)}."
    return text


def filter_note() -> str:
    return (
        "Fewer people begin, but those who do finish more often. If that was the intention, wait for the goal itself; do not "
        "judge by the first steps."
    )


def quality_watch(verdict: ProxyVerdict) -> str:
    return f"Bait-and-switch is a serious possibility ({chance(verdict.posterior[VariantClass.BAIT])}): watch the quality below."


def weakened(first: int) -> str:
    return f"On day {first} the evidence was enough to ship; it has weakened since, so it is not any more."


LEG_NAMES = {
    "win": "chance of a real gain",
    "null": "evidence against no difference",
    "bait": "evidence against bait",
    "harm": "evidence against a loss",
    "margin": "the goal itself did not drop much",
}


def odds(log_evidence: float) -> str:
    """Write evidence as a number of times, without false precision."""
    times = math.exp(min(log_evidence, 700.0))
    if times > 1e6:
        return "more than 1,000,000"
    return f"{times:,.0f}" if times >= 10 else f"{times:.2g}" if times >= 0.001 else "less than 0.001"


def leg(one: Leg) -> str:
    """Write one condition of shipping by the proxy: what it takes and where it stands."""
    if one.name == "win":
        reached, needed = chance(one.reached), chance(one.needed)
    elif one.name == "margin":
        reached, needed = f"z {one.reached:.2f}", f"z {one.needed:.2f}"
    else:
        reached, needed = f"{odds(one.reached)} to 1", f"{odds(one.needed)} to 1"
    return f"{LEG_NAMES[one.name].capitalize()}: {reached}, it takes {needed} ({'met' if one.holds else 'not met'})."
