"""The ruleset: the numbered, immutable rules of a site that assignments are made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from experiments.core.bucketing import GRID
from experiments.core.flags import Flag, flag_document, flag_of
from experiments.core.lifecycle import Status

RULESET_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class RuleVariant:
    """One version of what is tested.

    Units: `weight` in 1/10,000 of the participants. `forced_visitors` always get it and are never counted.
    """

    key: str
    weight: int
    is_control: bool = False
    payload: Any = field(default_factory=dict)
    forced_visitors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= GRID:
            raise ValueError(f"Variant '{self.key}' has weight {self.weight}; it must lie between 0 and {GRID}.")


@dataclass(frozen=True, slots=True)
class LayerSlot:
    """The part [start, end) of a layer that an experiment owns, in 1/10,000."""

    key: str
    seed: str
    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end <= GRID:
            raise ValueError(f"The slot of layer '{self.key}' is [{self.start}, {self.end}); it must lie in 0..{GRID}.")


@dataclass(frozen=True, slots=True)
class HoldoutShare:
    """The share of visitors, in 1/10,000, that a holdout keeps out of an experiment."""

    key: str
    seed: str
    share: int

    def __post_init__(self) -> None:
        if not 0 < self.share < GRID:
            raise ValueError(f"Holdout '{self.key}' has share {self.share}; it must lie between 0 and {GRID}.")


@dataclass(frozen=True, slots=True)
class ExperimentRule:
    """Everything that decides which variant of one experiment a visitor gets.

    `shipped` is the variant that everybody in the audience gets of a stopped experiment, "" where they get the control.

    Units: `traffic` in 1/10,000 of the audience. `seed` is the salt, frozen when the experiment starts.
    A draft may be incomplete, since it is never assigned, only shown to forced visitors and previews.
    """

    key: str
    status: Status
    seed: str
    variants: tuple[RuleVariant, ...]
    traffic: int = GRID
    audience: Mapping[str, Any] = field(default_factory=dict)
    hash_attribute: str = "id"
    layer: LayerSlot | None = None
    holdout: HoldoutShare | None = None
    shipped: str = ""

    def __post_init__(self) -> None:
        if self.shipped and (self.status is not Status.STOPPED or self.shipped not in {v.key for v in self.variants}):
            raise ValueError(f"Experiment '{self.key}' is {self.status} and cannot ship '{self.shipped}'.")
        if not self.variants:
            raise ValueError(f"Experiment '{self.key}' has no variants.")
        keys = [variant.key for variant in self.variants]
        if len(set(keys)) != len(keys):
            raise ValueError(f"Experiment '{self.key}' names a variant twice: {', '.join(keys)}.")
        if not 0 <= self.traffic <= GRID:
            raise ValueError(f"Experiment '{self.key}' has traffic {self.traffic}; it must lie between 0 and {GRID}.")
        if self.status is Status.DRAFT:
            return
        if not self.seed:
            raise ValueError(f"Experiment '{self.key}' is {self.status} and has no seed.")
        controls = [variant.key for variant in self.variants if variant.is_control]
        if len(controls) != 1:
            raise ValueError(f"Experiment '{self.key}' needs exactly one control, not {len(controls)}.")
        total = sum(variant.weight for variant in self.variants)
        if total != GRID:
            raise ValueError(f"The weights of experiment '{self.key}' add up to {total}, not {GRID}.")

    @property
    def is_client_safe(self) -> bool:
        """Whether a public client may see this rule; a draft is nobody's business yet."""
        return self.status is not Status.DRAFT

    @property
    def control_index(self) -> int:
        """The index of the control; of a draft that has none, the first variant."""
        return next((i for i, variant in enumerate(self.variants) if variant.is_control), 0)

    @property
    def shipped_variant(self) -> RuleVariant | None:
        return next((variant for variant in self.variants if variant.key == self.shipped), None)

    @property
    def weights(self) -> tuple[float, ...]:
        """The variants' shares of the participants, adding up to 1."""
        return tuple(variant.weight / GRID for variant in self.variants)


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All rules of one site under one version number."""

    site: str
    version: int
    experiments: tuple[ExperimentRule, ...] = ()
    saved_groups: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()

    def __post_init__(self) -> None:
        keys = [*(rule.key for rule in self.experiments), *(flag.key for flag in self.flags)]
        if len(set(keys)) != len(keys):
            raise ValueError(f"The ruleset of site '{self.site}' names an experiment or flag twice.")

    def to_document(self) -> dict[str, Any]:
        """Return the ruleset as plain JSON values; `from_document` is its inverse.

        `client_safe` marks the rules that may be shown to a public client.
        """
        return {
            "schema": RULESET_SCHEMA,
            "site": self.site,
            "version": self.version,
            "experiments": [_rule_document(rule) for rule in self.experiments],
            "flags": [flag_document(flag) for flag in self.flags],
            "saved_groups": {key: list(members) for key, members in self.saved_groups.items()},
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Rebuild a ruleset from `to_document`'s output.

        Raises: ValueError when the document has another schema or holds values that no ruleset may have.
        """
        if document.get("schema") != RULESET_SCHEMA:
            raise ValueError(
                f"This ruleset has schema {document.get('schema')!r}; this version reads schema {RULESET_SCHEMA}."
            )
        return cls(
            site=document["site"],
            version=document["version"],
            experiments=tuple(_rule_of(values) for values in document["experiments"]),
            flags=tuple(flag_of(values) for values in document["flags"]),
            saved_groups={key: tuple(members) for key, members in document["saved_groups"].items()},
        )

    def content_hash(self) -> str:
        """Return the sha256, in hex, of everything but the version: equal content needs no new version."""
        document = self.to_document()
        del document["version"]
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _rule_document(rule: ExperimentRule) -> dict[str, Any]:
    return {
        "key": rule.key,
        "status": rule.status.value,
        "client_safe": rule.is_client_safe,
        "seed": rule.seed,
        "hash_attribute": rule.hash_attribute,
        "traffic": rule.traffic,
        "audience": dict(rule.audience),
        "variants": [{**asdict(v), "forced_visitors": list(v.forced_visitors)} for v in rule.variants],
        "layer": asdict(rule.layer) if rule.layer else None,
        "holdout": asdict(rule.holdout) if rule.holdout else None,
        "shipped": rule.shipped,
    }


def _rule_of(values: Mapping[str, Any]) -> ExperimentRule:
    return ExperimentRule(
        key=values["key"],
        status=Status(values["status"]),
        seed=values["seed"],
        variants=tuple(
            RuleVariant(**{**v, "forced_visitors": tuple(v.get("forced_visitors", ()))}) for v in values["variants"]
        ),
        traffic=values["traffic"],
        audience=values["audience"],
        hash_attribute=values["hash_attribute"],
        layer=LayerSlot(**values["layer"]) if values["layer"] else None,
        holdout=HoldoutShare(**values["holdout"]) if values["holdout"] else None,
        shipped=values["shipped"],
    )
