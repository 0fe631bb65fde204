"""What an earlier run of the same idea measured, so that a re-test goes on from there and never starts from zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from reports.core.proxy.funnel import StepEffects

Numbers = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """The step effects of an earlier experiment, by treatment: log-lifts and their variances, in the order of `steps`.

    What that run itself had pooled is in them.
    """

    experiment: str
    visitors: int
    steps: tuple[str, ...]
    effects: Mapping[str, tuple[Numbers, Numbers]]

    def of(self, variant: str, steps: Sequence[str]) -> StepEffects | None:
        """Return the effects of a treatment; None where it was not in that run, or its funnel was another."""
        if tuple(steps) != self.steps or variant not in self.effects:
            return None
        effect, variance = self.effects[variant]
        return StepEffects(np.array([effect]), np.array([variance]))

    def to_document(self) -> dict[str, Any]:
        return {
            "experiment": self.experiment,
            "visitors": self.visitors,
            "steps": list(self.steps),
            "effects": {variant: [list(part) for part in pair] for variant, pair in self.effects.items()},
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Rebuild it. Raises: KeyError or ValueError for a document that is none."""
        steps = tuple(str(step) for step in document["steps"])
        effects = {}
        for variant, (effect, variance) in document["effects"].items():
            pair = tuple(float(x) for x in effect), tuple(float(x) for x in variance)
            if len(pair[0]) != len(steps) or len(pair[1]) != len(steps) or min(pair[1]) <= 0:
                raise ValueError(f"The earlier effects of '{variant}' do not fit {len(steps)} steps.")
            effects[str(variant)] = pair
        return cls(str(document["experiment"]), int(document["visitors"]), steps, effects)


def earlier_in(document: Mapping[str, Any]) -> EarlierRun | None:
    """Return what the answer of a finished experiment measured; None without a funnel, or with an invalid verdict."""
    proxy = document.get("proxy")
    if not proxy or not proxy["treatments"] or document["verdict"]["state"] == "invalid":
        return None
    steps = tuple(str(step["key"]) for step in proxy["treatments"][0]["step_effects"])
    return EarlierRun(
        experiment=str(document["experiment"]),
        visitors=sum(int(v["visitors"]) for v in document["variants"]),
        steps=steps,
        effects={
            str(t["variant"]): (
                tuple(float(s["log_lift"]) for s in t["step_effects"]),
                tuple(float(s["variance"]) for s in t["step_effects"]),
            )
            for t in proxy["treatments"]
        },
    )
