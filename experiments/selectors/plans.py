"""From rows to core values: metric definitions and analysis plans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from experiments.core.covariates import covariates_from_texts
from experiments.core.funnel import PROXY_ENGINE, decision_rule_for
from experiments.core.metrics import Conversion, Direction, MetricDefinition, Role, property_tests
from experiments.core.plan import AnalysisPlan, Futility, LearnedPrior, Monitoring, PlannedMetric, PlannedVariant
from experiments.core.refusal import Refused
from experiments.models import GRID, Experiment, ExperimentMetric, FrozenPlan, Metric, Site, Variant


def definition_of(metric: Metric) -> MetricDefinition:
    """Return the metric's present definition as a core value.

    Raises: ValueError when a property filter, the window or the cap makes no sense.
    """
    return MetricDefinition(
        key=metric.key,
        name=metric.name,
        conversion=Conversion(metric.conversion),
        kind=metric.kind,
        event=metric.event_name,
        where=property_tests(metric.property_filters),
        value_property=metric.value_property or None,
        denominator_event=metric.denominator_event or None,
        window_hours=metric.window_hours,
        cap=metric.cap,
        direction=Direction(metric.direction),
        funnel_order=metric.funnel_order,
        parent=metric.parent.key if metric.parent else None,
        expected_pass_through=metric.expected_pass_through,
        version=metric.definition_version,
        options=dict(metric.options),
    )


def audit_failure(metric: Metric) -> str:
    """Return why the metric's present definition failed its self-audit; empty when it passed, had none, or has changed since."""
    outcome = metric.audit_outcome
    if outcome.get("state") != "failed" or outcome.get("definition_version") != metric.definition_version:
        return ""
    return str(outcome.get("reason", ""))


def ordered_variants(experiment: Experiment) -> list[Variant]:
    """Return the variants in the order in which the hash range is dealt out: the control first, then by position."""
    return sorted(experiment.variants.all(), key=lambda v: (not v.is_control, v.position, v.pk))


def planned_metric(row: ExperimentMetric) -> PlannedMetric:
    return PlannedMetric(
        metric=definition_of(row.metric),
        role=Role(row.role),
        margin=row.margin,
        added_after_start=row.added_after_start,
        is_adjusted=row.is_adjusted,
    )


def metric_rows(experiment: Experiment) -> Sequence[ExperimentMetric]:
    return list(experiment.experiment_metrics.select_related("metric__parent").order_by("id"))


def learned_of(site: Site, change_type: str = "") -> LearnedPrior | None:
    """Return what the site's finished experiments say for a kind of change; None while that is too little to reckon with."""
    found = site.learned_priors.get(change_type)
    return LearnedPrior.from_document(found) if found else None


def draft_plan(experiment: Experiment) -> AnalysisPlan:
    """Return the plan that a start would freeze now.

    Raises: Refused with code `plan_incomplete` while the draft has no control, too few variants or wrong weights.
    """
    try:
        metrics = tuple(planned_metric(row) for row in metric_rows(experiment))
        rule, why = decision_rule_for(metrics, is_imported=experiment.is_imported)
        return AnalysisPlan(
            site=experiment.site.key,
            experiment=experiment.key,
            time_zone=experiment.site.time_zone,
            variants=tuple(
                PlannedVariant(key=v.key, weight=v.weight / GRID, is_control=v.is_control, name=v.name)
                for v in ordered_variants(experiment)
            ),
            metrics=metrics,
            horizon_days=experiment.horizon_days,
            planned_visitors=experiment.planned_visitors,
            monitoring=Monitoring(experiment.monitoring),
            look_every_days=experiment.look_every_days,
            futility=Futility(experiment.futility),
            decision_rule=rule,
            decision_rule_reason=why,
            risk_preset=experiment.risk_preset,
            target_step=experiment.target_step or None,
            change_type=experiment.change_type,
            is_imported=experiment.is_imported,
            started_at=experiment.started_at,
            covariates=covariates_from_texts(experiment.covariates),
            learned=learned_of(experiment.site, experiment.change_type) if rule == PROXY_ENGINE else None,
            holdback_of=experiment.holdback_of.key if experiment.holdback_of else None,
            retest_of=experiment.retest_of.key if experiment.retest_of and rule == PROXY_ENGINE else None,
        )
    except ValueError as error:
        raise Refused(
            "plan_incomplete",
            f"Experiment '{experiment.key}' has no complete plan yet: {error}",
            "Open it in the admin: its check list says what is missing.",
        ) from error


def plan_of(experiment: Experiment) -> AnalysisPlan:
    """Return the frozen plan with the exploratory metrics that were added later; a draft gives a preview.

    The frozen part never changes, so a late metric changes neither roles nor alpha of the others. `frozen_hash_of`
    is the hash that the start recorded.

    Raises: Refused with code `plan_incomplete` for a draft that is not complete.
    """
    frozen = FrozenPlan.objects.filter(experiment=experiment).first()
    if frozen is None:
        return draft_plan(experiment)
    plan = AnalysisPlan.from_document(frozen.document)
    late = tuple(planned_metric(row) for row in metric_rows(experiment) if row.added_after_start)
    return replace(plan, metrics=plan.metrics + late)


def frozen_hash_of(experiment: Experiment) -> str | None:
    """Return the hash recorded when the plan was frozen; None before the start."""
    return FrozenPlan.objects.filter(experiment=experiment).values_list("plan_hash", flat=True).first()
