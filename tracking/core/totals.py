"""What an event store is asked and what it answers, as frozen values: the border between `tracking` and `reports`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from experiments.core.metrics import Column

# A visitor is taken for a robot whose sender called itself one, or who sent more events than this in one minute of the clock. Both are
# the same in every variant and know nothing of what the visitor went on to do.
ROBOT_EVENTS_A_MINUTE = 120


@dataclass(frozen=True, slots=True)
class TotalsRequest:
    """Which visitors and which numbers an analysis wants.

    `traits` are keys of the events' context, such as `device`, wanted as they stood at the first exposure.
    Units: times are microseconds since 1970 UTC. Exposures count with `since` <= time < `until`; events count up to and
    including `as_of`. Robots (`ROBOT_EVENTS_A_MINUTE`) are left out unless asked for. `lookback_hours` is how far before the first exposure traits and earlier visits are looked for.
    """

    site: str
    experiment: str
    variants: tuple[str, ...]
    as_of: int
    since: int | None = None
    until: int | None = None
    time_zone: str = "UTC"
    columns: tuple[Column, ...] = ()
    traits: tuple[str, ...] = ()
    lookback_hours: float = 0.0
    with_robots: bool = False


@dataclass(frozen=True, slots=True)
class TraitValues:
    """One trait of every visitor. Shapes: `codes` (visitors,), indexes of `labels`, -1 for visitors without one."""

    labels: tuple[str, ...]
    codes: NDArray[np.int32]

    def __post_init__(self) -> None:
        if len(self.codes) and not -1 <= self.codes.min() <= self.codes.max() < len(self.labels):
            raise ValueError(f"A code of a trait lies outside its {len(self.labels)} labels.")


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
    other exposure and are therefore in no variant. `links_ignored` and `users_kept_apart` are links between ids of the whole site
    that were not followed; see `tracking.core.identity`. `robots` are the visitors taken for robots, per variant, counted above only
    where the request wants them.
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
    links_ignored: int = 0
    users_kept_apart: int = 0
    robots: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VisitorTotals:
    """One array row per exposed visitor.

    Shapes: every array is (visitors,), rows in no promised order. `variant` indexes `variants`. Units: `first_exposure` in
    microseconds since 1970 UTC; columns as their `Aggregate` says. `seen_before` says who had an event before the first
    exposure; None when no one asked.
    """

    variants: tuple[str, ...]
    variant: NDArray[np.int8]
    first_exposure: NDArray[np.int64]
    columns: Mapping[str, NDArray[np.float64]]
    traits: Mapping[str, TraitValues] = field(default_factory=dict)
    seen_before: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        rows = len(self.variant)
        lengths = [len(self.first_exposure), *map(len, self.columns.values())]
        lengths += [len(trait.codes) for trait in self.traits.values()]
        lengths += [] if self.seen_before is None else [len(self.seen_before)]
        if any(length != rows for length in lengths):
            raise ValueError("Every array of VisitorTotals has one entry per visitor.")

    def of(self, rows: NDArray[np.bool_]) -> VisitorTotals:
        """Return the totals of some of the visitors. Shapes: `rows` (visitors,)."""
        return VisitorTotals(
            self.variants,
            self.variant[rows],
            self.first_exposure[rows],
            {name: values[rows] for name, values in self.columns.items()},
            {name: TraitValues(t.labels, t.codes[rows]) for name, t in self.traits.items()},
            None if self.seen_before is None else self.seen_before[rows],
        )


@dataclass(frozen=True, slots=True)
class EventNameSummary:
    """An event name that has been seen; `sources` are the doors it came through. Units: times in microseconds since 1970 UTC."""

    name: str
    events: int
    visitors: int
    first_seen: int
    last_seen: int
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PropertySummary:
    """A property of an event name with one kind of value (text, number, boolean, list, object, null), and how many events had it."""

    event: str
    name: str
    kind: str
    events: int
