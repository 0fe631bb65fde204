"""Counts in, evidence out, as plain JSON values: the door through which anybody can check the proxy engine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from reports.core.proxy.classes import VariantClass
from reports.core.proxy.funnel import FunnelCounts
from reports.core.proxy.verdict import PRESETS, ProxyState, ProxyVerdict, default_prior, evaluate, preset_named

CONTROL = "control"
KNOWN = ("visitors", "reached", "preset", "target_step", "classes")


class CaseFault(ValueError):
    """A case that cannot be evaluated: what is wrong, with the value, and what to do."""

    def __init__(self, code: str, message: str, advice: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.advice = advice


def evaluate_case(case: Any) -> dict[str, Any]:
    """Return a case with what the engine makes of it.

    `{"visitors": {"control": n, "treatment": n}, "reached": {"control": [...], "treatment": [...]}, "preset"?, "target_step"?,
    "classes"?}`; `reached` counts the visitors who got as far as each step, the macro conversion last; `target_step` counts
    from 1; `classes` is 4 (the default here) or 5 (with "filter", as the product reckons). The counts are taken as one look
    that nothing else speaks against.

    Raises: CaseFault.
    """
    if not isinstance(case, Mapping):
        raise CaseFault("case_not_an_object", f"A case is an object, not {case!r}.", "Give visitors and reached.")
    visitors, reached = _counts(case)
    control, treatment = (_funnel(visitors, reached, variant) for variant in (CONTROL, _treatment(visitors)))
    if len(control.steps) != len(treatment.steps):
        raise CaseFault(
            "steps_differ",
            f"The control has {len(control.steps)} steps and the treatment {len(treatment.steps)}.",
            "Give both variants one count per step.",
        )
    classes, target = _classes(case), _target_step(case, len(control.steps))
    try:
        preset = preset_named(case.get("preset", "balanced"))
    except (LookupError, TypeError) as error:
        raise CaseFault("unknown_preset", str(error), f"Use one of {', '.join(PRESETS)}.") from error
    found = evaluate(treatment, control, default_prior(classes=classes, target_step=target), preset)
    given = {name: case[name] for name in KNOWN if name in case}
    return given | to_document(found)


def to_document(found: ProxyVerdict) -> dict[str, Any]:
    """Return a verdict of the engine as plain JSON values."""
    null = found.log_marginal[VariantClass.NULL]
    ships = {ProxyState.SHIP_PROXY: "proxy", ProxyState.SHIP_MACRO: "macro"}
    return {
        "theta": [float(x) for x in found.effects.effect[0]],
        "variance": [float(x) for x in found.effects.variance[0]],
        "log_marginal_relative_to_null": {c.value: x - null for c, x in found.log_marginal.items()},
        "posterior": {c.value: x for c, x in found.posterior.items()},
        "z_macro": found.z_macro,
        "z_noninferiority_10pct": found.z_margin,
        "state": "ship" if found.state in ships else found.state.value,
        "path": ships.get(found.state),
        "notes": [note.value for note in found.notes],
        "risk": found.risk,
        "evidence": {c.value: math.exp(min(x, 700.0)) for c, x in found.log_evidence.items()},
        "legs": [
            {"name": leg.name, "reached": leg.reached, "needed": leg.needed, "holds": leg.holds} for leg in found.legs
        ],
        "macro": {
            "expected": found.macro,
            "interval_80": [found.macro_80.low, found.macro_80.high],
            "interval_95": [found.macro_95.low, found.macro_95.high],
            "alone": found.macro_alone,
            "alone_interval_95": [found.macro_alone_95.low, found.macro_alone_95.high],
            "chance_of_loss": found.chance_of_loss,
        },
        "tipping_bait_share": found.tipping_bait_share,
    }


def _counts(case: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    unknown = sorted(set(case) - set(KNOWN) - _ANSWERS)
    if unknown:
        raise CaseFault("unknown_field", f"A case has no field {unknown[0]!r}.", f"Known are {', '.join(KNOWN)}.")
    for name in ("visitors", "reached"):
        if not isinstance(case.get(name), Mapping):
            raise CaseFault(
                f"{name}_missing",
                f"'{name}' is {case.get(name)!r}; it must be an object with an entry per variant.",
                f'For example "{name}": {{"control": ..., "treatment": ...}}.',
            )
    visitors, reached = case["visitors"], case["reached"]
    if set(visitors) != set(reached) or len(visitors) != 2 or CONTROL not in visitors:
        raise CaseFault(
            "variants_differ",
            f"'visitors' names {sorted(visitors)}, 'reached' {sorted(reached)}.",
            "Both name the same two variants, one of them 'control'.",
        )
    return visitors, reached


# What a case may hold because it was printed by us, or belongs to a set of expected answers.
_ANSWERS = {
    "theta",
    "variance",
    "log_marginal_relative_to_null",
    "posterior",
    "z_macro",
    "z_noninferiority_10pct",
    "state",
    "path",
    "notes",
    "risk",
    "evidence",
    "legs",
    "macro",
    "tipping_bait_share",
    "id",
    "name",
    "note",
}


def _treatment(visitors: Mapping[str, Any]) -> str:
    return next(variant for variant in visitors if variant != CONTROL)


def _funnel(visitors: Mapping[str, Any], reached: Mapping[str, Any], variant: str) -> FunnelCounts:
    steps = reached[variant]
    counts = [visitors[variant], *steps] if isinstance(steps, list) and steps else []
    if not counts or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in counts):
        raise CaseFault(
            "not_counts",
            f"'{variant}' has {visitors[variant]!r} visitors and reached {steps!r}.",
            "Give whole numbers not below 0, at least one step.",
        )
    try:
        return FunnelCounts.nested(counts[0], counts[1:])
    except ValueError as error:
        raise CaseFault(
            "not_nested", f"'{variant}': {error}", "Count at each step only visitors who made the step before."
        ) from error


def _classes(case: Mapping[str, Any]) -> int:
    classes = case.get("classes", 4)
    if isinstance(classes, bool) or classes not in (4, 5):
        raise CaseFault("unknown_classes", f"'classes' is {classes!r}.", "Use 4, or 5 to reckon with 'filter' as well.")
    return int(classes)


def _target_step(case: Mapping[str, Any], steps: int) -> int | None:
    target = case.get("target_step")
    if target is None:
        return None
    if isinstance(target, bool) or not isinstance(target, int) or not 1 <= target <= steps:
        raise CaseFault("unknown_step", f"'target_step' is {target!r}.", f"Steps are counted from 1 to {steps}.")
    return target
