"""Everything an answer is made of, as one value: who asks for the numbers again gets them from this alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.core.plan import AnalysisPlan
from reports.core.analyse import analyse
from reports.core.proxy.earlier import EarlierRun
from reports.core.wire import to_document
from tracking.core.totals import ExposureCounts, VisitorTotals

Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one analysis was given: the plan, what the event store answered, the moments, and what an earlier run measured."""

    plan: AnalysisPlan
    totals: VisitorTotals
    exposures: ExposureCounts
    as_of: datetime
    ended_at: datetime | None = None
    earlier: EarlierRun | None = None

    def answer(self) -> dict[str, Any]:
        """Analyse, and return the public document with the fingerprint of what it was made from."""
        found = analyse(
            self.plan, self.totals, self.exposures, as_of=self.as_of, ended_at=self.ended_at, earlier=self.earlier
        )
        return to_document(found) | {"inputs_hash": fingerprint(self.totals, self.exposures)}


def fingerprint(totals: VisitorTotals, exposures: ExposureCounts) -> str:
    """Return a sha256 in hex of what the event store answered, whatever the order of the visitors.

    Amounts count to seven digits, so that a sum which two computers round differently in its last bit is no change; of whole
    numbers too large for that, such as sets of days, the last 24 bits count as well. A row
    becomes one 64-bit word and the words are added up, which needs no sorting of a million visitors; it tells honest data
    apart and is no protection against somebody who makes two data sets collide on purpose.
    """
    words = _mixed(_bits(totals.variant) + np.uint64(1)) ^ _bits(totals.first_exposure)
    for name in sorted(totals.columns):
        values = totals.columns[name].astype(np.float32) + np.float32(0)  # -0 becomes 0
        number = np.where(np.isnan(values), np.uint32(0x7FC00000), values.view(np.uint32))
        words = _mixed(words) ^ number.astype(np.uint64) ^ (_beyond_seven_digits(totals.columns[name]) << np.uint64(32))
    for name in sorted(totals.traits):
        words = _mixed(words) ^ _bits(totals.traits[name].codes + 1)
    if totals.seen_before is not None:
        words = _mixed(words) ^ _bits(totals.seen_before)
    rows = int(np.sum(_mixed(words), dtype=np.uint64))
    counts = {**asdict(exposures), "visitors": dict(exposures.visitors), "unknown": dict(exposures.unknown_variants)}
    labels = {name: list(trait.labels) for name, trait in totals.traits.items()}
    names = [list(totals.variants), sorted(totals.columns), labels, totals.seen_before is not None]
    text = json.dumps([*names, len(totals.variant), rows, counts], sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()


def _beyond_seven_digits(values: NDArray[np.float64]) -> Words:
    whole = np.rint(np.nan_to_num(values, posinf=0.0, neginf=0.0))
    return np.where(np.abs(whole) >= 2**24, np.mod(whole, 2**24), 0.0).astype(np.uint64)


def _bits(values: NDArray[Any]) -> Words:
    return np.ascontiguousarray(values, dtype=np.int64).view(np.uint64)


def _mixed(words: Words) -> Words:
    """Return the words scrambled so that near ones land far apart. Source: splitmix64 (Steele, Lea & Flood, 2014)."""
    mixed = words + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: Words = mixed ^ (mixed >> np.uint64(31))
    return result
