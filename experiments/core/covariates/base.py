"""What was known of a visitor before the first exposure and may explain why some do more than others, whatever they see."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.core.metrics import Column

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LOOKBACK_DAYS = 28
LOOKBACK_HOURS = LOOKBACK_DAYS * 24.0

_DAYS = re.compile(r"(.*\S) \(([0-9]{1,3}) days?\)")


@dataclass(frozen=True, slots=True)
class Covariate:
    """One thing known beforehand; `name` is the event or the trait that it is about, empty where there is none.

    Units: `days` before the first exposure in which its event counts.
    """

    kind: str
    name: str = ""
    days: int = LOOKBACK_DAYS

    @property
    def text(self) -> str:
        """The covariate as people write it: `returning`, `activity view_item`, `activity view_item (7 days)`."""
        days = f"({self.days} days)" if self.days != LOOKBACK_DAYS else ""
        return " ".join(part for part in (self.kind, self.name, days) if part)

    @classmethod
    def from_text(cls, text: str) -> Covariate:
        kind, _, name = text.strip().partition(" ")
        with_days = _DAYS.fullmatch(name.strip())
        if with_days:
            return cls(kind, with_days[1], int(with_days[2]))
        return cls(kind, name.strip())


@dataclass(frozen=True, slots=True)
class Known:
    """What the event store says of visitors as they stood at their first exposure.

    `codes` of a trait are indexes of its `labels`, -1 for visitors without one. `is_counted` marks the visitors who tell which
    labels are common: the first ones, so that later visitors change nothing in what was seen before they came.

    Shapes: all arrays (visitors,). Units: `first_exposure` in microseconds since 1970 UTC.
    """

    columns: Mapping[str, FloatArray]
    labels: Mapping[str, tuple[str, ...]]
    codes: Mapping[str, NDArray[np.int32]]
    seen_before: NDArray[np.bool_]
    first_exposure: IntArray
    is_counted: NDArray[np.bool_]
    time_zone: str


@dataclass(frozen=True, slots=True)
class CovariateValues:
    """One covariate of every visitor: named numbers for a regression, and groups of like visitors where there are few.

    Shapes: every column (visitors,), NaN where it is missing; `groups` (visitors,), from 0 on.
    """

    columns: tuple[tuple[str, FloatArray], ...]
    groups: IntArray | None = None


class CovariateKind(Protocol):
    """One kind of covariate. Adding one is a file here and a line in `COVARIATE_KINDS`."""

    @property
    def key(self) -> str: ...

    @property
    def example(self) -> str:
        """How one is written, as a help for people."""
        ...

    @property
    def needs_name(self) -> bool: ...

    def column(self, covariate: Covariate) -> Column | None:
        """Return the per-visitor number that a store must compute, which ends at the first exposure; None where none is needed."""
        ...

    def trait(self, covariate: Covariate) -> str | None:
        """Return the key of the events' context that a store must look up; None where none is needed."""
        ...

    def values(self, covariate: Covariate, known: Known) -> CovariateValues:
        """Return the covariate of these visitors; what it says of one depends on no visitor but those counted."""
        ...


def indicators(
    text: str, groups: IntArray, labels: tuple[str, ...], reference: int
) -> tuple[tuple[str, FloatArray], ...]:
    """Return one column of 0 and 1 for each group but the one that the others are compared with."""
    return tuple(
        (f"{text} = {label}", (groups == number).astype(np.float64))
        for number, label in enumerate(labels)
        if number != reference
    )
