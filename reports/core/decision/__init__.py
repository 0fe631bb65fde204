"""From findings and comparisons to a verdict. Adding a rule is one file and one line here."""

from __future__ import annotations

from reports.core.decision.base import (
    DecisionRule,
    Evidence,
    Reason,
    TreatmentVerdict,
    Verdict,
    VerdictState,
)
from reports.core.decision.metric_rule import MetricRule
from reports.core.decision.proxy_rule import ProxyRule

DECISION_RULES: tuple[DecisionRule, ...] = (ProxyRule(), MetricRule())


def decide(evidence: Evidence) -> Verdict:
    """Decide by the rule that the plan names.

    Raises: LookupError when no rule has that name.
    """
    for rule in DECISION_RULES:
        if rule.key == evidence.plan.decision_rule:
            return rule.decide(evidence)
    known = ", ".join(rule.key for rule in DECISION_RULES)
    raise LookupError(f"The plan names the decision rule '{evidence.plan.decision_rule}'; known are: {known}.")


__all__ = [
    "DECISION_RULES",
    "DecisionRule",
    "Evidence",
    "Reason",
    "TreatmentVerdict",
    "Verdict",
    "VerdictState",
    "decide",
]
