"""What a decision rule is given and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from experiments.core.metrics import Role
from experiments.core.plan import AnalysisPlan
from reports.core.health.base import Finding, Severity
from reports.core.progress import Progress
from reports.core.proxy.judging import ProxyAnalysis
from reports.core.results import SUCCESS_ROLES, MetricResult


class VerdictState(StrEnum):
    """What the rule recommends.

    INVALID: a health check blocks. TOO_EARLY: before the first look, or hardly any conversions. SHIP: better and safe. HARM:
    worse. CONFLICT: a micro conversion won while the macro lost. PROMISING_MACRO_UNPROVEN: a micro conversion won, the macro
    is not shown to be safe. NO_DECISION_YET: goes on. NO_EFFECT: the planned data are in and show no gain. INCONCLUSIVE:
    they are in and too few to say anything.
    """

    INVALID = "invalid"
    TOO_EARLY = "too_early"
    SHIP = "ship"
    HARM = "harm"
    CONFLICT = "conflict"
    PROMISING_MACRO_UNPROVEN = "promising_macro_unproven"
    NO_DECISION_YET = "no_decision_yet"
    NO_EFFECT = "no_effect"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that led to the verdict: a code for machines and a sentence for people."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class TreatmentVerdict:
    """The verdict on one treatment."""

    variant: str
    state: VerdictState
    summary: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on the experiment; `next_change` is the earliest time at which it may be another one."""

    state: VerdictState
    summary: str
    reasons: tuple[Reason, ...]
    numbers: Mapping[str, Any] = field(default_factory=dict)
    treatments: tuple[TreatmentVerdict, ...] = ()
    next_change: datetime | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a rule may look at."""

    plan: AnalysisPlan
    progress: Progress
    findings: tuple[Finding, ...]
    metrics: tuple[MetricResult, ...]
    proxy: ProxyAnalysis | None = None

    @property
    def blocking(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.severity is Severity.BLOCKING)

    @property
    def successes(self) -> tuple[MetricResult, ...]:
        """The metrics that a win may be claimed on."""
        return tuple(m for m in self.metrics if m.planned.role in SUCCESS_ROLES)

    @property
    def guardrails(self) -> tuple[MetricResult, ...]:
        return tuple(m for m in self.metrics if m.planned.role is Role.GUARDRAIL)


class DecisionRule(Protocol):
    """One way of coming to a verdict. Adding one is a file here and a line in `DECISION_RULES`."""

    key: str
    label: str

    def decide(self, evidence: Evidence) -> Verdict: ...
