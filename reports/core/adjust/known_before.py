"""Covariates as numbers: one row per visitor, and the groups in which rare conversions are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from experiments.core.covariates import Covariate, CovariateKind
from reports.core.progress import moment
from tracking.core.totals import TraitValues, VisitorTotals

FloatArray = NDArray[np.float64]

MOST_LABELS = 4  # of a trait, the commonest; the others go together
QUARTER_HOUR_US = 900_000_000


@dataclass(frozen=True, slots=True)
class KnownBefore:
    """What was known of every visitor before the first exposure.

    `names` says what each column is; NaN stands for what nobody could know (the activity of a visitor never seen before).
    `stratum` numbers the combination of returning and first trait that a visitor belongs to.
    Shapes: `values` (visitors, columns); `stratum` (visitors,).
    """

    names: tuple[str, ...]
    values: FloatArray
    stratum: NDArray[np.int64]


def known_before(covariates: Sequence[Covariate], totals: VisitorTotals, *, time_zone: str) -> KnownBefore:
    """Turn what the store answered into numbers. Raises: KeyError when it was not asked for a covariate."""
    columns: list[tuple[str, FloatArray]] = []
    stratum = np.zeros(len(totals.variant), dtype=np.int64)
    has_trait = False
    seen = totals.seen_before
    for covariate in covariates:
        if covariate.kind is CovariateKind.ACTIVITY:
            assert covariate.column is not None
            counts = totals.columns[covariate.column.name]
            known = counts if seen is None else np.where(seen, counts, np.nan)
            columns.append((covariate.text, known))
        elif covariate.kind is CovariateKind.RETURNING:
            if seen is None:
                raise KeyError("seen_before")
            columns.append((covariate.text, seen.astype(float)))
            stratum = stratum * 2 + seen
        elif covariate.kind is CovariateKind.TRAIT:
            group, labels = _grouped(totals.traits[covariate.name])
            columns += _indicators(covariate.text, group, labels)
            if not has_trait:
                stratum = stratum * len(labels) + group
                has_trait = True
        else:
            weekday = _weekdays(totals.first_exposure, time_zone)
            columns += _indicators(covariate.text, weekday, [str(day) for day in range(7)])
    values = np.column_stack([column for _, column in columns]) if columns else np.empty((len(stratum), 0))
    return KnownBefore(tuple(name for name, _ in columns), values, stratum)


def _grouped(trait: TraitValues) -> tuple[NDArray[np.int64], list[str]]:
    """Return the group of each visitor: one of the commonest labels, another one, or none at all."""
    counts = np.bincount(trait.codes[trait.codes >= 0], minlength=len(trait.labels))
    # Equal counts are told apart by the label, which is sorted, so that the groups never depend on the order of visitors.
    common = np.argsort(-counts, kind="stable")[:MOST_LABELS]
    labels = [trait.labels[code] for code in common]
    place = np.full(len(trait.labels) + 1, len(labels), dtype=np.int64)
    place[common] = np.arange(len(labels))
    place[-1] = len(labels) + 1  # code -1
    return place[trait.codes], [*labels, "another", "unknown"]


def _indicators(text: str, group: NDArray[np.int64], labels: Sequence[str]) -> list[tuple[str, FloatArray]]:
    """Return one 0/1 column per group but the largest, which the others are compared with."""
    counts = np.bincount(group, minlength=len(labels))
    largest = int(counts.argmax()) if len(group) else 0
    return [
        (f"{text} = {label}", (group == number).astype(float))
        for number, label in enumerate(labels)
        if number != largest and counts[number]
    ]


def _weekdays(first_exposure: NDArray[np.int64], time_zone: str) -> NDArray[np.int64]:
    """Return the local weekday (0 is Monday) of each moment; every clock in use changes on a quarter of an hour."""
    zone = ZoneInfo(time_zone)
    quarters, place = np.unique(first_exposure // QUARTER_HOUR_US, return_inverse=True)
    days = [moment(int(quarter) * QUARTER_HOUR_US).astimezone(zone).weekday() for quarter in quarters]
    return np.array(days, dtype=np.int64)[place] if len(days) else np.empty(0, dtype=np.int64)
