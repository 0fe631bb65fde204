"""What keeps a draft from starting: a tuple of pure checks over one frozen picture of the draft."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from experiments.core.covariates import covariate_from_text
from experiments.core.funnel import funnel_steps
from experiments.core.metric_kinds import METRIC_KINDS
from experiments.core.metric_kinds.base import StatisticKind
from experiments.core.metrics import Conversion, MetricDefinition, Role
from experiments.core.refusal import Refused
from experiments.core.sharing import cost_of_sharing
from experiments.core.targeting import condition_problems

GRID = 10_000
BOLD_MARGIN = 0.2
MOST_CONFIRMATORY = 3  # micro conversions that may win without a word


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing that is missing or wrong. `code` is for machines, `message` says what, `advice` what to do."""

    code: str
    message: str
    advice: str


@dataclass(frozen=True, slots=True)
class DraftVariant:
    """A variant as configured. Units: `weight` in 1/10,000."""

    key: str
    weight: int
    is_control: bool


@dataclass(frozen=True, slots=True)
class DraftMetric:
    """A metric as configured, with its role and, for a guardrail, its margin and the reason given for it.

    `audit_failure` says why this very definition did not pass its self-audit; empty when it did or had none.
    """

    definition: MetricDefinition
    role: Role
    margin: float | None = None
    reason: str = ""
    is_of_this_site: bool = True
    audit_failure: str = ""


