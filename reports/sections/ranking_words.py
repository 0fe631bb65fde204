"""A ranking of micro conversions, and what is known of one of them, as pages write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.sections import numbers
from reports.sections.evidence_words import GRADES

DOUBTS = {
    "depth_explains_it": "More than half of it disappears once it is known how far visitors had come: they do both because they are keen.",
    "often_after_macro": "It often happens after the goal, so it cannot lead there.",
    "reverse_gate": "Hardly anybody does it who does not reach the goal: it may need an account or an order itself.",
    "few_macro": "Fewer than 50 visitors have done both: too few to say much.",
    "automatic_event": "Nearly every visitor has it: an automatic event shows nothing.",
    "bot_like": "Half of them do it within two seconds of arriving: look for bots, or for an event that the page sends by itself.",
}
SHORT_DOUBTS = {
    "depth_explains_it": "keenness explains it",
    "often_after_macro": "often after the goal",
    "reverse_gate": "reverse gate",
    "few_macro": "few goals",
    "automatic_event": "automatic",
    "bot_like": "bot-like",
}
QUALITY_WORDS = {"ok": "kept", "watch": "perhaps diluted", "dilution": "diluted"}
RAISE = {
    "E": "Experiments cannot raise it yet: only a site with 30 experiments may register a secondary action as a proxy, and Inkling does "
    "not do so.",
    "D": "Three finished experiments whose metrics declare it as a step make it C.",
    "C": "Ten finished experiments make it B: then what they say is used.",
    "B": "Thirty finished experiments make it A.",
    "A": "Nothing: it is as well known as it can be here.",
}


@dataclass(frozen=True, slots=True)
class MicroRow:
    """One micro conversion in the ranking."""

    key: str
    name: str
    grade: str
    reach: str
    with_it: str
    without_it: str
    ratio: str
    adjusted: str
    ceiling: str
    speed: str
    quality: str
    first: str
    top_three: str
    doubts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RankingWords:
    """The ranking: milestones and secondary actions apart, because only the former may ever decide."""

    milestones: tuple[MicroRow, ...]
    actions: tuple[MicroRow, ...]
    meaning: str
    basis: str


@dataclass(frozen=True, slots=True)
class Pair:
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class PastRow:
    """How the step did in one experiment."""

    experiment: str
    name: str
    variant: str
    micro: str
    quality: str
    state: str


@dataclass(frozen=True, slots=True)
class MetricWords:
    """Everything that is known of one micro conversion."""

    row: MicroRow
    kind: str
    grade_meaning: str
    raises: str
    pairs: tuple[Pair, ...]
    doubts: tuple[str, ...]
    learned: tuple[Pair, ...]


def ranking_words(
    document: Mapping[str, Any], grades: Mapping[str, str], *, visitors: int, of_visitors: int, period: str
) -> RankingWords:
    """Put a ranking into words."""
    macro = document["macro"]
    rows = [(_row(one, grades), one["conversion"]) for one in document["micros"]]
    drawn = "" if visitors == of_visitors else f" (drawn from {numbers.whole(of_visitors)})"
    return RankingWords(
        milestones=tuple(row for row, conversion in rows if conversion == "milestone"),
        actions=tuple(row for row, conversion in rows if conversion != "milestone"),
        meaning=(
            "These figures say what goes together, not what causes what. They may tell you what to watch; they never license a ship. "
            "The wish to buy drives micro conversions and purchases alike, and nothing here measures it."
        ),
        basis=numbers.typeset(
            f"{numbers.whole(visitors)} visitors{drawn} first seen {period}, each followed for two weeks; {numbers.share(macro['share'])} "
            f"reached “{macro['name']}”."
        ),
    )


def _row(one: Mapping[str, Any], grades: Mapping[str, str]) -> MicroRow:
    ratio, pair = one["risk_ratio"], one["risk_ratio_ci"]
    adjusted = one["adjusted"]
    speed = one["visitors_ratio"]
    is_milestone = one["conversion"] == "milestone"
    return MicroRow(
        key=one["key"],
        name=one["name"],
        grade=grades.get(one["key"], "D"),
        reach=_share(one["reach"]),
        with_it=_share(one["with_micro"]),
        without_it=_share(one["without_micro"]),
        ratio=f"{_times(ratio)} ({_times(pair[0])} to {_times(pair[1])})"
        if ratio is not None and pair
        else numbers.UNKNOWN,
        adjusted=_adjusted(adjusted),
        ceiling=numbers.UNKNOWN if one["ceiling"] is None else _percent(one["ceiling"]),
        speed=numbers.UNKNOWN if not is_milestone or speed is None else _speed(speed),
        quality=f"{one['quality']:.2f}" if is_milestone else numbers.UNKNOWN,
        first=_percent(one["chance_first"]),
        top_three=_percent(one["chance_top_three"]),
        doubts=tuple(SHORT_DOUBTS[doubt] for doubt in one["doubts"]),
    )


def metric_words(
    document: Mapping[str, Any], key: str, grades: Mapping[str, str], evidence: Mapping[str, Any] | None
) -> MetricWords | None:
    """Put everything known of one micro conversion into words; None when it was not ranked."""
    one = next((m for m in document["micros"] if m["key"] == key), None)
    if one is None:
        return None
    row, macro = _row(one, grades), document["macro"]
    is_milestone = one["conversion"] == "milestone"
    pairs = [
        Pair("Reach", f"{row.reach} of visitors do it ({_counts(one['reach'])}; 95 % {_interval(one['reach']['ci'])})"),
        Pair(
            f"“{macro['name']}” with it",
            f"{row.with_it} ({_counts(one['with_micro'])}; {_interval(one['with_micro']['ci'])})",
        ),
        Pair(
            "and without",
            f"{row.without_it} ({_counts(one['without_micro'])}; {_interval(one['without_micro']['ci'])})",
        ),
        Pair("Times as often", row.ratio),
    ]
    if not is_milestone:
        pairs.append(
            Pair("Adjusted", f"{row.adjusted}, for how far visitors had come, weekday, hour, and what they did before")
        )
        pairs.append(
            Pair(
                "Most that could arrive",
                f"{row.ceiling}: a lift of 10 % here lifts the goal by at most that part of it, if all of it were cause",
            )
        )
        pairs.append(
            Pair(
                "E-value",
                f"{one['e_value']:.1f}: so strong, as a risk ratio, an unknown common cause would have to be; the wish to buy is"
                if one["e_value"]
                else numbers.UNKNOWN,
            )
        )
    else:
        pairs.append(
            Pair("Speed", f"{row.speed} for the same lift of the goal, if {_percent(0.8)} of a gain here arrives there")
        )
        pairs.append(
            Pair(
                "As a guide",
                f"correlation {row.quality} of what is measured here with the goal's true change, over ideas, at this site's traffic in {macro['planned_weeks']} weeks",
            )
        )
    pairs.append(Pair("Half do it within", _hours(one["median_hours"])))
    pairs.append(Pair("Place", f"first in {row.first} of redrawn samples, among three in {row.top_three}"))
    return MetricWords(
        row=row,
        kind="Milestone on the way" if is_milestone else "Secondary action",
        grade_meaning=GRADES[row.grade],
        raises=RAISE[row.grade],
        pairs=tuple(Pair(p.label, numbers.typeset(p.text)) for p in pairs),
        doubts=tuple(DOUBTS[doubt] for doubt in one["doubts"]),
        learned=_learned(key, evidence),
    )


def _learned(key: str, evidence: Mapping[str, Any] | None) -> tuple[Pair, ...]:
    step = next((s for s in evidence["steps"] if s["key"] == key), None) if evidence else None
    if step is None or evidence is None:
        return ()
    pairs = [Pair("Experiments", f"{step['experiments']}, worth {evidence['experiments']:.1f} fresh ones of your own")]
    agreement, card = step["sign_agreement"], step["card"]
    if agreement is not None:
        low, high = agreement["ci"]
        pairs.append(
            Pair("The goal goes its way", f"{_percent(agreement['value'])} (95 % {_percent(low)} to {_percent(high)})")
        )
    if card is not None and card["is_too_weak"]:
        pairs.append(Pair("Together with the goal", "effects too weak to learn from"))
    elif card is not None:
        pairs.append(
            Pair(
                "Together with the goal",
                f"correlation {card['correlation']:.2f}; of a gain {_percent(card['slope'])} arrives (the naive slope says {_percent(card['naive_slope'])})",
            )
        )
        pairs.append(
            Pair(
                "Where the goal was clear",
                f"{card['macro_significant']} times: seen {card['detected']}, mistaken {card['mistaken']}, missed {card['missed']}",
            )
        )
    return tuple(Pair(p.label, numbers.typeset(p.text)) for p in pairs)


def past_rows(experiment: str, name: str, document: Mapping[str, Any], key: str) -> list[PastRow]:
    """Return how a step did in one experiment, by its last answer; none without it."""
    proxy = document.get("proxy")
    rows = []
    for treatment in proxy["treatments"] if proxy else ():
        for quality in treatment["quality"]:
            if quality["key"] != key:
                continue
            rows.append(
                PastRow(
                    experiment=experiment,
                    name=name,
                    variant=str(treatment["variant"]),
                    micro=_lifted(quality["micro_lift"], quality["micro_lift_95"]),
                    quality=_lifted(quality["quality_lift"], quality["quality_lift_95"]),
                    state=QUALITY_WORDS[quality["state"]],
                )
            )
    return rows


def ranking_lines(words: RankingWords) -> Sequence[str]:
    """Return a ranking as lines for a terminal."""
    lines = [words.basis, words.meaning]
    for title, rows in (("Milestones", words.milestones), ("Secondary actions", words.actions)):
        lines += ["", title]
        for row in rows:
            facts = f"grade {row.grade}; reach {row.reach}; goal {row.with_it} with it, {row.without_it} without, {row.ratio}"
            lines.append(f"  {row.name} ({row.key}): {facts}; first {row.first}, top three {row.top_three}")
            if row.doubts:
                lines.append(f"    doubts: {', '.join(row.doubts)}")
    return lines


def _share(share: Mapping[str, Any]) -> str:
    return numbers.UNKNOWN if share["value"] is None else numbers.share(share["value"])


def _counts(share: Mapping[str, Any]) -> str:
    thin = ", too few to look at" if share["is_thin"] else ""
    return f"{numbers.whole(share['converted'])} of {numbers.whole(share['visitors'])}{thin}"


def _interval(pair: Sequence[float | None] | None) -> str:
    return numbers.UNKNOWN if pair is None else numbers.interval(pair[0], pair[1], numbers.share)


def _adjusted(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return numbers.UNKNOWN
    if "not_computable" in found:
        return "too few"
    return f"{numbers.points(found['risk_difference'])} ({numbers.interval(found['ci'][0], found['ci'][1], numbers.points)})"


def _lifted(value: float | None, pair: Sequence[float | None] | None) -> str:
    if value is None:
        return numbers.UNKNOWN
    return f"{numbers.lift(value)} ({numbers.interval(pair[0], pair[1])})" if pair else numbers.lift(value)


def _times(value: float | None) -> str:
    return "∞" if value is None else f"{value:.1f}×" if value < 100 else f"{value:.0f}×"


def _speed(ratio: float) -> str:
    if ratio >= 1:
        return f"{ratio:.1f} times the goal's visitors"
    return f"1/{1 / ratio:.1f} of the goal's visitors" if ratio > 0 else numbers.UNKNOWN


def _percent(share: float | None) -> str:
    if share is None:
        return numbers.UNKNOWN
    if share < 0.005:
        return numbers.typeset("below 1 %")
    return numbers.typeset("above 99 %" if share > 0.995 and share < 1 else f"{share * 100:.0f} %")


def _hours(hours: float | None) -> str:
    if hours is None:
        return numbers.UNKNOWN
    if hours < 1 / 60:
        return f"{hours * 3600:.0f} seconds"
    if hours < 1:
        return f"{hours * 60:.0f} minutes"
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"
