"""How many visitors of each variant came from each segment: what they came on, from where, new or known before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.core.plan import AnalysisPlan
from tracking.core.totals import TraitValues, VisitorTotals

MOST_LABELS = 20  # of a trait; the rarer ones are left out, nothing could be seen in them
UNKNOWN = "(unknown)"


@dataclass(frozen=True, slots=True)
class SegmentCounts:
    """The visitors of one segment, such as `device` = `phone`. Shapes: `visitors` (variants of the plan,)."""

    trait: str
    label: str
    visitors: tuple[int, ...]


def segment_counts(plan: AnalysisPlan, totals: VisitorTotals) -> tuple[SegmentCounts, ...]:
    """Return the visitors by trait and variant, the most frequent labels of each trait first; a trait that divides nobody is left out."""
    found = []
    for trait, values in {**totals.traits, **_seen_before(totals)}.items():
        # Code -1 is nobody's label: those visitors are the segment of the unknown.
        table = np.zeros((len(values.labels) + 1, len(totals.variants)), dtype=np.int64)
        np.add.at(table, (values.codes, totals.variant), 1)
        order = [totals.variants.index(v.key) for v in plan.variants]
        labels = (*values.labels, UNKNOWN)
        if np.count_nonzero(table.sum(axis=1)) < 2:
            continue  # one segment is everybody
        for row in np.argsort(-table.sum(axis=1), kind="stable")[:MOST_LABELS]:
            if table[row].any():
                found.append(SegmentCounts(trait, labels[row], tuple(int(n) for n in table[row][order])))
    return tuple(found)


def _seen_before(totals: VisitorTotals) -> dict[str, TraitValues]:
    if totals.seen_before is None:
        return {}
    codes: NDArray[np.int32] = totals.seen_before.astype(np.int32)
    return {"visitor": TraitValues(("new", "returning"), codes)}
