"""Are the variants as large as their weights say? If not, something before the exposure treats them differently."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import special

from reports.core.health.base import Finding, HealthContext, Severity
from reports.core.periods import PeriodCounts
from reports.core.sequential.eprocess import highest_log_e, split_concentration

CODE = "sample_ratio"
BLOCKS_BELOW = 0.001
WARNS_BELOW = 0.01
LEAST_EXPECTED = 5.0
MOST_TABLES = 200_000
ALARMS_AT = 100.0  # an e-value that a true split reaches in at most 1 of 100 experiments, however often one looks


def sample_ratio_p(counts: Sequence[int], weights: Sequence[float]) -> float:
    """Return the p-value of the hypothesis that the counts follow the weights.

    Chi-square; where a count below 5 is expected the exact multinomial probability of a table this unlikely or more, and
    where there are too many tables for that, Bonferroni over the exact binomial tests of each variant. Without visitors
    nothing speaks against the weights: 1.

    Source: Fabijan et al. (2019), KDD. Checked against: scipy.stats.chisquare, scipy.stats.binomtest, scipy.stats.multinomial.
    """
    observed = np.asarray(counts, dtype=np.int64)
    shares = np.asarray(weights, dtype=float) / math.fsum(weights)
    total = int(observed.sum())
    if total == 0:
        return 1.0
    expected = shares * total
    if expected.min() >= LEAST_EXPECTED:
        statistic = float(np.sum((observed - expected) ** 2 / expected))
        return float(special.chdtrc(len(observed) - 1, statistic))
    if math.comb(total + len(observed) - 1, len(observed) - 1) <= MOST_TABLES:
        return _exact_multinomial_p(observed, shares)
    tests = [_exact_binomial_p(int(n), total, share) for n, share in zip(observed, shares, strict=True)]
    return min(1.0, len(tests) * min(tests))


def _exact_multinomial_p(observed: np.ndarray, shares: np.ndarray) -> float:
    tables = np.array(list(_tables(int(observed.sum()), len(observed))))
    return _as_unlikely(_multinomial(tables, shares), float(_multinomial(observed[None, :], shares)[0]))


def _exact_binomial_p(count: int, total: int, share: float) -> float:
    first = np.arange(total + 1)
    probabilities = _multinomial(np.column_stack([first, total - first]), np.array([share, 1 - share]))
    return _as_unlikely(probabilities, float(probabilities[count]))


def _multinomial(tables: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the probability of each table. Shapes: (tables, cells) and (cells,) to (tables,)."""
    ways = special.gammaln(tables.sum(axis=1) + 1) - special.gammaln(tables + 1).sum(axis=1)
    probabilities: np.ndarray = np.exp(ways + special.xlogy(tables, shares).sum(axis=1))
    return probabilities


def _as_unlikely(probabilities: np.ndarray, limit: float) -> float:
    """Return the probability of all that is as unlikely as the limit, up to rounding, or more."""
    return float(min(1.0, probabilities[probabilities <= limit * (1 + 1e-7)].sum()))


def _tables(total: int, cells: int) -> Iterator[tuple[int, ...]]:
    if cells == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _tables(total - first, cells - 1):
            yield (first, *rest)


def sample_ratio(context: HealthContext) -> tuple[Finding, ...]:
    """Compare the visitors per variant with the planned weights.

    Chi-square now, and for an experiment that is watched an e-process over its days, which may be read at every refresh:
    chi-square at p < .01 every day would raise a false alarm in 7 % of sound experiments. Where the weights changed on the
    way, each period is held to its own.
    """
    if context.periods:
        return _by_period(context)
    counts = context.visitors
    total = sum(counts)
    if not total:
        return ()
    p_value = sample_ratio_p(counts, context.weights)
    e_value = _highest_e(context)
    evidence = {
        "p_value": p_value,
        "e_value": e_value,
        "variants": [
            {"variant": v.key, "visitors": n, "expected": round(v.weight * total, 1)}
            for v, n in zip(context.plan.variants, counts, strict=True)
        ],
    }
    worst, seen = max(
        zip(context.plan.variants, counts, strict=True), key=lambda pair: abs(pair[1] / total - pair[0].weight)
    )
    share = f"{100 * seen / total:.4g} % of visitors met '{worst.key}' where {100 * worst.weight:.4g} % were planned"
    if p_value < BLOCKS_BELOW or (e_value is not None and e_value >= ALARMS_AT):
        return (
            Finding(
                CODE,
                Severity.BLOCKING,
                "The split is broken",
                f"{share} (p = {p_value:.2g}). Chance does not do this: some visitors of one variant are lost or counted "
                "elsewhere, so the variants cannot be compared. Look for redirects, bots, or an exposure sent too late.",
                evidence,
            ),
        )
    if p_value < WARNS_BELOW:
        return (
            Finding(
                CODE,
                Severity.WARNING,
                "The split looks uneven",
                f"{share} (p = {p_value:.2g}). This may be chance, but check how visitors are assigned and exposed.",
                evidence,
            ),
        )
    return (
        Finding(
            CODE,
            Severity.OK,
            "The split is as planned",
            f"Visitors per variant agree with the weights (p = {p_value:.2g}).",
            evidence,
        ),
    )


