"""Mutual exclusion and holdouts: both ask whether a visitor's bucket under another seed lies in certain ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.core.bucketing import (
    GRID,
    NATIVE_HASH_VERSION,
    SIZES,
    Range,
    compile_hash,
    hash_text,
    variation_table,
)


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
        return compile_filter(self)(attributes)


def compile_filter(filter_: Filter) -> Callable[[Mapping[str, Any]], bool]:
    """Turn a filter into a function of a visitor's attributes that says whether it lets him through."""
    if filter_.hash_version not in SIZES:
        return lambda attributes: False
    attribute = filter_.attribute
    number = compile_hash(filter_.seed, filter_.hash_version)
    table = variation_table(filter_.ranges, SIZES[filter_.hash_version])

    def lets_through(attributes: Mapping[str, Any]) -> bool:
        value = attributes.get(attribute)
        if type(value) is not str:
            value = hash_text(value)
        return bool(value) and table[number(value)] >= 0

    return lets_through


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
