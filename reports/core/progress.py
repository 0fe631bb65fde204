"""How far an experiment has come, as of one moment: days, visitors, and which look this is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from experiments.core.plan import DAILY, AnalysisPlan

FIRST_LOOK_DAYS = 7
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ONE_DAY = timedelta(days=1)


def microseconds(moment: datetime) -> int:
    """Return microseconds since 1970 UTC, exactly."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment(microseconds_since_1970: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds_since_1970)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the experiment stands.

    `is_single_look` marks an imported, finished experiment: it is analysed once, at a fixed horizon, whenever that is.
    `final_day` is the day of the final look, once it has come: the horizon, or the first look with the planned visitors.
    `ended_at` is when somebody stopped the experiment. `has_no_end` marks one that is watched without a planned end: no look
    is the final one, and its planned visitors end nothing.
    Units: `days` whole days since the start (0 when it is unknown); `planned_visitors` all variants together.
    """

    as_of: datetime
    started_at: datetime | None
    horizon_days: int | None
    days: int
    visitors: int
    planned_visitors: int | None
    is_single_look: bool
    final_day: int | None = None
    ended_at: datetime | None = None
    has_no_end: bool = False
    look_every_days: int = DAILY

    @property
    def has_ended_early(self) -> bool:
        """Whether somebody stopped it before the planned amount of data was in."""
        return not self.is_final and self.ended_at is not None and self.as_of >= self.ended_at

    @property
    def is_over(self) -> bool:
        """Whether no more visitors are to come: the planned data are in, or somebody stopped it."""
        return self.is_final or self.has_ended_early

    @property
    def ended_days(self) -> int:
        """Whole days from start to stop."""
        if self.started_at is None or self.ended_at is None:
            return self.days
        return max((self.ended_at - self.started_at) // ONE_DAY, 0)

    @property
    def is_before_first_look(self) -> bool:
        return not self.is_single_look and self.days < FIRST_LOOK_DAYS

    @property
    def is_final(self) -> bool:
        """Whether the planned amount of data is in; what comes later changes nothing any more."""
        return self.is_single_look or self.final_day is not None

    @property
    def look_day(self) -> int:
        """The day of the latest look; before the first one the days so far."""
        if self.final_day is not None or self.is_single_look or self.is_before_first_look:
            return self.days if self.final_day is None else self.final_day
        return self.days - (self.days - FIRST_LOOK_DAYS) % self.look_every_days

    @property
    def look_days(self) -> tuple[int, ...]:
        """The days of the looks so far; none where there is one look only."""
        if self.is_single_look or self.is_before_first_look:
            return ()
        return tuple(range(FIRST_LOOK_DAYS, self.look_day + 1, self.look_every_days))

    @property
    def cut_at(self) -> datetime:
        """The moment up to which visitors count: the latest look, so that the time of day of an analysis is no extra look."""
        if self.is_single_look or self.is_before_first_look or self.started_at is None:
            return self.as_of
        return self.started_at + self.look_day * ONE_DAY

    @property
    def horizon_at(self) -> datetime | None:
        if self.started_at is None or self.horizon_days is None:
            return None
        return self.started_at + self.horizon_days * ONE_DAY

    @property
    def next_look_at(self) -> datetime | None:
        """The next time at which the verdict may change; None when it may not any more or nobody knows."""
        if self.is_final or self.has_ended_early or self.started_at is None:
            return None
        day = FIRST_LOOK_DAYS if self.is_before_first_look else self.look_day + self.look_every_days
        return self.started_at + day * ONE_DAY

    @property
    def elapsed(self) -> float:
        """The share of the planned experiment that was over at the latest look, 0 to 1; 0 without a planned end or before it began.

        By days or by planned visitors, whichever comes sooner.
        """
        if self.is_final:
            return 1.0
        if self.has_no_end or self.is_before_first_look:
            return 0.0
        by_days = self.look_day / self.horizon_days if self.horizon_days else 0.0
        by_visitors = self.visitors / self.planned_visitors if self.planned_visitors else 0.0
        return min(max(by_days, by_visitors), 1.0)

    @property
    def growth(self) -> float:
        """How many times the visitors of today the full sample will have; 1 at the end."""
        if self.is_final or self.has_ended_early or not self.visitors:
            return 1.0
        if self.planned_visitors is not None:
            return max(1.0, self.planned_visitors / self.visitors)
        if self.horizon_days is not None and self.days > 0:
            return max(1.0, self.horizon_days / self.days)
        return 1.0


def progress_of(
    plan: AnalysisPlan, *, first_exposures: NDArray[np.int64], as_of: datetime, ended_at: datetime | None = None
) -> Progress:
    """Return the progress of a plan whose visitors were first exposed at these times.

    Shapes: (visitors,). Units: microseconds since 1970 UTC. Raises: ValueError for an `as_of` without a time zone.
    """
    if as_of.tzinfo is None:
        raise ValueError(f"as_of needs a time zone, {as_of.isoformat()} has none.")
    days = max((as_of - plan.started_at) // ONE_DAY, 0) if plan.started_at is not None else 0
    return Progress(
        as_of=as_of,
        started_at=plan.started_at,
        horizon_days=plan.horizon_days,
        days=days,
        visitors=len(first_exposures),
        planned_visitors=plan.planned_visitors,
        is_single_look=plan.is_imported,
        final_day=_final_day(plan, first_exposures, days),
        ended_at=None if plan.is_imported else ended_at,
        has_no_end=plan.has_no_end,
        look_every_days=plan.look_every_days,
    )


def _final_day(plan: AnalysisPlan, first_exposures: NDArray[np.int64], days: int) -> int | None:
    """Return the first look at which the horizon or the planned number of visitors is reached; None while there is none."""
    if plan.is_imported or plan.started_at is None or plan.has_no_end:
        return None
    for day in range(FIRST_LOOK_DAYS, days + 1, plan.look_every_days):
        if plan.horizon_days is not None and day >= plan.horizon_days:
            return day
        seen = np.count_nonzero(first_exposures <= microseconds(plan.started_at + day * ONE_DAY))
        if plan.planned_visitors is not None and seen >= plan.planned_visitors:
            return day
    return None
