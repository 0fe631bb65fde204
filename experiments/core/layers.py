"""Mutual exclusion and holdouts: both ask whether a visitor's bucket under another seed lies in certain ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.core.bucketing import GRID, NATIVE_HASH_VERSION, Range, bucket, choose_variation, hash_text


@dataclass(frozen=True, slots=True)
class Filter:
    """Lets a visitor through whose bucket under `seed` lies in one of `ranges`.

    A visitor without the attribute is never let through.
    """

    seed: str
    ranges: tuple[Range, ...]
    attribute: str = "id"
    hash_version: int = NATIVE_HASH_VERSION

    def lets_through(self, attributes: Mapping[str, Any]) -> bool:
        value = hash_text(attributes.get(self.attribute))
        if not value:
            return False
        place = bucket(self.seed, value, self.hash_version)
        return place is not None and choose_variation(place, self.ranges) >= 0


def layer_filter(seed: str, start: int, end: int, attribute: str) -> Filter:
    """Return the filter of an experiment that owns [start, end) of a layer, in 1/10,000."""
    return Filter(seed=seed, ranges=((start / GRID, end / GRID),), attribute=attribute)


def holdout_filter(seed: str, share: int, attribute: str) -> Filter:
    """Return the filter that keeps out the first `share` (in 1/10,000) of all buckets of a holdout."""
    return Filter(seed=seed, ranges=((share / GRID, 1.0),), attribute=attribute)


def namespace_filter(name: str, start: float, end: float, attribute: str) -> Filter:
    """Return GrowthBook's older form of a layer, hash version 1. Only read, never published."""
    return Filter(seed=f"__{name}", ranges=((start, end),), attribute=attribute, hash_version=1)


def in_namespace(value: str, name: str, start: float, end: float) -> bool:
    """Say whether `value` lies in [start, end) of the namespace `name`."""
    return namespace_filter(name, start, end, "id").lets_through({"id": value})
