"""The promises of an event store. Every store passes the one contract suite made of these docstrings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from tracking.core.events import Event
from tracking.core.totals import (
    DailyExposures,
    EventNameSummary,
    ExposureCounts,
    TotalsRequest,
    VisitorTotals,
)

__all__ = ["DailyExposures", "EventNameSummary", "EventStore", "ExposureCounts", "TotalsRequest", "VisitorTotals"]


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
