"""The analysis plan: what will be compared and decided by, frozen and hashed when an experiment starts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from experiments.core.covariates import (
    COVARIATE_KINDS,
    LOOKBACK_HOURS,
    Covariate,
    check_covariate,
    covariate_from_text,
)
from experiments.core.metrics import (
    Comparator,
    Conversion,
    Direction,
    MetricDefinition,
    PropertyTest,
    Role,
)

PLAN_SCHEMA = 1


class Monitoring(StrEnum):
    """How a running experiment is watched; it cannot be changed after the start.

    GROUP_SEQUENTIAL: looks up to a planned end. CONFIDENCE_SEQUENCE: no planned end; it needs up to 1.7 times the visitors.
    """

    GROUP_SEQUENTIAL = "group_sequential"
    CONFIDENCE_SEQUENCE = "confidence_sequence"


class Futility(StrEnum):
    """How soon an experiment on its way to a planned end is called hopeless: advice that costs visitors, never alpha.

    GENTLE gives up late, EAGER sooner, NEVER not at all: with daily looks over four weeks at most 9.0, 15.2 and 4.9 % more visitors
    than one look, on average 58, 52 and 104 % of them when there is no effect. The names in the plan are those of the spending functions.
    Source: Hwang, Shih & DeCani (1990), Statistics in Medicine 9:1439-1445.
    """

    GENTLE = "HSD(-4)"
    EAGER = "HSD(-2)"
    NEVER = "never"


DAILY, WEEKLY = 1, 7  # days from one look to the next


@dataclass(frozen=True, slots=True)
class PlannedVariant:
    """A variant and its share of the traffic; weights of a plan add up to 1. `name` is what people call it, if anything."""

    key: str
    weight: float
    is_control: bool
    name: str = ""

    @property
    def label(self) -> str:
        return self.name or self.key


@dataclass(frozen=True, slots=True)
class AllocationPeriod:
    """A stretch of time with weights of its own, until the next one starts. Shapes: `weights` is (variants,)."""

    starts_at: datetime
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.starts_at.tzinfo is None:
            raise ValueError(f"A period starts at a moment with a time zone, {self.starts_at.isoformat()} has none.")
        if min(self.weights, default=-1.0) < 0 or abs(sum(self.weights) - 1) > 1e-9:
            raise ValueError(f"The weights of a period are not below 0 and add up to 1, not {self.weights}.")


@dataclass(frozen=True, slots=True)
class PlannedMetric:
    """A metric with its role; `margin` is the relative drop that a guardrail may not exceed (0.1 = 10 %).

    `is_adjusted` says which comparison counts in a plan with covariates: the one with them, or the plain one.
    """

    metric: MetricDefinition
    role: Role
    margin: float | None = None
    added_after_start: bool = False
    is_adjusted: bool = True

    def __post_init__(self) -> None:
        if self.role is Role.GUARDRAIL and not (self.margin is not None and 0 < self.margin < 1):
            raise ValueError(f"Guardrail '{self.metric.key}' needs a margin between 0 and 1, not {self.margin}.")


@dataclass(frozen=True, slots=True)
class LearnedPrior:
    """What the site's finished experiments said of its ideas when the experiment started; frozen with the plan.

    `shares` are the classes of ideas with how common they are, `pass_throughs` the parts of a step's gain that may arrive with their weights,
    `spread` how far one idea's may lie from it. `experiments` are counted as fresh ones of the site's own; `evidence` is the number of
    the stored evidence that it comes from.
    """

    shares: tuple[tuple[str, float], ...]
    pass_throughs: tuple[tuple[float, float], ...]
    spread: float
    grade: str
    experiments: float
    evidence: int

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Rebuild it from plain JSON values. Raises: KeyError or TypeError for a document that is none."""
        return cls(
            shares=tuple((str(name), float(share)) for name, share in document["shares"]),
            pass_throughs=tuple((float(value), float(weight)) for value, weight in document["pass_throughs"]),
            spread=float(document["spread"]),
            grade=str(document["grade"]),
            experiments=float(document["experiments"]),
            evidence=int(document["evidence"]),
        )


