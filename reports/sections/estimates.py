"""Which numbers of a comparison a person reads first, when there is more than one honest set of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Estimate:
    """A treatment against the control, as it is shown.

    `decided_on_day` is set when a test crossed its bound on that day: then the numbers are corrected for having stopped
    there. `is_sequential` says that the interval holds at every look. None: not known, or an end without a limit.
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

    The p-value is the one that counts every look and test wherever the analysis gives it.
    """
    stopped = comparison.get("stopped")
    source = stopped if isinstance(stopped, Mapping) else comparison
    is_sequential = bool(comparison.get("looks"))
    p_value = source.get("p_value")
    if source is comparison and is_sequential:
        p_value = comparison.get("adjusted_p_value", p_value)
    return Estimate(
        effect=source.get("effect"),
        ci_low=source.get("ci_low"),
        ci_high=source.get("ci_high"),
        lift=source.get("lift"),
        lift_ci_low=source.get("lift_ci_low"),
        lift_ci_high=source.get("lift_ci_high"),
        p_value=p_value,
        decided_on_day=int(source["day"]) if source is not comparison else None,
        is_sequential=is_sequential,
    )
