"""The promises of an event store. Every store passes the one contract suite made of these docstrings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from tracking.core.events import Event
from tracking.core.history import HistoryRequest, VisitorHistory
from tracking.core.totals import (
    DailyExposures,
    EventNameSummary,
    ExposureCounts,
    PropertySummary,
    TotalsRequest,
    VisitorTotals,
)

__all__ = [
    "DailyExposures",
    "EventNameSummary",
    "EventStore",
    "ExposureCounts",
    "HistoryRequest",
    "TotalsRequest",
    "VisitorHistory",
    "VisitorTotals",
]


class EventStore(Protocol):
    """Where accepted events live. Reading is promised here; how events get in is each store's `load`.

    Every answer sees all events acknowledged before the question was asked, each exactly once. Sites never see each
    other's events. A visitor is a visitor id together with the identities linked to it by `$alias` events
    (`tracking.core.identity`): the order in which these arrived makes no difference.

    A property test compares like with like: numbers with numbers, texts with texts, true and false with themselves.
    `1` equals `1.0` and is not `true`; only numbers have an order; null and missing fail every test but `ne`, and so does a
    value of another type.
    """

    def load(self, site: str, events: Iterable[Event]) -> int:
        """Add events and return how many were new.

        An event whose `event_id` the store already holds for the same site and event day (UTC) changes nothing. Loading
        the same events twice, in any order and in any split, leaves the same store. Of different events that share an id
        and a day, exactly one stays, whole.
        """
        ...

    def count_events(self, *, site: str, event: str | None = None, visitor: str | None = None) -> int:
        """Count events by name and visitor; None means any, reserved names included."""
        ...

    def count_exposures(
        self, *, site: str, experiment: str, visitor: str | None = None, variant: str | None = None
    ) -> int:
        """Count distinct (visitor, variant) pairs of an experiment, whatever its plan says of the variant."""
        ...

    def exposure_counts(self, request: TotalsRequest) -> ExposureCounts:
        """Return the exposures by variant, by day and by cleanliness; unknown experiments have zero visitors.

        Exposures from `since` on, before `until` and not after `as_of` count; aliases not after `as_of` link. `daily` has
        every local day from the first first exposure to the last one, days without any included. `linked_identities` are
        exposed visitors known by more than one id. `first_exposure` and `last_exposure` are times of planned variants;
        `last_event` is the time of the site's last event of any kind not after `as_of`. `unknown_variants` counts the
        visitors of each variant that the plan does not know.
        """
        ...

    def visitor_totals(self, request: TotalsRequest) -> VisitorTotals:
        """Return one row per visitor with a planned exposure, in the variant of the first one.

        First means earliest time, then smallest variant key, among the exposures that `exposure_counts` counts. A visitor
        without events has 0 in COUNT, SUM and DAYS columns and NaN in FIRST_HOURS. In SUM an event without a value adds 0, and
        so does a `value_property` that is no number. Windows are rounded to whole microseconds by `hours_to_us`.

        What happened before the first exposure counts only under the id that met the variant then (of several at one time the
        smallest id): an identity that is linked later, perhaps because of the treatment, brings no past with it.

        A trait is the text under its key in the context of the visitor's latest event that has one, from `lookback_hours` before
        the first exposure up to and including it; of several at one time the largest text. What is no text, or empty, is none.
        Labels are sorted and each is used. `seen_before` says who had an event other than `$alias` in that time, the first
        exposure's own moment excepted; it is None without a lookback.
        """
        ...

    def visitor_history(self, request: HistoryRequest) -> VisitorHistory:
        """Return one row per visitor with a visit in the period, whether or not any experiment met the visitor.

        A visit begins with any event but `$alias`, or with the request's `entry` event; the first one in the period counts,
        whatever was before. Columns are those of `visitor_totals`, counted from the time first seen instead of from an
        exposure, and what was before counts only under the id that was seen then.
        """
        ...

    def event_names(self, *, site: str) -> Sequence[EventNameSummary]:
        """Return the names seen, most frequent first, ties by name; reserved names (`$...`) included."""
        ...

    def event_properties(self, *, site: str, since: int | None = None) -> Sequence[PropertySummary]:
        """Return which properties events had from `since` on, by event, property and kind.

        Units: `since` in microseconds since 1970 UTC.
        """
        ...

    def erase_visitor(self, *, site: str, visitor: str) -> int:
        """Delete every event of a visitor and every alias that names it; return how many were deleted."""
        ...

    def drop_before(self, *, site: str, day: str) -> int:
        """Delete the events of days before `day` (ISO, UTC); return how many were deleted."""
        ...
