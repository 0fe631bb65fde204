"""Health before numbers: what speaks against trusting the comparison. Adding a check is one file and one line here."""

from __future__ import annotations

from reports.core.health.allocation import changed_weights, drifting_split
from reports.core.health.base import Finding, HealthCheck, HealthContext, Severity
from reports.core.health.exposures import conflicting_exposures, identity_links, no_exposures, robots, several_variants
from reports.core.health.flow import immature_visitors, silent_metrics, stale_events
from reports.core.health.holdback import holdback_loss
from reports.core.health.macro_alarm import macro_alarm
from reports.core.health.milestones import lost_milestones
from reports.core.health.sample_ratio import sample_ratio
from reports.core.health.split import unequal_split
from reports.core.health.split_by_segment import split_by_segment
from reports.core.health.timing import carried_over, short_window, wearing_off

HEALTH_CHECKS: tuple[HealthCheck, ...] = (
    sample_ratio,
    split_by_segment,
    changed_weights,
    drifting_split,
    lost_milestones,
    no_exposures,
    several_variants,
    robots,
    identity_links,
    conflicting_exposures,
    stale_events,
    silent_metrics,
    holdback_loss,
    macro_alarm,
    unequal_split,
    carried_over,
    short_window,
    wearing_off,
    immature_visitors,
)

_RANK = {Severity.BLOCKING: 0, Severity.WARNING: 1, Severity.INFO: 2, Severity.OK: 3}


def run_checks(context: HealthContext, checks: tuple[HealthCheck, ...] = HEALTH_CHECKS) -> tuple[Finding, ...]:
    """Run every check and return the findings, worst first; a check that fails becomes a finding and hides no other."""
    findings: list[Finding] = []
    for check in checks:
        name = getattr(check, "__name__", type(check).__name__)
        try:
            findings.extend(check(context))
        except Exception as problem:  # noqa: BLE001 - whatever a check stumbles over, the others still speak
            findings.append(
                Finding(
                    "check_failed",
                    Severity.WARNING,
                    "A health check could not be made",
                    f"The check '{name}' stopped on an error, so what it looks for is not known. The others are not affected.",
                    {"check": name, "error": f"{type(problem).__name__}: {problem}"},
                )
            )
    return tuple(sorted(findings, key=lambda f: _RANK[f.severity]))


__all__ = ["HEALTH_CHECKS", "Finding", "HealthCheck", "HealthContext", "Severity", "run_checks"]
