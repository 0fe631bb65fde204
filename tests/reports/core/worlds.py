"""Small worlds to analyse: plans, visitors and exposures made by hand or by a seeded generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.core.metrics import Conversion, Direction, MetricDefinition, Role
from experiments.core.plan import DAILY, AnalysisPlan, Futility, Monitoring, PlannedMetric, PlannedVariant
from tracking.core.totals import DailyExposures, ExposureCounts, VisitorTotals

START = datetime(2026, 3, 2, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_US = 86_400_000_000


def at_day(day: float) -> datetime:
    return START + timedelta(days=day)


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def metric(
    key: str,
    role: Role = Role.PROXY,
    *,
    kind: str = "conversion",
    conversion: Conversion = Conversion.MILESTONE,
    margin: float | None = None,
    window_hours: float | None = None,
    direction: Direction = Direction.INCREASE,
    cap: float | None = None,
    denominator_event: str | None = None,
    options: dict[str, Any] | None = None,
) -> PlannedMetric:
    definition = MetricDefinition(
        key=key,
        name=key,
        conversion=conversion,
        kind=kind,
        event=key,
        window_hours=window_hours,
        direction=direction,
        cap=cap,
        denominator_event=denominator_event,
        options=options or {},
    )
    return PlannedMetric(definition, role, margin)


def macro_guardrail(key: str = "purchase", margin: float = 0.1, **options: float | str | None) -> PlannedMetric:
    return metric(key, Role.GUARDRAIL, conversion=Conversion.MACRO, margin=margin, **options)  # type: ignore[arg-type]


def plan(
    *metrics: PlannedMetric,
    weights: Mapping[str, float] | None = None,
    is_imported: bool = True,
    horizon_days: int | None = None,
    planned_visitors: int | None = None,
    alpha: float = 0.05,
    has_no_end: bool = False,
    look_every_days: int = DAILY,
    futility: Futility = Futility.GENTLE,
) -> AnalysisPlan:
    """Return a plan whose first variant is the control."""
    shares = weights or {"control": 0.5, "treatment": 0.5}
    control = next(iter(shares))
    return AnalysisPlan(
        site="shop",
        experiment="banner",
        time_zone="UTC",
        variants=tuple(PlannedVariant(key, weight, key == control) for key, weight in shares.items()),
        metrics=metrics,
        alpha=alpha,
        horizon_days=horizon_days,
        planned_visitors=planned_visitors,
        monitoring=Monitoring.CONFIDENCE_SEQUENCE if has_no_end else Monitoring.GROUP_SEQUENTIAL,
        look_every_days=look_every_days,
        futility=futility,
        is_imported=is_imported,
        started_at=None if is_imported else START,
    )


def totals(
    variants: Sequence[str],
    variant: NDArray[np.integer] | Sequence[int],
    columns: Mapping[str, NDArray[np.float64] | Sequence[float]],
    first_exposure: NDArray[np.integer] | Sequence[int] | None = None,
) -> VisitorTotals:
    index = np.asarray(variant, dtype=np.int8)
    when = np.zeros(len(index)) + microseconds(START) if first_exposure is None else first_exposure
    return VisitorTotals(
        variants=tuple(variants),
        variant=index,
        first_exposure=np.asarray(when, dtype=np.int64),
        columns={key: np.asarray(values, dtype=np.float64) for key, values in columns.items()},
    )


def counted(groups: Mapping[str, int], **conversions: Mapping[str, int]) -> VisitorTotals:
    """Return totals of conversion metrics from counts: `counted({"control": 100}, cart={"control": 7})`."""
    names = list(groups)
    index = np.repeat(np.arange(len(names)), [groups[name] for name in names])
    columns = {
        key: np.concatenate([np.arange(groups[name]) < counts.get(name, 0) for name in names]).astype(float)
        for key, counts in conversions.items()
    }
    return totals(names, index, columns)


def exposures(visitors: Mapping[str, int], **changes: object) -> ExposureCounts:
    values: dict[str, object] = {
        "visitors": dict(visitors),
        "in_several_variants": 0,
        "conflicting": 0,
        "only_conflicting": 0,
        "linked_identities": 0,
        "daily": DailyExposures((), ()),
        "first_exposure": None,
        "last_exposure": None,
        "last_event": None,
    }
    return ExposureCounts(**(values | changes))  # type: ignore[arg-type]


def exposures_of(people: VisitorTotals) -> ExposureCounts:
    """Return clean exposures that agree with the totals."""
    counts = {name: int(np.count_nonzero(people.variant == i)) for i, name in enumerate(people.variants)}
    last = int(people.first_exposure.max()) if len(people.first_exposure) else None
    return exposures(counts, last_event=last, last_exposure=last)
