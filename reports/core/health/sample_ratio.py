"""Are the variants as large as their weights say? If not, something before the exposure treats them differently."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import special, stats

from reports.core.health.base import Finding, HealthContext, Severity

BLOCKS_BELOW = 0.001
WARNS_BELOW = 0.01
LEAST_EXPECTED = 5.0
MOST_TABLES = 200_000


def sample_ratio_p(counts: Sequence[int], weights: Sequence[float]) -> float:
    """Return the p-value of the hypothesis that the counts follow the weights.

    Chi-square; where a count below 5 is expected the exact multinomial probability of a table this unlikely or more, and
    where there are too many tables for that, Bonferroni over the exact binomial tests of each variant. Without visitors
    nothing speaks against the weights: 1.

    Source: Fabijan et al. (2019), KDD. Checked against: scipy.stats.chisquare, scipy.stats.binomtest.
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
    tests = [stats.binomtest(int(n), total, share).pvalue for n, share in zip(observed, shares, strict=True)]
    return float(min(1.0, len(tests) * min(tests)))


def _exact_multinomial_p(observed: np.ndarray, shares: np.ndarray) -> float:
    tables = np.array(list(_tables(int(observed.sum()), len(observed))))
    model = stats.multinomial(int(observed.sum()), shares)
    probabilities = model.pmf(tables)
    limit = float(model.pmf(observed)) * (1 + 1e-7)
    return float(min(1.0, probabilities[probabilities <= limit].sum()))


def _tables(total: int, cells: int) -> Iterator[tuple[int, ...]]:
    if cells == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _tables(total - first, cells - 1):
            yield (first, *rest)


def sample_ratio(context: HealthContext) -> tuple[Finding, ...]:
    """Compare the visitors per variant with the planned weights."""
    counts, weights = context.visitors, context.weights
    if not sum(counts):
        return ()
    p_value = sample_ratio_p(counts, weights)
    total = sum(counts)
    evidence = {
        "p_value": p_value,
        "variants": [
            {"variant": v.key, "visitors": n, "expected": round(v.weight * total, 1)}
            for v, n in zip(context.plan.variants, counts, strict=True)
        ],
    }
    worst = max(
        zip(context.plan.variants, counts, strict=True),
        key=lambda pair: abs(pair[1] / total - pair[0].weight),
    )
    share = f"{100 * worst[1] / total:.4g} % of visitors met '{worst[0].key}' where {100 * worst[0].weight:.4g} % were planned"
    if p_value < BLOCKS_BELOW:
        return (
            Finding(
                "sample_ratio",
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
                "sample_ratio",
                Severity.WARNING,
                "The split looks uneven",
                f"{share} (p = {p_value:.2g}). This may be chance, but check how visitors are assigned and exposed.",
                evidence,
            ),
        )
    return (
        Finding(
            "sample_ratio",
            Severity.OK,
            "The split is as planned",
            f"Visitors per variant agree with the weights (p = {p_value:.2g}).",
            evidence,
        ),
    )
