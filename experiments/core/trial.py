"""The one engine: where does an experiment place a visitor? Assignments and GrowthBook features both ask here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from experiments.core.bucketing import (
    NATIVE_HASH_VERSION,
    SIZES,
    Range,
    bucket,
    compile_hash,
    hash_text,
    variation_table,
)
from experiments.core.layers import Filter, compile_filter
from experiments.core.targeting import Condition


class Reason(StrEnum):
    """Why a visitor got what he got."""

    ASSIGNED = "assigned"
    FORCED = "forced"
    NOT_IN_AUDIENCE = "not_in_audience"
    NOT_IN_TRAFFIC = "not_in_traffic"
    EXCLUDED_BY_LAYER = "excluded_by_layer"
    HELD_OUT = "held_out"
    NOT_RUNNING = "not_running"
    UNKNOWN_EXPERIMENT = "unknown_experiment"
    BOT = "bot"


# A placement is the index of a variant, or one of these negative numbers: no object is made on the hot path.
Placement = int
NOT_IN_TRAFFIC: Final = -1  # what `variation_table` holds for a bucket outside every range
NOT_IN_AUDIENCE: Final = -2
EXCLUDED_BY_LAYER: Final = -3
HELD_OUT: Final = -4

REFUSALS: Mapping[Placement, Reason] = {
    NOT_IN_TRAFFIC: Reason.NOT_IN_TRAFFIC,
    NOT_IN_AUDIENCE: Reason.NOT_IN_AUDIENCE,
    EXCLUDED_BY_LAYER: Reason.EXCLUDED_BY_LAYER,
    HELD_OUT: Reason.HELD_OUT,
}


@dataclass(frozen=True, slots=True)
class Trial:
    """Everything that decides where one experiment places a visitor.

    Units: `ranges` hold one half-open range of buckets per variant.
    """

    seed: str
    ranges: tuple[Range, ...]
    hash_attribute: str = "id"
    hash_version: int = NATIVE_HASH_VERSION
    holdouts: tuple[Filter, ...] = ()
    layers: tuple[Filter, ...] = ()
    condition: Condition | None = None

    def bucket_of(self, attributes: Mapping[str, Any]) -> float | None:
        """Return the visitor's bucket, or None for a visitor without the hashed attribute."""
        value = hash_text(attributes.get(self.hash_attribute))
        return bucket(self.seed, value, self.hash_version) if value else None


def compile_trial(trial: Trial) -> Callable[[Mapping[str, Any]], Placement]:
    """Turn a trial into a function of a visitor's attributes.

    The order (hashed attribute, holdout, layer, audience, traffic) decides only which reason is given when several
    apply; whether the visitor takes part does not depend on it. A visitor without the hashed attribute is not in the
    audience.
    """
    attribute, condition = trial.hash_attribute, trial.condition
    if trial.hash_version not in SIZES:
        return lambda attributes: NOT_IN_TRAFFIC
    number = compile_hash(trial.seed, trial.hash_version)
    table = variation_table(trial.ranges, SIZES[trial.hash_version])
    gates = tuple((compile_filter(f), HELD_OUT) for f in trial.holdouts) + tuple(
        (compile_filter(f), EXCLUDED_BY_LAYER) for f in trial.layers
    )

    def place(attributes: Mapping[str, Any]) -> Placement:
        value = attributes.get(attribute)
        if type(value) is not str:
            value = hash_text(value)
        if not value:
            return NOT_IN_AUDIENCE
        for lets_through, refusal in gates:
            if not lets_through(attributes):
                return refusal
        if condition is not None and not condition(attributes):
            return NOT_IN_AUDIENCE
        return table[number(value)]

    return place
