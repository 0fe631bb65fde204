"""Decision rules tried on finished experiments, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import expm1
from typing import Any

from reports.sections import numbers

RULES = {
    "engine": "The steps, weighed as everybody begins",
    "learned": "The steps, weighed with what your other experiments taught",
    "goal": "The goal alone",
    "composite": "A blend of the steps, learnt from your other experiments",
    "first_micro": "The first step alone",
}


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One rule of the table."""

    name: str
    ships: str
    gain: str
    mistaken: str


@dataclass(frozen=True, slots=True)
class BackTestWords:
    """The back-test of one family of kinds of change."""

    kinds: str
    basis: str
    rows: tuple[RuleRow, ...]
    blend: str


def back_test_words(family: Mapping[str, Any], kinds: str) -> BackTestWords | None:
    """Put a family's back-test into words; None where there is none yet."""
    found = family.get("back_test")
    if found is None:
        return None
    basis = (
        f"{numbers.plural(found['experiments'], 'comparison')}, each cut in two at random: the rule sees one half, the other says what "
        f"shipping was worth. With half the visitors every rule ships less often than in life. In {found['clear']} the goal moved clearly, "
        f"in {found['fell']} of these it fell."
    )
    rows = tuple(
        RuleRow(
            RULES[one["rule"]],
            numbers.typeset(f"{one['ships'] * 100:.0f} %"),
            numbers.typeset(f"{expm1(one['gain']) * 100:+.2f} ± {one['gain_error'] * 100:.2f} %".replace("-", "−")),
            f"{one['mistaken']:.1f} of {found['fell']}",
        )
        for one in found["rules"]
    )
    return BackTestWords(kinds, numbers.typeset(basis), rows, numbers.typeset(_blend(found["composite"])))


def _blend(composite: Mapping[str, Any] | None) -> str:
    if composite is None:
        return (
            "A blend of the steps is tried from thirty experiments on, eight of them with a clear change of the goal."
        )
    if not composite["weights"]:
        return "No step moves with the goal, so no blend of them follows it."
    shares = ", ".join(f"{key} {weight * 100:.0f} %" for key, weight in composite["weights"])
    gap, error = composite["over_engine"] * 100, composite["over_engine_error"] * 100
    text = f"The blend is {shares}. It brought {gap:+.2f} ± {error:.2f} points beside the steps as everybody begins: ".replace(
        "-", "−"
    )
    if composite["does_better"]:
        return (
            text + "more than chance explains. It is shown and decides nothing: nothing bounds how often it ships bait."
        )
    return text + "not shown to be better."
