"""Ways to decide and the certificate, as pages and the terminal write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.sections import numbers

TRUTHS = {
    "gain": "The gain is real",
    "nothing": "It changes nothing",
    "curiosity": "Curiosity: the step gains as much, the goal stays",
    "bait": "Bait: the step gains as much, the goal loses 5 %",
    "harm": "Harm: the goal loses 10 %",
}
WAYS = {
    "macro_once": "{name} alone, one look at the end",
    "macro_looks": "{name} alone, with looks on the way",
    "together": "{name} and the goal together",
    "micro": "{name} alone",
}


@dataclass(frozen=True, slots=True)
class WayRow:
    """One way to decide. A row that `answers` something else is shown struck through."""

    name: str
    answers: bool
    visitors: str
    weeks: str
    power: str
    detectable: str
    note: str


@dataclass(frozen=True, slots=True)
class TruthRow:
    """What was simulated under one truth, and what the goal alone would have done."""

    name: str
    is_gain: bool
    ships: str
    stops: str
    undecided: str
    weeks: str
    weeks_note: str
    alone: str


@dataclass(frozen=True, slots=True)
class CertificateWords:
    """A simulated certificate. `sentence` says what counts; `is_hopeless` that the test is not worth its traffic."""

    sentence: str
    is_hopeless: bool
    rows: tuple[TruthRow, ...]
    note: str


def way_rows(options: Sequence[Mapping[str, Any]]) -> tuple[WayRow, ...]:
    """Return the ways to decide as lines of a table."""
    return tuple(_way(one) for one in options)


def _way(one: Mapping[str, Any]) -> WayRow:
    lift = one["detectable_lift"]
    note = ""
    if not one["answers_the_question"]:
        note = "answers a different question"
    elif one["way"] == "macro_once" and one["sign_error"] is not None and one["exaggeration"] is not None:
        note = (
            f"if the gain is half of what it finds, a significant result is {one['exaggeration']:.1f} times too large on average and "
            f"has the wrong sign in {numbers.share(one['sign_error'])} of cases"
        )
    return WayRow(
        name=WAYS[one["way"]].format(name=one["name"]),
        answers=one["answers_the_question"],
        visitors=numbers.whole(one["visitors"]),
        weeks=_weeks(one["weeks"]),
        power=numbers.typeset("above 99 %" if one["power"] > 0.99 else f"{one['power'] * 100:.0f} %"),
        detectable=numbers.lift(lift) if lift is not None else "none",
        note=numbers.typeset(note),
    )


def certificate_words(inputs: Mapping[str, Any], result: Mapping[str, Any]) -> CertificateWords:
    """Put a simulated certificate into words."""
    rows = tuple(_truth(one) for one in result["truths"])
    found = {one["truth"]: one for one in result["truths"]}
    gain, nothing = found["gain"], found["nothing"]
    sentence = (
        f"If the goal really gains {numbers.lift(inputs['gain'])}, this experiment ships it in {_percent(gain['ship'])} of cases, "
        f"after {_weeks(gain['weeks']['mean'])} on average; an idea that changes nothing is shipped in {_percent(nothing['ship'])}."
    )
    if "curiosity" in found:
        lured = _percent(found["curiosity"]["ship"])
        sentence += f" A lure that gains as much at its step and nothing at the goal is shipped in {lured}."
    if result["is_hopeless"]:
        sentence += (
            " Do not run this as an A/B test: test something bolder, higher in the funnel, or on more pages at once."
        )
    error = 200 * max(one["ship_error"] for one in result["truths"])
    note = (
        f"{numbers.whole(result['replicates'])} experiments a line, simulated with this site's own rates and traffic through the "
        f"rule that will decide. Chance moves a share by up to {error:.0f} points either way."
    )
    if inputs.get("learned"):
        note += f" It reckons with what your finished experiments taught (grade {inputs['learned']['grade']})."
    if any(one["ship"] == 0 for one in result["truths"]):
        # The rule of three: Hanley & Lippman-Hand (1983), JAMA 249:1743-1745.
        note += f" 0 % is none of them, so below {300 / result['replicates']:.1f} % with 95 % confidence."
    return CertificateWords(numbers.typeset(sentence), bool(result["is_hopeless"]), rows, numbers.typeset(note))


def _truth(one: Mapping[str, Any]) -> TruthRow:
    states = one["states"]
    stopped = sum(states.get(state, 0.0) for state in ("conflict", "stop_harm", "stop_no_gain"))
    weeks = one["weeks"]
    return TruthRow(
        name=numbers.typeset(TRUTHS[one["truth"]]),
        is_gain=one["truth"] == "gain",
        ships=_percent(one["ship"]),
        stops=_percent(stopped),
        undecided=_percent(states.get("inconclusive_at_cap", 0.0)),
        weeks=_weeks(weeks["mean"]),
        weeks_note=f"half by {_weeks(weeks['median'])}, nine of ten by {_weeks(weeks['p90'])}",
        alone=f"{_percent(one['macro_alone']['ship'])}, {_weeks(one['macro_alone']['weeks'])}",
    )


def _percent(share: float) -> str:
    percent = share * 100
    if 0 < percent < 1:
        return numbers.typeset(f"{percent:.1f} %")
    return numbers.typeset(f"{percent:.0f} %")


def _weeks(weeks: float) -> str:
    if weeks > 260:
        return "over 5 years"
    return f"{weeks:.1f}{numbers.NO_BREAK}weeks" if weeks < 10 else f"{weeks:.0f}{numbers.NO_BREAK}weeks"


def forecast_lines(options: Sequence[Mapping[str, Any]], certificate: Mapping[str, Any] | None) -> Sequence[str]:
    """Return ways and certificate as lines for a terminal."""
    lines = ["", "Ways to decide"]
    for row in way_rows(options):
        lines.append(
            f"  {row.name}: {row.visitors} visitors, {row.weeks}; at the end power {row.power}, finds {row.detectable}"
        )
        if row.note:
            lines.append(f"    {row.note}")
    if certificate is not None and certificate["result"] is not None:
        words = certificate_words(certificate["inputs"], certificate["result"])
        lines += ["", "Simulated", f"  {words.sentence}"]
        lines += [
            f"  {row.name}: ships {row.ships}, stops {row.stops}, undecided {row.undecided}, {row.weeks} ({row.weeks_note}); "
            f"the goal alone ships {row.alone}"
            for row in words.rows
        ]
        lines.append(f"  {words.note}")
    return lines