@dataclass(frozen=True, slots=True)
class AnalysisPlan:
    """Everything the analysis needs to know beforehand.

    `periods` are given when the weights changed on the way, as those of an imported experiment may have: the variants then
    carry the weights of the last one, and who came before the first start belongs to the first period. Where there are
    `covariates`, shares, means and ratios are compared both plainly and with what these predict taken out; each metric's
    `is_adjusted` says which of the two counts. `retest_of` is the key of the finished experiment whose idea is tested again: what its
    steps measured is pooled with what this one measures. `holdback_of` is the key of the experiment whose winner was shipped and is watched.

    Units: `alpha` is two-sided for the success metrics; `guardrail_alpha` one-sided; `horizon_days` whole weeks in days,
    None for an imported, finished experiment, which is analysed once at a fixed horizon, and for one without a planned end
    (a confidence sequence), whose `planned_visitors` are those that its intervals are made narrowest for. Looks come every
    `look_every_days` from day 7 on.
    """

    site: str
    experiment: str
    time_zone: str
    variants: tuple[PlannedVariant, ...]
    metrics: tuple[PlannedMetric, ...]
    alpha: float = 0.05
    guardrail_alpha: float = 0.05
    horizon_days: int | None = None
    planned_visitors: int | None = None
    monitoring: Monitoring = Monitoring.GROUP_SEQUENTIAL
    look_every_days: int = DAILY
    futility: Futility = Futility.GENTLE
    decision_rule: str = "metric_rule"
    decision_rule_reason: str = ""
    risk_preset: str = "balanced"
    target_step: str | None = None
    change_type: str = ""
    is_imported: bool = False
    started_at: datetime | None = None
    periods: tuple[AllocationPeriod, ...] = ()
    covariates: tuple[Covariate, ...] = ()
    learned: LearnedPrior | None = None
    retest_of: str | None = None
    holdback_of: str | None = None

    def __post_init__(self) -> None:
        self._check_periods()
        for covariate in self.covariates:
            check_covariate(covariate)
        controls = [v.key for v in self.variants if v.is_control]
        if len(controls) != 1:
            raise ValueError(f"A plan has exactly one control, not {len(controls)}: {controls}.")
        if len(self.variants) < 2:
            raise ValueError("A plan compares at least two variants.")
        total = sum(v.weight for v in self.variants)
        if abs(total - 1) > 1e-9:
            raise ValueError(f"The weights of a plan add up to 1, not {total}.")
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha lies between 0 and 1, not {self.alpha}.")
        if self.look_every_days not in (DAILY, WEEKLY):
            raise ValueError(f"Looks are {DAILY} or {WEEKLY} days apart, not {self.look_every_days}.")
        if self.has_no_end and (self.horizon_days is not None or self.is_imported):
            raise ValueError("A confidence sequence is for a running experiment without a planned end.")
        if self.covariates and self.has_changing_weights:
            raise ValueError("Covariates are not taken out where the weights changed on the way.")
        if self.has_no_end and not self.planned_visitors:
            raise ValueError(
                "A confidence sequence needs the number of visitors that its intervals are made narrowest for."
            )

    @property
    def has_no_end(self) -> bool:
        """Whether it runs without a planned end, watched by a confidence sequence."""
        return self.monitoring is Monitoring.CONFIDENCE_SEQUENCE

    def _check_periods(self) -> None:
        if any(len(p.weights) != len(self.variants) for p in self.periods):
            raise ValueError("Every period has one weight per variant.")
        starts = [p.starts_at for p in self.periods]
        if starts != sorted(set(starts)):
            raise ValueError("Periods start one after the other.")
        if self.periods and any(
            abs(v.weight - w) > 1e-9 for v, w in zip(self.variants, self.periods[-1].weights, strict=True)
        ):
            raise ValueError("The variants carry the weights of the last period.")

    @property
    def has_changing_weights(self) -> bool:
        """Whether visitors of different times had different chances of meeting a variant, so that they cannot be pooled."""
        return any(p.weights != self.periods[0].weights for p in self.periods)

    @property
    def traits(self) -> tuple[str, ...]:
        """The keys of the events' context that the covariates need."""
        traits = (COVARIATE_KINDS[c.kind].trait(c) for c in self.covariates)
        return tuple(trait for trait in traits if trait is not None)

    @property
    def lookback_hours(self) -> float:
        """How far before the first exposure the covariates look."""
        return LOOKBACK_HOURS if self.covariates else 0.0

    @property
    def control(self) -> PlannedVariant:
        return next(v for v in self.variants if v.is_control)

    @property
    def treatments(self) -> tuple[PlannedVariant, ...]:
        return tuple(v for v in self.variants if not v.is_control)

    def label_of(self, variant: str) -> str:
        """Return what people call a variant: its name, or its key."""
        return next((v.label for v in self.variants if v.key == variant), variant)

    def with_role(self, *roles: Role) -> tuple[PlannedMetric, ...]:
        return tuple(m for m in self.metrics if m.role in roles)

    def to_document(self) -> dict[str, Any]:
        """Return the plan as plain JSON values; `from_document` is its inverse."""
        document = asdict(self)
        for planned in document["metrics"]:
            planned["metric"]["where"] = list(planned["metric"]["where"])
        document["variants"], document["metrics"] = list(document["variants"]), list(document["metrics"])
        for planned in document["metrics"]:
            if planned["is_adjusted"]:
                del planned["is_adjusted"]  # the usual way goes without saying, and the hash stays what it was
        # Without a change of weights there is nothing to say, and the hash stays what it was before periods existed.
        del document["periods"]
        if self.periods:
            document["periods"] = [
                {"starts_at": p.starts_at.isoformat(), "weights": list(p.weights)} for p in self.periods
            ]
        for name in ("learned", "retest_of", "holdback_of"):
            if document[name] is None:
                del document[name]  # what there is not goes without saying, and the hash stays what it was
        if self.learned is not None:
            document["learned"] = {name: _listed(value) for name, value in asdict(self.learned).items()}
        document["covariates"] = [covariate.text for covariate in self.covariates]
        document["schema"] = PLAN_SCHEMA
        document["started_at"] = self.started_at.isoformat() if self.started_at else None
        return document

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Rebuild a plan from `to_document`'s output.

        Raises: ValueError when the document has another schema or holds values that no plan may have.
        """
        values = dict(document)
        schema = values.pop("schema", None)
        if schema != PLAN_SCHEMA:
            raise ValueError(f"This plan has schema {schema!r}; this version reads schema {PLAN_SCHEMA}.")
        values["variants"] = tuple(PlannedVariant(**v) for v in values["variants"])
        values["metrics"] = tuple(_planned_metric(m) for m in values["metrics"])
        values["monitoring"] = Monitoring(values["monitoring"])
        values["futility"] = Futility(values["futility"])
        values["periods"] = tuple(
            AllocationPeriod(datetime.fromisoformat(p["starts_at"]), tuple(p["weights"]))
            for p in values.get("periods", ())
        )
        values["covariates"] = tuple(covariate_from_text(text) for text in values["covariates"])
        learned = values.get("learned")
        values["learned"] = LearnedPrior.from_document(learned) if learned else None
        started_at = values.get("started_at")
        values["started_at"] = datetime.fromisoformat(started_at) if started_at else None
        return cls(**values)

    def hash(self) -> str:
        """Return the sha256 of what was frozen, in hex; metrics added after the start leave it as it was."""
        frozen = replace(self, metrics=tuple(m for m in self.metrics if not m.added_after_start))
        document = _canonical(frozen.to_document())
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


def _listed(value: Any) -> Any:
    return [_listed(one) for one in value] if isinstance(value, tuple | list) else value


def _canonical(value: Any) -> Any:
    """Return `value` with whole floats as integers, because databases may hand 24.0 back as 24."""
    if isinstance(value, dict):
        return {key: _canonical(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(entry) for entry in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _planned_metric(values: dict[str, Any]) -> PlannedMetric:
    definition = dict(values["metric"])
    definition["conversion"] = Conversion(definition["conversion"])
    definition["direction"] = Direction(definition["direction"])
    definition["where"] = tuple(
        PropertyTest(name=t["name"], comparator=Comparator(t["comparator"]), value=t["value"])
        for t in definition["where"]
    )
    return PlannedMetric(
        metric=MetricDefinition(**definition),
        role=Role(values["role"]),
        margin=values["margin"],
        added_after_start=values["added_after_start"],
        is_adjusted=values.get("is_adjusted", True),
    )
