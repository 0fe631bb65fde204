"""What an interval says about one metric, in a word and a mark, so that colour is never alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from experiments.core.metrics import Direction, Role
from experiments.core.plan import PlannedMetric


@dataclass(frozen=True, slots=True)
class Outcome:
    """`tone` is better, worse or open; `mark` names the point drawn on the interval."""

    word: str
    tone: str
    mark: str


BETTER = Outcome("Better", "better", "up")
WORSE = Outcome("Worse", "worse", "down")
OPEN = Outcome("Not clear", "open", "ring")
SMALL_DROP = Outcome("Within margin, small drop", "worse", "down")
NOT_TRUSTED = Outcome("Not to be trusted", "open", "ring")
UNLIKELY = Outcome("Unlikely to win", "open", "ring")
# An exploratory metric claims nothing: what stands out there is a hint for the next experiment.
HINT_BETTER = Outcome("Hint: better", "open", "up")
HINT_WORSE = Outcome("Hint: worse", "open", "down")
# What may be claimed of a success metric, all looks and tests taken into account.
CLAIMS: dict[str, Outcome] = {"better": BETTER, "worse": WORSE, "open": OPEN}
# The four outcomes of a guardrail, as the analysis names them.
GUARDRAIL: dict[str, Outcome] = {
    "safe": Outcome("Safe", "better", "up"),
    "harm": Outcome("Harm", "worse", "down"),
    "inconclusive": Outcome("Not shown safe", "open", "ring"),
    "cannot_be_powered": Outcome("Cannot be shown here", "open", "ring"),
}


def outcome_of(comparison: Mapping[str, Any], planned: PlannedMetric | None) -> Outcome:
    """Return the guardrail's outcome or the claim where there is one, else which side of zero the interval lies on."""
    guardrail = comparison.get("guardrail")
    if isinstance(guardrail, Mapping) and str(guardrail.get("outcome")) in GUARDRAIL:
        if guardrail.get("is_small_drop_likely"):
            return SMALL_DROP
        found = GUARDRAIL[str(guardrail["outcome"])]
        day = (guardrail.get("worsening") or {}).get("day")
        return found if day is None or found.tone != "worse" else replace(found, word=f"{found.word} (day {day})")
    if planned is not None and planned.role is Role.EXPLORATORY:
        return _hint(comparison, planned)
    claim = comparison.get("claim")
    if claim in CLAIMS:
        return UNLIKELY if claim == "open" and comparison.get("is_unlikely_to_win") else CLAIMS[claim]
    side = _side_of_zero(comparison, planned)
    return OPEN if side == 0 else BETTER if side > 0 else WORSE


def _hint(comparison: Mapping[str, Any], planned: PlannedMetric) -> Outcome:
    """A hint stands out among all exploratory comparisons and has an interval, at the level of those picked, clear of zero."""
    side = _side_of_zero(comparison, planned)
    if side == 0 or not (comparison.get("discovery") or {}).get("is_selected"):
        return OPEN
    return HINT_BETTER if side > 0 else HINT_WORSE


def _side_of_zero(comparison: Mapping[str, Any], planned: PlannedMetric | None) -> int:
    """Return 1 where the whole interval is an improvement, -1 where all of it is a loss, else 0."""
    low, high = comparison.get("ci_low"), comparison.get("ci_high")
    sign = 1 if planned is None or planned.metric.direction is Direction.INCREASE else -1
    if low is not None and low > 0:
        return sign
    if high is not None and high < 0:
        return -sign
    return 0
