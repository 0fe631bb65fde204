"""How far an experiment has come, as of one moment: days, visitors, and which look this is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from experiments.core.plan import AnalysisPlan

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
    Units: `days` whole days since the start (0 when it is unknown); `planned_visitors` all variants together.
    """

    as_of: datetime
    started_at: datetime | None
    horizon_days: int | None
    days: int
    visitors: int
    planned_visitors: int | None
    is_single_look: bool

    @property
    def is_before_first_look(self) -> bool:
        return not self.is_single_look and self.days < FIRST_LOOK_DAYS

    @property
    def horizon_at(self) -> datetime | None:
        if self.started_at is None or self.horizon_days is None:
            return None
        return self.started_at + self.horizon_days * ONE_DAY

    @property
    def is_final(self) -> bool:
        """Whether the planned amount of data is in; a look from here on spends what is left of alpha."""
        if self.is_single_look:
            return True
        if self.is_before_first_look:
            return False
        has_ended = self.horizon_at is not None and self.as_of >= self.horizon_at
        return has_ended or (self.planned_visitors is not None and self.visitors >= self.planned_visitors)

    @property
    def next_look_at(self) -> datetime | None:
        """The next time of day at which the verdict may change; None when it may not any more or nobody knows."""
        if self.is_final or self.started_at is None:
            return None
        return self.started_at + max(self.days + 1, FIRST_LOOK_DAYS) * ONE_DAY

    @property
    def growth(self) -> float:
        """How many times the visitors of today the full sample will have; 1 at the end."""
        if self.is_final or not self.visitors:
            return 1.0
        if self.planned_visitors is not None:
            return max(1.0, self.planned_visitors / self.visitors)
        if self.horizon_days is not None and self.days > 0:
            return max(1.0, self.horizon_days / self.days)
        return 1.0


def progress_of(plan: AnalysisPlan, *, visitors: int, as_of: datetime) -> Progress:
    """Return the progress of a plan with so many exposed visitors. Raises: ValueError for a time without a zone."""
    if as_of.tzinfo is None:
        raise ValueError(f"as_of needs a time zone, {as_of.isoformat()} has none.")
    days = (as_of - plan.started_at) // ONE_DAY if plan.started_at is not None else 0
    return Progress(
        as_of=as_of,
        started_at=plan.started_at,
        horizon_days=plan.horizon_days,
        days=max(days, 0),
        visitors=visitors,
        planned_visitors=plan.planned_visitors,
        is_single_look=plan.is_imported,
    )
