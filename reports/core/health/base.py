"""What a health check is given and what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from experiments.core.plan import AnalysisPlan
from reports.core.periods import PeriodCounts
from reports.core.progress import Progress
from reports.core.proxy.reached import Reached
from reports.core.results import MetricResult
from reports.core.segment_counts import SegmentCounts
from reports.core.timing import NOTHING, Timing
from tracking.core.totals import ExposureCounts


class Severity(StrEnum):
    """How much a finding weighs: BLOCKING findings make the verdict invalid."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    BLOCKING = "blocking"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check says: a code for machines, a title and a sentence for people, and the numbers behind it."""

    code: str
    severity: Severity
    title: str
    detail: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HealthContext:
    """Everything a check may look at; `periods` are there only when the weights changed on the way, `reached` where the plan decides
    by a funnel.
    """

    plan: AnalysisPlan
    progress: Progress
    exposures: ExposureCounts
    metrics: tuple[MetricResult, ...]
    periods: tuple[PeriodCounts, ...] = ()
    timing: Timing = NOTHING
    segments: tuple[SegmentCounts, ...] = ()
    reached: Reached | None = None

    @property
    def visitors(self) -> tuple[int, ...]:
        """Exposed visitors, in the order of the plan's variants."""
        return tuple(self.exposures.visitors.get(v.key, 0) for v in self.plan.variants)

    @property
    def weights(self) -> tuple[float, ...]:
        return tuple(v.weight for v in self.plan.variants)


HealthCheck = Callable[[HealthContext], tuple[Finding, ...]]
