"""Did the chances of meeting a variant change over time, by plan or without anybody knowing?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from reports.core.health.base import Finding, HealthContext, Severity

BLOCKS_BELOW = 0.0001
WARNS_BELOW = 0.001
LEAST_EXPECTED = 5.0


def changed_weights(context: HealthContext) -> tuple[Finding, ...]:
    """Say that the weights changed by plan, and that periods are compared on their own."""
    if not context.periods:
        return ()
    return (
        Finding(
            "weights_changed",
            Severity.INFO,
            "The weights changed on the way",
            f"There are {len(context.periods)} periods of different weights. Visitors are compared within each of them and the "
            "comparisons are put together; added up, a variant that got more of its visitors in a good period would look "
            "better for that alone.",
            {"periods": [{"starts_at": p.starts_at.isoformat(), "weights": list(p.weights)} for p in context.periods]},
        ),
    )


def drifting_split(context: HealthContext) -> tuple[Finding, ...]:
    """Compare the split of the days with each other: weights that changed unknown to the plan turn results around.

    The whole may agree with the weights although no day does. With the weights of the plan in force all the time, chance
    blocks 1 sound experiment in 10,000 at each look.
    """
    if context.periods:
        return ()
    p_value = homogeneity_p(
        np.asarray(context.exposures.daily.counts, dtype=np.int64).reshape(-1, len(context.weights))
    )
    if p_value is None or p_value >= WARNS_BELOW:
        return ()
    is_certain = p_value < BLOCKS_BELOW
    return (
        Finding(
            "split_changes_over_time",
            Severity.BLOCKING if is_certain else Severity.WARNING,
            "The split was not the same all the time",
            f"Some days send other shares of their visitors to the variants than other days do (p = {p_value:.2g}). Days differ in "
            "who comes, so a variant with more visitors of good days looks better for that alone. If weights were changed, "
            "import the data with the time of each change; if not, look for a fault that came and went.",
            {"p_value": p_value, "days": len(context.exposures.daily.days)},
        ),
    )


def homogeneity_p(table: NDArray[np.int64]) -> float | None:
    """Return the p-value of "every day has the same split", small days put together; None when there are no two to compare.

    Shapes: `table` (days, variants). Source: Pearson's chi-square. Checked against: scipy.stats.chi2_contingency.
    """
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return None
    smallest = (table.sum(axis=0) / max(int(table.sum()), 1)).min()
    rows: list[NDArray[np.int64]] = []
    waiting = np.zeros(table.shape[1], dtype=np.int64)
    for day in table:
        waiting = waiting + day
        if waiting.sum() * smallest >= LEAST_EXPECTED:
            rows.append(waiting)
            waiting = np.zeros_like(waiting)
    if rows:
        rows[-1] = rows[-1] + waiting
    if len(rows) < 2:
        return None
    merged = np.array(rows)
    expected = np.outer(merged.sum(axis=1), merged.sum(axis=0)) / merged.sum()
    statistic = float(np.sum((merged - expected) ** 2 / expected))
    return float(special.chdtrc((len(rows) - 1) * (table.shape[1] - 1), statistic))
