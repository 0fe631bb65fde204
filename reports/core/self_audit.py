"""A metric tried on the site's own past: split visitors at random many times, and count how often chance looks like an effect.

Every split is a true A/A test on real visitors, so a sound metric finds something in `alpha` of them. One that finds more
claims a precision that it does not have, and may not decide anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import special

from experiments.core.metric_kinds.base import StatisticKind, VisitorValues
from reports.core.methods import compare
from reports.core.methods.base import Comparison, Interval
from reports.core.quantiles import Quantile
from reports.core.statistics import Mean, Proportion, Ratio, Statistic, summarise

SPLITS = 500
LEAST_VISITORS = 100
LEAST_CONVERTED = 20
POWER = 0.8
# A first round above this limit of chance is repeated with fresh splits before anybody is told off.
SUSPICIOUS = 0.975
CERTAIN = 0.9995
_CELLS_AT_ONCE = 20_000_000

FloatArray = NDArray[np.float64]


class AuditState(StrEnum):
    """What came of it. UNDECIDED: too little history for an opinion."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class SelfAudit:
    """The outcome of an audit.

    `rate` is the share of the splits that looked significant at `alpha`, `interval` its exact 95 % interval, `base` the
    metric's value in the history, `detectable_lift` the relative change that these visitors, split in halves, find with 80 %
    power: from the spread of the effects over the splits, not from a formula. All are None where nothing was tried.
    """

    state: AuditState
    reason: str
    visitors: int
    splits: int
    alpha: float
    rate: float | None = None
    interval: Interval | None = None
    base: float | None = None
    detectable_lift: float | None = None


def self_audit(
    kind: StatisticKind,
    values: VisitorValues,
    rng: np.random.Generator,
    *,
    alpha: float = 0.05,
    splits: int = SPLITS,
    visitor_of_row: NDArray[np.integer] | None = None,
) -> SelfAudit:
    """Split the visitors in halves `splits` times, compare the halves by the product's own method, and judge the metric.

    When a first round finds more than chance explains (its 97.5 % limit), a second one is added; the metric fails when the
    two together are beyond the 99.95 % limit, which a sound metric is once in 2,000 audits.

    Shapes: `values` is (rows,), one row per visitor unless `visitor_of_row` (rows,) says whose each row is.
    Source: STATISTICS section 11; Kohavi, Tang & Xu (2020), Trustworthy Online Controlled Experiments, chapter 19.
    """
    if kind is StatisticKind.TIME_TO_EVENT:
        # History holds visitors whose window has passed, and with everybody followed to the end it is a plain share.
        kind, values = StatisticKind.PROPORTION, VisitorValues((~np.isnan(values.numerator)).astype(np.float64))
    rows = len(values.numerator)
    visitor = np.arange(rows) if visitor_of_row is None else np.unique(visitor_of_row, return_inverse=True)[1]
    visitors = int(visitor.max()) + 1 if rows else 0
    too_little = _too_little(values, visitors)
    if too_little:
        return SelfAudit(AuditState.UNDECIDED, too_little, visitors, 0, alpha)
    tried = 0
    effects: list[float] = []
    significant = 0
    for _ in range(2):
        found = [
            compare(treatment, control, alpha=alpha)
            for treatment, control in _halves(kind, values, visitor, rng, splits)
        ]
        tried += splits
        effects += [one.effect for one in found if isinstance(one, Comparison)]
        significant += sum(isinstance(one, Comparison) and one.p_value < alpha for one in found)
        if significant / tried <= _limit(SUSPICIOUS, tried, alpha):
            break
    rate = significant / tried
    base = summarise(kind, values).value
    failed = rate > _limit(CERTAIN, tried, alpha)
    return SelfAudit(
        state=AuditState.FAILED if failed else AuditState.PASSED,
        reason=_reason(rate, alpha, tried, failed=failed),
        visitors=visitors,
        splits=tried,
        alpha=alpha,
        rate=rate,
        interval=_exact_interval(significant, tried),
        base=base,
        detectable_lift=_detectable(effects, base, alpha),
    )


def _too_little(values: VisitorValues, visitors: int) -> str:
    if visitors < LEAST_VISITORS:
        return f"The history holds {visitors} visitors; an audit needs {LEAST_VISITORS}."
    active = int(np.count_nonzero(np.nan_to_num(values.numerator)))
    if active < LEAST_CONVERTED:
        return f"{active} visitors of the history have a value other than 0; an audit needs {LEAST_CONVERTED}."
    return ""


def _reason(rate: float, alpha: float, splits: int, *, failed: bool) -> str:
    found = f"{rate:.1%} of {splits:,} random splits of the site's own visitors looked significant; {alpha:.0%} should"
    if failed:
        return f"{found}. Its intervals are narrower than its noise."
    return f"{found}, give or take."


