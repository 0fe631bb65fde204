"""Reading experiments, sites and what is published."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from experiments.core.lifecycle import Status
from experiments.core.metrics import Conversion, Role
from experiments.core.readiness import Draft, DraftMetric, DraftVariant, LayerClaim, Obstacle, obstacles
from experiments.core.refusal import Refused
from experiments.models import Experiment as Experiment
from experiments.models import Metric, PublishedRuleset, Site
from experiments.selectors.plans import audit_failure, definition_of, metric_rows, ordered_variants

STARTED = (Status.RUNNING.value, Status.PAUSED.value)
ANALYSABLE = (*STARTED, Status.STOPPED.value)


def site_by_key(key: str) -> Site:
    """Return the site called `key`.

    Raises: Refused with code `unknown_site`.
    """
    site = Site.objects.filter(key=key).first()
    if site is None:
        known = ", ".join(Site.objects.order_by("key").values_list("key", flat=True)[:10]) or "none yet"
        raise Refused("unknown_site", f"There is no site '{key}'.", f"Use the key of a site that exists ({known}).")
    return site


def experiment_by_key(site_key: str | None, key: str) -> Experiment:
    """Return the experiment called `key`; without a site key the name must be unique among all sites.

    Raises: Refused with code `unknown_experiment` or `ambiguous_experiment`.
    """
    found = list(_with_site().filter(key=key, **({"site__key": site_key} if site_key else {}))[:2])
    if not found:
        where = f" on site '{site_key}'" if site_key else ""
        raise Refused("unknown_experiment", f"There is no experiment '{key}'{where}.", "Check the key in the admin.")
    if len(found) > 1:
        raise Refused("ambiguous_experiment", f"Several sites have an experiment '{key}'.", "Name the site as well.")
    return found[0]


def experiment_for_update(experiment: Experiment) -> Experiment:
    """Return the experiment's row as it stands now, locked until the transaction ends."""
    return Experiment.objects.select_for_update(of=("self",)).select_related("site").get(pk=experiment.pk)


def analysable_experiments(*, statuses: tuple[str, ...] = ANALYSABLE) -> QuerySet[Experiment]:
    """Return the experiments that have a frozen plan and are running, paused or stopped, oldest start first."""
    return _with_site().filter(status__in=statuses, frozen_plan__isnull=False).order_by("started_at", "pk")


def finished_experiments(site_key: str) -> QuerySet[Experiment]:
    """Return the stopped and archived experiments of a site that ever started, oldest first; imported ones among them."""
    statuses = (Status.STOPPED.value, Status.ARCHIVED.value)
    return (
        _with_site()
        .filter(site__key=site_key, status__in=statuses, frozen_plan__isnull=False)
        .order_by("ended_at", "pk")
    )


def due_to_start(now: datetime) -> QuerySet[Experiment]:
    """Return the drafts whose planned start has come, oldest first."""
    return _with_site().filter(status=Status.DRAFT, starts_at__lte=now).order_by("starts_at", "pk")


def due_to_end(now: datetime) -> QuerySet[Experiment]:
    """Return the started experiments whose planned end has come."""
    return _with_site().filter(status__in=STARTED, ends_at__lte=now)


def latest_ruleset_version(site: Site | str) -> int | None:
    """Return the number of the site's newest ruleset; None when it has never published one."""
    filters: dict[str, Any] = {"site__key": site} if isinstance(site, str) else {"site": site}
    newest = PublishedRuleset.objects.filter(**filters).order_by("-version")
    return newest.values_list("version", flat=True).first()


def draft_of(experiment: Experiment, now: datetime) -> Draft:
    """Return the picture of an experiment that the check list before a start looks at.

    Raises: ValueError when a metric's definition cannot be read.
    """
    claimed: tuple[LayerClaim, ...] = ()
    claim = None
    if experiment.layer_id is not None:
        claim = LayerClaim(experiment.key, experiment.layer_start, experiment.layer_end)
        others = Experiment.objects.filter(layer_id=experiment.layer_id, status__in=STARTED).exclude(pk=experiment.pk)
        claimed = tuple(LayerClaim(e.key, e.layer_start, e.layer_end) for e in others.order_by("layer_start"))
    milestones = Metric.objects.filter(site_id=experiment.site_id, conversion=Conversion.MILESTONE.value)
    return Draft(
        key=experiment.key,
        now=now,
        variants=tuple(DraftVariant(v.key, v.weight, v.is_control) for v in ordered_variants(experiment)),
        metrics=tuple(
            DraftMetric(
                definition=definition_of(row.metric),
                role=Role(row.role),
                margin=row.margin,
                reason=row.reason,
                is_of_this_site=row.metric.site_id == experiment.site_id,
                audit_failure=audit_failure(row.metric),
            )
            for row in metric_rows(experiment)
        ),
        milestones=frozenset(milestones.values_list("key", flat=True)),
        target_step=experiment.target_step,
        audience=experiment.audience,
        traffic=experiment.traffic,
        layer=experiment.layer.key if experiment.layer else None,
        claim=claim,
        claimed=claimed,
        layer_is_of_this_site=experiment.layer is None or experiment.layer.site_id == experiment.site_id,
        holdout_is_of_this_site=experiment.holdout is None or experiment.holdout.site_id == experiment.site_id,
        ends_at=experiment.ends_at,
        has_no_end=experiment.has_no_end,
        planned_visitors=experiment.planned_visitors,
        covariates=tuple(experiment.covariates),
        retest_fault=_retest_fault(experiment),
    )


def _retest_fault(experiment: Experiment) -> str:
    earlier = experiment.retest_of
    if earlier is None:
        return ""
    if earlier.site_id != experiment.site_id:
        return f"'{earlier.key}' belongs to another site."
    if earlier.status not in {Status.STOPPED.value, Status.ARCHIVED.value} or earlier.started_at is None:
        return f"'{earlier.key}' is not finished."
    return ""


def start_obstacles(experiment: Experiment, now: datetime) -> tuple[Obstacle, ...]:
    """Return everything that keeps the experiment from starting; empty when it may start."""
    try:
        draft = draft_of(experiment, now)
    except ValueError as error:
        return (Obstacle("metric_incomplete", f"A metric cannot be read: {error}", "Mend its definition first."),)
    return obstacles(draft)


def _with_site() -> QuerySet[Experiment]:
    return Experiment.objects.select_related("site", "layer", "holdout", "owner")
