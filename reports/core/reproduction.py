"""Computing a bundle again, and saying exactly where the answer differs from the stored one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.core.bundle import Bundle

RELATIVE = 1e-9
# Below this a difference is rounding: an effect of exactly nothing may come out as 1e-17.
ABSOLUTE = 1e-12

ABSENT = "(absent)"


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two documents differ; `path` reads like `metrics[0].comparisons[1].p_value`."""

    path: str
    stored: Any
    recomputed: Any


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of computing a bundle again. `compared` counts the values that were held against each other."""

    compared: int
    differences: tuple[Difference, ...]
    is_intact: bool

    @property
    def agrees(self) -> bool:
        return self.is_intact and not self.differences


def reproduce(bundle: Bundle) -> Reproduction:
    """Compute the bundle's answer from its inputs and compare it with the stored one to a relative 1e-9.

    Raises: KeyError, ValueError or LookupError when the inputs do not fit the plan, as `analyse` does.
    """
    recomputed = bundle.inputs.answer()
    stored = dict(bundle.stored)
    if "inputs_hash" not in stored:
        recomputed.pop("inputs_hash")  # a run of before fingerprints existed has none to compare
    return Reproduction(
        compared=sum(1 for _ in _leaves(stored)),
        differences=tuple(differences(stored, recomputed)),
        is_intact=bundle.is_intact,
    )


def differences(stored: Any, recomputed: Any, path: str = "") -> Iterator[Difference]:
    """Yield every place where the two differ: numbers by more than rounding, everything else at all."""
    if isinstance(stored, Mapping) and isinstance(recomputed, Mapping):
        for key in [*stored, *(k for k in recomputed if k not in stored)]:
            here = f"{path}.{key}" if path else str(key)
            yield from differences(stored.get(key, ABSENT), recomputed.get(key, ABSENT), here)
    elif _is_list(stored) and _is_list(recomputed):
        for index in range(max(len(stored), len(recomputed))):
            one = stored[index] if index < len(stored) else ABSENT
            other = recomputed[index] if index < len(recomputed) else ABSENT
            yield from differences(one, other, f"{path}[{index}]")
    elif not _is_same(stored, recomputed):
        yield Difference(path, stored, recomputed)


def _is_same(stored: Any, recomputed: Any) -> bool:
    if _is_number(stored) and _is_number(recomputed):
        if isinstance(stored, int) and isinstance(recomputed, int):
            return stored == recomputed
        return bool(abs(stored - recomputed) <= max(RELATIVE * max(abs(stored), abs(recomputed)), ABSOLUTE))
    return type(stored) is type(recomputed) and bool(stored == recomputed)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for entry in value.values():
            yield from _leaves(entry)
    elif _is_list(value):
        for entry in value:
            yield from _leaves(entry)
    else:
        yield value
