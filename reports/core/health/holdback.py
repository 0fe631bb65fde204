"""Does the goal of a shipped winner hold? Among the visitors held back it is watched for a loss."""

from __future__ import annotations

from reports.core.bayes import FLAT, p_greater
from reports.core.health.base import Finding, HealthContext, Severity
from reports.core.statistics import Proportion

ALARM = 0.9
LEAST_CONVERSIONS = 5  # of each variant, below which the chance says nothing


def holdback_loss(context: HealthContext) -> tuple[Finding, ...]:
    """Warn when the shipped variant probably loses at the goal.

    The chance is that of a lower share with a flat belief about both (docs/proxies.md). An alarm, not a test: it is looked at
    every day and means "look, and think of going back", which costs little when it is wrong.
    """
    plan = context.plan
    if plan.holdback_of is None:
        return ()
    findings = []
    for metric in context.metrics:
        control = metric.value_of(plan.control.key).statistic
        for variant in plan.treatments:
            treatment = metric.value_of(variant.key).statistic
            if not (isinstance(control, Proportion) and isinstance(treatment, Proportion)):
                continue
            if min(control.converted, treatment.converted) < LEAST_CONVERSIONS:
                continue
            chance = p_greater(FLAT.after(control), FLAT.after(treatment))
            if chance < ALARM:
                continue
            findings.append(
                Finding(
                    "holdback_loss",
                    Severity.WARNING,
                    "What was shipped probably loses at the goal",
                    f"{100 * treatment.value:.3g} % of the visitors of '{variant.label}' reach '{metric.name}', and {100 * control.value:.3g} % "
                    f"of those held back: a chance of {100 * min(chance, 0.999):.3g} % that it loses. Think of going back.",
                    {"metric": metric.key, "variant": variant.key, "chance_of_loss": chance},
                )
            )
    return tuple(findings)
