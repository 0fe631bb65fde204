"""Feature flags: plain values that are switched for some visitors, without an experiment and without anything to count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from experiments.core.bucketing import GRID


class FlagKind(StrEnum):
    """The type that a flag's value always has. Clients that are typed refuse any other."""

    BOOLEAN = "boolean"
    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    OBJECT = "object"


def value_of_kind(kind: FlagKind, value: Any) -> Any:
    """Return a value as this kind writes it: a whole number given for a float becomes one with a point.

    Raises: ValueError, with an example, for a value that is none of this kind.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is FlagKind.BOOLEAN and isinstance(value, bool):
        return value
    if kind is FlagKind.STRING and isinstance(value, str):
        return value
    if kind is FlagKind.INTEGER and is_number and float(value).is_integer():
        return int(value)
    if kind is FlagKind.FLOAT and is_number:
        return float(value)
    if kind is FlagKind.OBJECT and isinstance(value, dict):
        return value
    raise ValueError(f"{value!r} is no value of kind {kind.value}; {EXAMPLES[kind]} would be one.")


EXAMPLES: Mapping[FlagKind, str] = {
    FlagKind.BOOLEAN: "true",
    FlagKind.STRING: "blue",
    FlagKind.INTEGER: "20",
    FlagKind.FLOAT: "1.5",
    FlagKind.OBJECT: '{"columns": 2}',
}


@dataclass(frozen=True, slots=True)
class FlagRule:
    """A value for the visitors of an audience, or for a share of them. Units: `share` in 1/10,000 of the audience."""

    value: Any
    audience: Mapping[str, Any] = field(default_factory=dict)
    share: int = GRID

    def __post_init__(self) -> None:
        if not 0 <= self.share <= GRID:
            raise ValueError(f"A rule has share {self.share}; it must lie between 0 and {GRID}.")


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag: the value of its first rule that applies, else its own. `seed` decides who belongs to a share; it never changes."""

    key: str
    kind: FlagKind
    value: Any
    seed: str
    rules: tuple[FlagRule, ...] = ()

    def __post_init__(self) -> None:
        for value in (self.value, *(rule.value for rule in self.rules)):
            value_of_kind(self.kind, value)


def flag_document(flag: Flag) -> dict[str, Any]:
    """Return a flag as plain JSON values; `flag_of` is its inverse."""
    return {
        "key": flag.key,
        "kind": flag.kind.value,
        "value": flag.value,
        "seed": flag.seed,
        "rules": [{"value": r.value, "audience": dict(r.audience), "share": r.share} for r in flag.rules],
    }


def flag_of(document: Mapping[str, Any]) -> Flag:
    """Rebuild a flag. Raises: ValueError for values that no flag may have."""
    kind = FlagKind(document["kind"])
    return Flag(
        key=document["key"],
        kind=kind,
        # JSON knows one kind of number, so 1.0 may come back as 1.
        value=value_of_kind(kind, document["value"]),
        seed=document["seed"],
        rules=tuple(
            FlagRule(value_of_kind(kind, rule["value"]), rule["audience"], rule["share"]) for rule in document["rules"]
        ),
    )
