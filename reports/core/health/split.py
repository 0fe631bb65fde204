"""Is the planned split equal enough for small numbers?"""

from __future__ import annotations

from reports.core.health.base import Finding, HealthContext, Severity

UNEQUAL = 1.5


def unequal_split(context: HealthContext) -> tuple[Finding, ...]:
    """Warn of weights that differ by more than 1.5 to 1: they cost power, and skewed metrics lose their error rates."""
    weights = [w for w in context.weights if w > 0]
    ratio = max(weights) / min(weights)
    if ratio <= UNEQUAL + 1e-9:
        return ()
    return (
        Finding(
            "unequal_split",
            Severity.WARNING,
            "The variants are unequal on purpose",
            f"The largest variant gets {ratio:.2g} times the visitors of the smallest. With few conversions this needs "
            "longer for the same answer, and amounts such as revenue can show false effects. An equal split is better.",
            {"ratio": ratio, "weights": {v.key: v.weight for v in context.plan.variants}},
        ),
    )
