"""What can be planned: sites, their metrics, and the draft of an experiment, as core values."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.core.funnel import PROXY_ENGINE, decision_rule_for
from experiments.core.lifecycle import Status
from experiments.core.metrics import MetricDefinition
from experiments.core.plan import Futility, LearnedPrior, PlannedMetric
from experiments.core.refusal import Refused
from experiments.models import GRID, Experiment, Metric, Site
from experiments.selectors.plans import definition_of, learned_of, metric_rows, ordered_variants, planned_metric


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """A site to plan for. `learned` is what its finished experiments said of ideas whose kind is not named."""

    key: str
    name: str
    time_zone: str
    learned: LearnedPrior | None = None


@dataclass(frozen=True, slots=True)
class PlanningDraft:
    """What an experiment says of its own plan so far, complete or not. `weights` are empty with fewer than two variants.

    `horizon_weeks` is None for an imported experiment and without a planned end (`has_no_end`). Units: `traffic` is a share.
    """

    site: str
    key: str
    name: str
    metrics: tuple[PlannedMetric, ...]
    weights: tuple[float, ...]
    traffic: float
    horizon_weeks: int | None
    has_no_end: bool
    look_every_days: int
    futility: Futility
    risk_preset: str
    change_type: str
    target_step: str | None
    learned: LearnedPrior | None


def sites() -> list[SiteFacts]:
    """Return every site, by name."""
    return [
        SiteFacts(site.key, site.name, site.time_zone, learned_of(site))
        for site in Site.objects.order_by("name", "key")
    ]


def metrics_of(site_key: str) -> list[MetricDefinition]:
    """Return the site's metrics, the macro conversions first.

    Raises: Refused with code `metric_incomplete` for one that cannot be read.
    """
    rows = Metric.objects.filter(site__key=site_key).select_related("parent").order_by("key")
    try:
        found = [definition_of(row) for row in rows]
    except ValueError as error:
        raise Refused("metric_incomplete", f"A metric cannot be read: {error}", "Mend its definition first.") from error
    return sorted(found, key=lambda metric: (metric.conversion != "macro", metric.funnel_order or 0, metric.key))


def experiments_with_funnel() -> list[Experiment]:
    """Return the drafts and the running or paused experiments that the steps towards the goal decide; imported ones have no start."""
    rows = (
        Experiment.objects.filter(status__in=[Status.DRAFT, Status.RUNNING, Status.PAUSED], is_imported=False)
        .select_related("site")
        .order_by("pk")
    )
    return [row for row in rows if _is_decided_by_funnel(row)]


def _is_decided_by_funnel(experiment: Experiment) -> bool:
    try:
        metrics = tuple(planned_metric(row) for row in metric_rows(experiment))
    except ValueError:
        return False
    return decision_rule_for(metrics, is_imported=False)[0] == PROXY_ENGINE


def planning_draft(experiment: Experiment) -> PlanningDraft:
    """Return what the experiment says of its plan.

    Raises: Refused with code `metric_incomplete` for a metric that cannot be read.
    """
    weights = [variant.weight for variant in ordered_variants(experiment)]
    try:
        metrics = tuple(planned_metric(row) for row in metric_rows(experiment))
    except ValueError as error:
        raise Refused("metric_incomplete", f"A metric cannot be read: {error}", "Mend its definition first.") from error
    return PlanningDraft(
        site=experiment.site.key,
        key=experiment.key,
        name=experiment.name,
        metrics=metrics,
        weights=tuple(w / sum(weights) for w in weights) if len(weights) > 1 else (),
        traffic=experiment.traffic / GRID,
        horizon_weeks=None if experiment.is_imported else experiment.horizon_weeks,
        has_no_end=experiment.has_no_end,
        look_every_days=experiment.look_every_days,
        futility=Futility(experiment.futility),
        risk_preset=experiment.risk_preset,
        change_type=experiment.change_type,
        target_step=experiment.target_step or None,
        learned=learned_of(experiment.site, experiment.change_type),
    )
