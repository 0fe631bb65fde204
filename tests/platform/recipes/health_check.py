"""Is the number of visitors round?"""

from __future__ import annotations

from reports.core.health.base import Finding, HealthContext, Severity


def round_number(context: HealthContext) -> tuple[Finding, ...]:
    total = sum(context.visitors)
    if total % 100:
        return ()
    return (
        Finding("round_number", Severity.INFO, "A round number", f"Exactly {total} visitors.", {"visitors": total}),
    )
