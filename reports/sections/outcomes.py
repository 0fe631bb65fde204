"""What an interval says about one metric, in a word and a mark, so that colour is never alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.core.metrics import Direction
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
        return GUARDRAIL[str(guardrail["outcome"])]
    claim = comparison.get("claim")
    if claim in CLAIMS:
        return UNLIKELY if claim == "open" and comparison.get("is_unlikely_to_win") else CLAIMS[claim]
    low, high = comparison.get("ci_low"), comparison.get("ci_high")
    wants_more = planned is None or planned.metric.direction is Direction.INCREASE
    if low is not None and low > 0:
        return BETTER if wants_more else WORSE
    if high is not None and high < 0:
        return WORSE if wants_more else BETTER
    return OPEN