@dataclass(frozen=True, slots=True)
class LayerClaim:
    """The part of a layer that an experiment takes. Units: 1/10,000; `start` is in, `end` is out."""

    experiment: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything the checks look at. `claimed` are the parts of the same layer taken by started experiments; `retest_fault` says why the
    experiment that it names cannot be tested again.
    """

    key: str
    now: datetime
    variants: tuple[DraftVariant, ...] = ()
    metrics: tuple[DraftMetric, ...] = ()
    milestones: frozenset[str] = frozenset()
    target_step: str = ""
    audience: dict[str, Any] = field(default_factory=dict)
    traffic: int = GRID
    layer: str | None = None
    claim: LayerClaim | None = None
    claimed: tuple[LayerClaim, ...] = ()
    layer_is_of_this_site: bool = True
    holdout_is_of_this_site: bool = True
    ends_at: datetime | None = None
    has_no_end: bool = False
    planned_visitors: int | None = None
    covariates: tuple[str, ...] = ()
    retest_fault: str = ""


Check = Callable[[Draft], Iterator[Obstacle]]


class StartRefused(Refused):
    """A start that the check list does not allow; `obstacles` says everything that is in the way."""

    def __init__(self, obstacles: tuple[Obstacle, ...]) -> None:
        super().__init__(
            "not_ready",
            "This experiment cannot start yet: " + " ".join(o.message for o in obstacles),
            " ".join(dict.fromkeys(o.advice for o in obstacles)),
        )
        self.obstacles = obstacles


def obstacles(draft: Draft) -> tuple[Obstacle, ...]:
    """Return everything that keeps `draft` from starting, in the order a person would mend it; empty when it may start."""
    return tuple(obstacle for check in READINESS_CHECKS for obstacle in check(draft))


def check_variants(draft: Draft) -> Iterator[Obstacle]:
    if len(draft.variants) < 2:
        yield Obstacle(
            "too_few_variants",
            f"It has {len(draft.variants)} variants; a comparison needs at least two.",
            "Add the control and at least one other variant.",
        )
    controls = [v.key for v in draft.variants if v.is_control]
    if len(controls) != 1:
        yield Obstacle(
            "no_control" if not controls else "several_controls",
            "No variant is the control."
            if not controls
            else f"Several variants are the control: {', '.join(controls)}.",
            "Tick 'control' for exactly one variant: the one the others are compared with.",
        )


def check_weights(draft: Draft) -> Iterator[Obstacle]:
    total = sum(v.weight for v in draft.variants)
    if draft.variants and total != GRID:
        yield Obstacle(
            "weights_do_not_add_up",
            f"The weights add up to {total / 100:g} %, not 100 %.",
            "Change the weights of the variants so that they add up to exactly 100 %.",
        )


def check_metrics_exist(draft: Draft) -> Iterator[Obstacle]:
    if not draft.metrics:
        yield Obstacle(
            "no_metric",
            "It measures nothing.",
            "Add at least the macro metric, as primary or as guardrail with a margin.",
        )
        return
    if not any(m.role in {Role.PRIMARY, Role.PROXY} for m in draft.metrics):
        yield Obstacle(
            "no_success_metric",
            "No metric has the role primary or proxy, so nothing could ever win.",
            "Give one metric the role primary or proxy.",
        )


def check_macro_is_protected(draft: Draft) -> Iterator[Obstacle]:
    protecting = {Role.PRIMARY, Role.GUARDRAIL}
    macros = [m for m in draft.metrics if m.definition.conversion is Conversion.MACRO]
    if draft.metrics and not any(m.role in protecting for m in macros):
        yield Obstacle(
            "macro_unprotected",
            "No macro metric has the role primary or guardrail, so a gain in small steps could hide a loss in the goal itself.",
            "Add the macro metric as guardrail with a margin, or make it primary.",
        )
    for planned in draft.metrics:
        if planned.role is Role.PROXY and planned.definition.conversion is Conversion.MACRO:
            yield Obstacle(
                "macro_as_proxy",
                f"'{planned.definition.key}' is the macro conversion itself; it cannot stand in for itself as a proxy.",
                "Give it the role primary or guardrail.",
            )


def check_margins(draft: Draft) -> Iterator[Obstacle]:
    for planned in draft.metrics:
        key = planned.definition.key
        if planned.role is not Role.GUARDRAIL:
            continue
        if planned.margin is None or not 0 < planned.margin < 1:
            yield Obstacle(
                "guardrail_without_margin",
                f"Guardrail '{key}' has no margin between 0 and 100 %.",
                "Write the drop that you could live with; 10 % is usual.",
            )
        elif planned.margin > BOLD_MARGIN and not planned.reason.strip():
            yield Obstacle(
                "margin_needs_reason",
                f"Guardrail '{key}' tolerates a drop of {planned.margin * 100:g} %, which is more than 20 %.",
                "Say in its reason why such a loss would be acceptable, or choose a smaller margin.",
            )


def check_definitions(draft: Draft) -> Iterator[Obstacle]:
    for planned in draft.metrics:
        definition = planned.definition
        if not planned.is_of_this_site:
            yield Obstacle(
                "metric_of_another_site",
                f"Metric '{definition.key}' belongs to another site.",
                "Choose a metric of this experiment's site.",
            )
        kind = METRIC_KINDS.get(definition.kind)
        if kind is None:
            yield Obstacle(
                "metric_kind_unknown",
                f"Metric '{definition.key}' has the kind '{definition.kind}', which does not exist here.",
                f"Use one of {', '.join(METRIC_KINDS)}.",
            )
            continue
        for fault in kind.check(definition):
            yield Obstacle(
                "metric_incomplete", f"Metric '{definition.key}': {fault}", "Mend the definition of the metric first."
            )


def check_audits(draft: Draft) -> Iterator[Obstacle]:
    for planned in draft.metrics:
        if planned.audit_failure and planned.role is not Role.EXPLORATORY:
            yield Obstacle(
                "metric_failed_audit",
                f"Metric '{planned.definition.key}' failed its self-audit, so it may not decide: {planned.audit_failure}",
                "Make it exploratory, or mend its definition (a cap tames single huge orders) and audit it again "
                "with `manage.py self_audit`.",
            )


def check_confirmatory(draft: Draft) -> Iterator[Obstacle]:
    """Ask for a reason for every micro conversion beyond the usual number that could win by itself.

    Steps of a funnel are weighed together by the proxy engine and cost each other nothing.
    """
    if funnel_steps(m.definition for m in draft.metrics):
        return
    success = [m for m in draft.metrics if m.role in {Role.PRIMARY, Role.PROXY}]
    micro = [m for m in success if m.definition.conversion is not Conversion.MACRO]
    for number, planned in enumerate(micro[MOST_CONFIRMATORY:], start=MOST_CONFIRMATORY + 1):
        if not planned.reason.strip():
            yield Obstacle(
                "micro_without_reason",
                f"'{planned.definition.key}' is micro conversion number {number} that could win: all share alpha, so that each of "
                f"{len(success)} needs {cost_of_sharing(len(success)):.2f} times the visitors of one alone.",
                "Make it exploratory, or write in its reason why it must be able to decide.",
            )


def check_retest(draft: Draft) -> Iterator[Obstacle]:
    if draft.retest_fault:
        yield Obstacle(
            "retest_impossible",
            f"It cannot be a re-test: {draft.retest_fault}",
            "Choose a stopped or archived experiment of this site, or leave it empty.",
        )


def check_target(draft: Draft) -> Iterator[Obstacle]:
    if draft.target_step and draft.target_step not in draft.milestones:
        yield Obstacle(
            "target_step_unknown",
            f"The target step '{draft.target_step}' is no milestone of this site.",
            "Choose the key of a milestone metric, or leave the target step empty.",
        )


def check_audience(draft: Draft) -> Iterator[Obstacle]:
    for problem in condition_problems(draft.audience):
        yield Obstacle(
            "audience_invalid",
            f"The audience cannot be understood: {problem}",
            'Write a condition such as {"country": {"$in": ["PT", "ES"]}}, or leave it empty for everyone.',
        )
    if draft.traffic == 0:
        yield Obstacle(
            "no_traffic",
            "Its traffic is 0 %, so nobody would take part.",
            "Set the traffic above 0 %; 100 % is fastest.",
        )


def check_layer(draft: Draft) -> Iterator[Obstacle]:
    if not draft.layer_is_of_this_site or not draft.holdout_is_of_this_site:
        what = "layer" if not draft.layer_is_of_this_site else "holdout"
        yield Obstacle(
            f"{what}_of_another_site", f"Its {what} belongs to another site.", f"Choose a {what} of this site."
        )
    if draft.claim is None:
        return
    for other in draft.claimed:
        if draft.claim.start < other.end and other.start < draft.claim.end:
            yield Obstacle(
                "layer_overlap",
                f"Its part of layer '{draft.layer}' ({draft.claim.start / 100:g} to {draft.claim.end / 100:g} %) overlaps "
                f"with '{other.experiment}' ({other.start / 100:g} to {other.end / 100:g} %), which has started.",
                "Choose a part of the layer that is free, or stop the other experiment first.",
            )


def check_schedule(draft: Draft) -> Iterator[Obstacle]:
    if draft.ends_at is not None and draft.ends_at <= draft.now:
        yield Obstacle(
            "ends_in_the_past",
            f"Its end, {draft.ends_at:%Y-%m-%d %H:%M} UTC, has passed.",
            "Choose a later end or leave it empty.",
        )


def check_no_end(draft: Draft) -> Iterator[Obstacle]:
    """Without a planned end a metric that needs a last look would never decide anything."""
    if not draft.has_no_end:
        return
    if not draft.planned_visitors:
        yield Obstacle(
            "no_end_without_visitors",
            "It has no planned end and no planned visitors, so there is no number to make its intervals narrowest for.",
            "Say the planned visitors, or plan an end in weeks.",
        )
    for planned in draft.metrics:
        kind = METRIC_KINDS.get(planned.definition.kind)
        if planned.role is Role.EXPLORATORY or kind is None:
            continue
        if planned.definition.window_hours is None:
            yield Obstacle(
                "no_end_without_window",
                f"Metric '{planned.definition.key}' has no conversion window: without a planned end it would never decide.",
                "Give the metric a window, plan an end in weeks, or make the metric exploratory.",
            )
        elif kind.statistic is StatisticKind.QUANTILE:
            yield Obstacle(
                "no_end_with_one_look",
                f"Metric '{planned.definition.key}' is a quantile, which decides at the planned end only, and there is none.",
                "Plan an end in weeks, or make the metric exploratory.",
            )


def check_covariates(draft: Draft) -> Iterator[Obstacle]:
    for text in draft.covariates:
        try:
            covariate_from_text(text)
        except ValueError as error:
            yield Obstacle(
                "covariate_unknown",
                str(error),
                "Write it as the help says, or leave it out: nothing else depends on it.",
            )


READINESS_CHECKS: tuple[Check, ...] = (
    check_variants,
    check_weights,
    check_metrics_exist,
    check_macro_is_protected,
    check_margins,
    check_definitions,
    check_audits,
    check_confirmatory,
    check_retest,
    check_target,
    check_audience,
    check_layer,
    check_schedule,
    check_no_end,
    check_covariates,
)
