"""What a site has learnt from its finished experiments, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reports.sections import numbers
from reports.sections.backtest_words import back_test_words

GRADES = {
    "A": "well known: 30 experiments or more",
    "B": "known: what was learnt is used",
    "C": "a beginning: shown, not yet used",
    "D": "by its place on the way alone",
    "E": "an association alone: it may be ranked, and never decides",
}


def kinds_text(kinds: list[str]) -> str:
    """Name kinds of change."""
    return ", ".join(kind or "not said" for kind in kinds)


def evidence_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Write each family of kinds of change as lines for a terminal."""
    for family in document["families"]:
        yield f"{kinds_text(family['kinds'])}: grade {family['grade']}, {GRADES[family['grade']]}"
        if not family["comparisons"]:
            continue
        low, high = family["bait_80"]
        yield (
            f"  worth {family['experiments']:.1f} fresh experiments; bait {family['shares']['bait']:.0%} of ideas (about {low:.0%} to "
            f"{high:.0%}), a step's gain arrives to {family['pass_through']:.0%}"
        )
        for step in family["steps"]:
            yield f"  {step_text(step)}"
        tried = back_test_words(family, kinds_text(family["kinds"]))
        if tried is not None:
            yield f"  rules tried on {tried.basis}"
            for row in tried.rows:
                yield f"    {row.name}: ships {row.ships}, the goal gains {row.gain} an experiment, losses shipped {row.mistaken}"
            yield f"    {tried.blend}"


def step_text(step: Mapping[str, Any]) -> str:
    """Say what is known of one step."""
    agreement, card = step["sign_agreement"], step["card"]
    text = f"{step['key']}: in {numbers.plural(step['experiments'], 'comparison')}"
    if agreement is not None:
        low, high = agreement["ci"]
        text += f", the goal goes its way in {agreement['value']:.0%} ({low:.0%} to {high:.0%})"
    if card is None:
        return text
    if card["is_too_weak"]:
        return f"{text}; effects too weak to learn from"
    text += f"; correlation with the goal {card['correlation']:.2f}, of a gain {card['slope']:.0%} arrives (naively {card['naive_slope']:.0%})"
    return f"{text}; of {card['macro_significant']} clear at the goal it saw {card['detected']} and mistook {card['mistaken']}"
