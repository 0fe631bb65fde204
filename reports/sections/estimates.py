"""Which numbers of a comparison a person reads first, when there is more than one honest set of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Estimate:
    """A treatment against the control, as it is shown.

    `decided_on_day` is set when a test crossed its bound on that day: then the numbers are corrected for having stopped
    there. `is_sequential` says that interval and
    p-value hold at every look; they always belong together. None: not known, or an end without a limit.
    """

    effect: float | None
    ci_low: float | None
    ci_high: float | None
    lift: float | None
    lift_ci_low: float | None
    lift_ci_high: float | None
    p_value: float | None
    decided_on_day: int | None = None
    is_sequential: bool = False


def estimate_of(comparison: Mapping[str, Any]) -> Estimate:
    """Return the corrected numbers of a test that has stopped, else those of the latest look.

    A guardrail shows the latest look even where an earlier one showed the harm: all data speak, and the outcome names
    the day.
    """
    source = comparison.get("stopped") or comparison
    return Estimate(
        effect=source.get("effect"),
        ci_low=source.get("ci_low"),
        ci_high=source.get("ci_high"),
        lift=source.get("lift"),
        lift_ci_low=source.get("lift_ci_low"),
        lift_ci_high=source.get("lift_ci_high"),
        p_value=source.get("p_value"),
        decided_on_day=int(source["day"]) if source is not comparison else None,
        is_sequential=bool(comparison.get("looks")),
    )
