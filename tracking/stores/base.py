"""The promises of an event store. Every store passes the one contract suite made of these docstrings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.core.metrics import Column
from tracking.core.events import Event


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


class EventStore(Protocol):
    """Where accepted events live. Reading is promised here; how events get in is each store's `load`."""

    def load(self, site: str, events: Iterable[Event]) -> int:
        """Add events and return how many were new.

        An event whose `event_id` the store already holds for the same site and event day changes nothing. Loading the same
        events twice, in any order and in any split, leaves the same store.
        """
        ...

    def count_events(self, *, site: str, event: str | None = None, visitor: str | None = None) -> int:
        """Count events by name and visitor; None means any. A visitor's linked identities count as that visitor."""
        ...

    def count_exposures(
        self, *, site: str, experiment: str, visitor: str | None = None, variant: str | None = None
    ) -> int:
        """Count distinct (visitor, variant) pairs of an experiment, linked identities taken as one visitor."""
        ...

    def exposure_counts(self, request: TotalsRequest) -> ExposureCounts:
        """Return the exposures by variant, by day and by cleanliness; unknown experiments have zero visitors."""
        ...

    def visitor_totals(self, request: TotalsRequest) -> VisitorTotals:
        """Return one row per visitor with a planned exposure, in the variant of the first one.

        First means earliest time, then smallest variant key. Linked identities are one visitor. A visitor without events
        has 0 in COUNT and SUM columns and NaN in FIRST_HOURS.
        """
        ...

    def event_names(self, *, site: str) -> Sequence[EventNameSummary]:
        """Return the names seen, most frequent first, ties by name; reserved names (`$...`) included."""
        ...

    def erase_visitor(self, *, site: str, visitor: str) -> int:
        """Delete every event of a visitor and of the identities linked to it; return how many were deleted."""
        ...

    def drop_before(self, *, site: str, day: str) -> int:
        """Delete the events of days before `day` (ISO, UTC); return how many were deleted."""
        ...
