"""What a site's own past is asked and what it answers: its visitors with or without any experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.core.metrics import Column


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """Whose past, and which numbers. `entry` names the event with which a visit begins; None takes every event.

    Units: times are microseconds since 1970 UTC. Visits begin with `since` <= time < `until`; events count up to and
    including `as_of`.
    """

    site: str
    since: int
    until: int
    as_of: int
    columns: tuple[Column, ...] = ()
    entry: str | None = None

    def __post_init__(self) -> None:
        if self.since >= self.until:
            raise ValueError(f"A period that begins at {self.since} cannot end at {self.until}.")


@dataclass(frozen=True, slots=True)
class VisitorHistory:
    """One array row per visitor.

    Shapes: every array is (visitors,), rows in no promised order. Units: `first_seen` in microseconds since 1970 UTC;
    columns as their `Aggregate` says.
    """

    first_seen: NDArray[np.int64]
    columns: Mapping[str, NDArray[np.float64]]

    def __post_init__(self) -> None:
        if any(len(column) != len(self.first_seen) for column in self.columns.values()):
            raise ValueError("Every array of VisitorHistory has one entry per visitor.")
