"""What the analysis found of each metric, as frozen values: the numbers that findings, verdict and report are made of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from experiments.core.metric_kinds.base import StatisticKind
from experiments.core.metrics import Conversion, Direction, Role
from experiments.core.plan import PlannedMetric
from reports.core.methods.base import Comparison, Interval, NotComputable
from reports.core.methods.noninferiority import GuardrailResult
from reports.core.statistics import Statistic

# The roles on which a win may be claimed.
SUCCESS_ROLES = (Role.PRIMARY, Role.PROXY)


@dataclass(frozen=True, slots=True)
class VariantValue:
    """One variant's value of a metric.

    `exposed` counts all its visitors, the statistic only those whose conversion window has passed (the matured).
    `interval` has level 1 - alpha and is None when the data do not give one.
    """

    variant: str
    exposed: int
    statistic: Statistic
    interval: Interval | None


class Claim(StrEnum):
    """What may be claimed of a treatment in one metric, with all looks and all metrics taken into account."""

    BETTER = "better"
    WORSE = "worse"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Look:
    """One look at one comparison.

    `bound` is the efficacy bound of z (harm lies at its negative); `futility` the z below which a win is unlikely. Effects
    with the intervals that hold at all looks together are `band(looks)`.
    Units: `information` is the share of the planned data, `day` days since the start.
    """

    day: int
    information: float
    z: float
    bound: float
    futility: float | None
    treatment: Statistic
    control: Statistic


@dataclass(frozen=True, slots=True)
class Stopped:
    """What a test says that crossed its bound: numbers that know of the looks before, in the metric's own unit.

    `lift` is None where a relative effect makes no sense.
    """

    day: int
    p_value: float
    effect: float
    interval: Interval
    lift: float | None
    lift_interval: Interval | None


@dataclass(frozen=True, slots=True)
class Discovery:
    """How an exploratory comparison fared among all of them: never a basis for a decision.

    `is_selected` says whether it stands out at the false discovery `rate`, as `selected` of `tests` do.
    """

    is_selected: bool
    rate: float
    selected: int
    tests: int


@dataclass(frozen=True, slots=True)
class Beside:
    """The comparison that does not count, without the plan's covariates or with them; stored, shown, and deciding nothing.

    `detail` says why the one with covariates is no regression, where strata or the plain comparison took its place; empty otherwise.
    `variance_left` is the share of the plain variance that is left after adjusting, None where one of them is unknown.
    """

    result: Comparison | NotComputable
    detail: str
    variance_left: float | None


@dataclass(frozen=True, slots=True)
class VariantComparison:
    """One treatment against the control in one metric.

    `adjusted_p_value` is Holm's over the metric's family and all treatments (of sequential p-values while the experiment runs),
    Benjamini and Hochberg's for exploratory metrics, None for guardrails. `waits_for_primary` marks a proxy that would be
    claimed if the primary metrics had been decided. In a plan with covariates `unadjusted` stands beside a result with them, and
    `adjusted` beside one without. `looks` are the looks so far of a running experiment.
    """

    variant: str
    result: Comparison | NotComputable
    guardrail: GuardrailResult | None = None
    adjusted_p_value: float | None = None
    claim: Claim = Claim.OPEN
    looks: tuple[Look, ...] = ()
    stopped: Stopped | None = None
    is_unlikely_to_win: bool = False
    unadjusted: Beside | None = None
    adjusted: Beside | None = None
    waits_for_primary: bool = False
    discovery: Discovery | None = None


@dataclass(frozen=True, slots=True)
class MetricResult:
    """Everything found of one metric. `is_decisive` says whether this look may decide on it."""

    planned: PlannedMetric
    statistic: StatisticKind
    values: tuple[VariantValue, ...]
    comparisons: tuple[VariantComparison, ...]
    is_decisive: bool

    @property
    def key(self) -> str:
        return self.planned.metric.key

    @property
    def name(self) -> str:
        return self.planned.metric.name or self.key

    @property
    def is_macro(self) -> bool:
        return self.planned.metric.conversion is Conversion.MACRO

    @property
    def wants_more(self) -> bool:
        return self.planned.metric.direction is Direction.INCREASE

    @property
    def total(self) -> float:
        """Conversions, events or amounts of all variants together."""
        return sum(v.statistic.total for v in self.values)

    @property
    def matured(self) -> int:
        return sum(v.statistic.visitors for v in self.values)

    @property
    def exposed(self) -> int:
        return sum(v.exposed for v in self.values)

    def value_of(self, variant: str) -> VariantValue:
        return next(v for v in self.values if v.variant == variant)

    def comparison_of(self, variant: str) -> VariantComparison:
        return next(c for c in self.comparisons if c.variant == variant)