def _halves(
    kind: StatisticKind, values: VisitorValues, visitor: NDArray[np.integer], rng: np.random.Generator, splits: int
) -> Iterator[tuple[Statistic, Statistic]]:
    """Yield the statistics of treatment and control of each split."""
    if kind is StatisticKind.QUANTILE:
        yield from _quantile_halves(values, visitor, rng, splits)
        return
    moments, shift = _moments(kind, values)
    # Rows of one visitor go the same way, so their sums are all that a split needs to know of them.
    visitors = int(visitor.max()) + 1
    summed = np.stack([np.bincount(visitor, weights=column, minlength=visitors) for column in moments], axis=1)
    whole = summed.sum(axis=0)
    at_once = max(1, _CELLS_AT_ONCE // visitors)
    for first in range(0, splits, at_once):
        count = min(at_once, splits - first)
        is_treated = rng.integers(0, 2, (count, visitors), dtype=np.uint8)
        for treated in is_treated.astype(np.float64) @ summed:
            yield _statistic(kind, treated, shift), _statistic(kind, whole - treated, shift)


def _quantile_halves(
    values: VisitorValues, visitor: NDArray[np.integer], rng: np.random.Generator, splits: int
) -> Iterator[tuple[Statistic, Statistic]]:
    """Yield the halves of sorted values, each with a bootstrap of its own."""
    assert values.level is not None
    order = np.argsort(values.numerator, kind="stable")  # without a value (NaN) last
    top, whose = values.numerator[order], visitor[order]
    with_value = int(np.count_nonzero(~np.isnan(top)))
    for _ in range(splits):
        is_treated = rng.integers(0, 2, int(visitor.max()) + 1, dtype=np.uint8).astype(bool)[whose]
        seeds = rng.integers(0, 2**48, 2)
        halves = [
            Quantile(int(np.count_nonzero(mine)), values.level, int(seed), top[:with_value][mine[:with_value]])
            for mine, seed in zip((is_treated, ~is_treated), seeds, strict=True)
        ]
        yield halves[0], halves[1]


def _moments(kind: StatisticKind, values: VisitorValues) -> tuple[list[FloatArray], tuple[float, float]]:
    """Return what to add up per half: rows first; amounts about their mean, so that squares do not cancel."""
    top = values.numerator
    ones = np.ones(len(top))
    if kind is StatisticKind.PROPORTION:
        return [ones, (top > 0).astype(np.float64)], (0.0, 0.0)
    top_mean = float(top.mean())
    top_gap = top - top_mean
    if kind is StatisticKind.MEAN:
        return [ones, top_gap, top_gap**2], (top_mean, 0.0)
    assert values.denominator is not None
    bottom_mean = float(values.denominator.mean())
    bottom_gap = values.denominator - bottom_mean
    return [ones, top_gap, top_gap**2, bottom_gap, bottom_gap**2, top_gap * bottom_gap], (top_mean, bottom_mean)


def _statistic(kind: StatisticKind, sums: FloatArray, shift: tuple[float, float]) -> Statistic:
    rows = round(float(sums[0]))
    if kind is StatisticKind.PROPORTION:
        return Proportion(rows, round(float(sums[1])))
    if rows == 0:
        return Mean(0, 0.0, 0.0) if kind is StatisticKind.MEAN else Ratio(0, 0.0, 0.0, 0.0, 0.0, 0.0)
    top, top_squares = float(sums[1]) / rows, float(sums[2])
    top_about = max(top_squares - rows * top * top, 0.0)
    if kind is StatisticKind.MEAN:
        return Mean(rows, shift[0] + top, top_about)
    bottom = float(sums[3]) / rows
    bottom_about = max(float(sums[4]) - rows * bottom * bottom, 0.0)
    products = float(sums[5]) - rows * top * bottom
    bound = math.sqrt(top_about * bottom_about)
    return Ratio(rows, shift[0] + top, shift[1] + bottom, top_about, bottom_about, min(max(products, -bound), bound))


def _limit(share: float, splits: int, alpha: float) -> float:
    reached = special.bdtr(np.arange(splits + 1), splits, alpha)
    return int(np.searchsorted(reached, share)) / splits


def _exact_interval(found: int, tried: int) -> Interval:
    """Source: Clopper & Pearson (1934), Biometrika 26:404-413. Checked against: scipy.stats.binomtest."""
    low = float(special.betaincinv(found, tried - found + 1, 0.025)) if found else 0.0
    high = float(special.betaincinv(found + 1, tried - found, 0.975)) if found < tried else 1.0
    return Interval(low, high)


def _detectable(effects: list[float], base: float, alpha: float) -> float | None:
    if len(effects) < 2 or not math.isfinite(base) or base == 0:
        return None
    spread = float(np.std(effects, ddof=1))
    return float(-special.ndtri(alpha / 2) + special.ndtri(POWER)) * spread / abs(base)