def _by_period(context: HealthContext) -> tuple[Finding, ...]:
    """Hold each period to its own weights; the e-value is the product over the periods.

    Source: STATISTICS section 6. Checked against: the chi-square of each period; the product of two e-values.
    """
    seen = [(number, p) for number, p in enumerate(context.periods, start=1) if sum(p.visitors)]
    if not seen:
        return ()
    p_values = [_period_p(p) for _, p in seen]
    # As many chances to be wrong as there are periods.
    p_value = min(1.0, len(seen) * min(p_values))
    e_value = (
        None if context.progress.is_single_look else math.exp(min(_highest_log_e_over([p for _, p in seen]), 700.0))
    )
    number, worst = seen[int(np.argmin(p_values))]
    evidence = {
        "p_value": p_value,
        "e_value": e_value,
        "periods": [
            {
                "starts_at": p.starts_at.isoformat(),
                "p_value": p_of,
                "visitors": dict(zip([v.key for v in context.plan.variants], p.visitors, strict=True)),
                "weights": dict(zip([v.key for v in context.plan.variants], p.weights, strict=True)),
            }
            for (_, p), p_of in zip(seen, p_values, strict=True)
        ],
    }
    where = f"In period {number} of {len(context.periods)}, from {worst.starts_at:%d %b %Y},"
    shares = " and ".join(
        f"'{v.key}' got {100 * n / sum(worst.visitors):.4g} % of the visitors where {100 * w:.4g} % were planned"
        for v, n, w in zip(context.plan.variants, worst.visitors, worst.weights, strict=True)
        if not v.is_control
    )
    if p_value < BLOCKS_BELOW or (e_value is not None and e_value >= ALARMS_AT):
        detail = f"{where} {shares} (p = {p_value:.2g}). Some visitors of one variant are lost or counted elsewhere, or the weights changed at another time."
        return (Finding(CODE, Severity.BLOCKING, "The split is broken", detail, evidence),)
    if p_value < WARNS_BELOW:
        detail = f"{where} {shares} (p = {p_value:.2g}). This may be chance, but check when the weights really changed."
        return (Finding(CODE, Severity.WARNING, "The split looks uneven", detail, evidence),)
    detail = f"In each of {len(seen)} periods of different weights the visitors agree with them (p = {p_value:.2g})."
    return (Finding(CODE, Severity.OK, "The split is as planned", detail, evidence),)


def _period_p(period: PeriodCounts) -> float:
    pairs = [(n, w) for n, w in zip(period.visitors, period.weights, strict=True) if w > 0 or n > 0]
    if any(w == 0 for _, w in pairs):
        return 0.0  # visitors in a variant that nobody could get
    return sample_ratio_p([n for n, _ in pairs], [w for _, w in pairs]) if len(pairs) > 1 else 1.0


def _highest_log_e_over(periods: Sequence[PeriodCounts]) -> float:
    """Return the highest log e after any day: what earlier periods came to, plus that of the period under way."""
    before, highest = 0.0, 0.0
    for period in periods:
        kept = [i for i, w in enumerate(period.weights) if w > 0]
        if len(kept) < 2:
            continue
        daily = [[row[i] for i in kept] for row in period.daily]
        now, best = highest_log_e(
            daily, [period.weights[i] for i in kept], concentration=split_concentration(sum(period.visitors))
        )
        highest, before = max(highest, before + best), before + now
    return highest


def _highest_e(context: HealthContext) -> float | None:
    """Return the highest e-value after any day so far; None for finished data, and when the days say nothing."""
    days = context.exposures.daily.counts
    if context.progress.is_single_look or not days or min(context.weights) <= 0:
        return None
    concentration = split_concentration(sum(context.visitors))
    _, highest = highest_log_e(days, context.weights, concentration=concentration)
    return math.exp(min(highest, 700.0))
