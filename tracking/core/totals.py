"""What an event store is asked and what it answers, as frozen values: the border between `tracking` and `reports`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from experiments.core.metrics import Column


@dataclass(frozen=True, slots=True)
class TotalsRequest:
    """Which visitors and which numbers an analysis wants.

    Units: times are microseconds since 1970 UTC. Exposures count with `since` <= time < `until`; events count up to and
    including `as_of`.
    """

    site: str
    experiment: str
    variants: tuple[str, ...]
    as_of: int
    since: int | None = None
    until: int | None = None
    time_zone: str = "UTC"
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True)
class DailyExposures:
    """First exposures per local day and variant. Shapes: `counts` is (days, variants)."""

    days: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class ExposureCounts:
    """How clean the exposures are.

    `visitors` per variant by first exposure; `in_several_variants` were seen in more than one planned variant (they stay
    with their first); `conflicting` have an exposure to a variant that the plan does not know; `only_conflicting` have no
    other exposure and are therefore in no variant.
    """

    visitors: Mapping[str, int]
    in_several_variants: int
    conflicting: int
    only_conflicting: int
    linked_identities: int
    daily: DailyExposures
    first_exposure: int | None
    last_exposure: int | None
    last_event: int | None
    unknown_variants: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VisitorTotals:
    """One array row per exposed visitor.

    Shapes: every array is (visitors,), rows in no promised order. `variant` indexes `variants`. Units: `first_exposure` in
    microseconds since 1970 UTC; columns as their `Aggregate` says.
    """

    variants: tuple[str, ...]
    variant: NDArray[np.int8]
    first_exposure: NDArray[np.int64]
    columns: Mapping[str, NDArray[np.float64]]

    def __post_init__(self) -> None:
        rows = len(self.variant)
        if len(self.first_exposure) != rows or any(len(c) != rows for c in self.columns.values()):
            raise ValueError("Every array of VisitorTotals has one entry per visitor.")


@dataclass(frozen=True, slots=True)
class EventNameSummary:
    """An event name that has been seen. Units: times in microseconds since 1970 UTC."""

    name: str
    events: int
    visitors: int
    first_seen: int
    last_seen: int
