"""Editing an experiment: a draft freely, a started one only where that keeps the comparison honest."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from experiments.audit import acting
from experiments.core.lifecycle import Status, editable_fields, frozen_reason
from experiments.core.metrics import Role
from experiments.core.refusal import Refused
from experiments.models import GRID, Experiment, ExperimentMetric, Flag, Metric, Variant
from experiments.selectors.experiments import STARTED, experiment_for_update
from experiments.services.rulesets import publish_ruleset

# Set by the services of the lifecycle only, never by editing.
_LIFECYCLE_FIELDS = ("status", "salt", "started_at", "ended_at", "end_reason", "decision", "is_imported")


def _frozen_error(names: Iterable[str], experiment: Experiment) -> Refused:
    reason = frozen_reason(Status(experiment.status))
    return Refused("plan_frozen", f"Not changed: {', '.join(sorted(names))}.", reason)


@transaction.atomic
def save_experiment(*, experiment: Experiment, now: datetime, by: User | None = None) -> Experiment:
    """Store a new or edited experiment and publish when clients would see the difference.

    Raises: Refused with code `plan_frozen` when a started experiment changes where it may not, `lifecycle_field` when
    an edit tries to set what only starting, stopping and the like may set, `key_taken` when a flag has the key.
    """
    before = Experiment.objects.select_for_update().filter(pk=experiment.pk).first() if experiment.pk else None
    reference = before or Experiment()
    touched = [n for n in _LIFECYCLE_FIELDS if getattr(reference, n) != getattr(experiment, n)]
    if touched:
        raise Refused(
            "lifecycle_field",
            f"{', '.join(touched)} cannot be edited.",
            "Use start, pause, resume, stop or archive.",
        )
    if before is not None:
        editable = editable_fields(Status(before.status), is_started=before.is_started)
        frozen = set() if editable is None else _changed(before, experiment) - editable
        if frozen:
            raise _frozen_error(frozen, before)
    if Flag.objects.filter(site_id=experiment.site_id, key=experiment.key).exists():
        raise Refused(
            "key_taken",
            f"A flag of this site is called '{experiment.key}'; clients could not tell them apart.",
            "Use another key.",
        )
    with acting(by):
        experiment.save()
        publish_ruleset(site=experiment.site, now=now)
    return experiment


@transaction.atomic
def save_draft_rows(
    *,
    experiment: Experiment,
    now: datetime,
    save: Iterable[Variant | ExperimentMetric] = (),
    delete: Iterable[Variant | ExperimentMetric] = (),
    by: User | None = None,
) -> None:
    """Store and delete variants and metrics of an experiment; a started one takes new exploratory metrics only.

    Raises: Refused with code `plan_frozen`.
    """
    is_started = Experiment.objects.filter(pk=experiment.pk, started_at__isnull=False).exists()
    with acting(by):
        for row in delete:
            if is_started:
                raise _frozen_error([str(row)], experiment)
            row.delete()
        # An old control gives way before a new one takes its place: the database holds one at a time.
        rows = sorted(save, key=lambda row: not (isinstance(row, Variant) and row.pk and not row.is_control))
        for row in rows:
            row.experiment = experiment
            if not is_started:
                row.save()
            elif isinstance(row, ExperimentMetric) and row.pk is None:
                add_exploratory_metric(experiment=experiment, metric=row.metric, by=by, reason=row.reason)
            else:
                raise _frozen_error([str(row)], experiment)
        publish_ruleset(site=experiment.site, now=now)


@transaction.atomic
def change_traffic(*, experiment: Experiment, traffic: int, now: datetime, by: User | None = None) -> Experiment:
    """Set the share of the audience that takes part (1/10,000), at any time before the end.

    Raises: Refused with code `traffic_off_grid`, or `wrong_status` when the experiment is over.
    """
    if not 0 <= traffic <= GRID:
        raise Refused(
            "traffic_off_grid", f"A traffic of {traffic} is not between 0 and {GRID}.", "10,000 is everybody."
        )
    row = Experiment.objects.select_for_update().get(pk=experiment.pk)
    if row.status not in ("draft", *STARTED):
        raise Refused("wrong_status", f"'{row.key}' is {row.status}; its traffic means nothing now.", "Clone it.")
    row.traffic = traffic
    saved = save_experiment(experiment=row, now=now, by=by)
    experiment.traffic = saved.traffic
    return saved


@transaction.atomic
def add_exploratory_metric(
    *,
    experiment: Experiment,
    metric: Metric,
    by: User | None = None,
    reason: str = "",
) -> ExperimentMetric:
    """Add a metric to look at, never to decide by; in a started experiment it stays marked as added later.

    Raises: Refused with code `metric_of_another_site` or `metric_already_there`.
    """
    if metric.site_id != experiment.site_id:
        raise Refused(
            "metric_of_another_site",
            f"Metric '{metric.key}' belongs to site '{metric.site.key}', not to '{experiment.site.key}'.",
            "Choose a metric of this site.",
        )
    if experiment.experiment_metrics.filter(metric=metric).exists():
        raise Refused(
            "metric_already_there",
            f"Metric '{metric.key}' is part of '{experiment.key}' already.",
            "A metric has one role in an experiment; leave it or choose another.",
        )
    row = ExperimentMetric(
        experiment=experiment,
        metric=metric,
        role=Role.EXPLORATORY.value,
        reason=reason,
        added_after_start=experiment.is_started,
    )
    with acting(by):
        row.save()
    return row


def _changed(before: Experiment, after: Experiment) -> set[str]:
    fields = [f for f in Experiment._meta.concrete_fields if f.editable]
    return {f.name for f in fields if getattr(before, f.attname) != getattr(after, f.attname)}


@transaction.atomic
def delete_draft(*, experiment: Experiment, now: datetime, by: User | None = None) -> None:
    """Delete an experiment that never started.

    Raises: Refused with code `started_is_kept` for any other.
    """
    if experiment_for_update(experiment).is_started:
        raise Refused(
            "started_is_kept",
            f"'{experiment.key}' has started, so it is never deleted: what was learnt and what went wrong belong together.",
            "Stop and archive it instead.",
        )
    site = experiment.site
    with acting(by):
        experiment.delete()
    publish_ruleset(site=site, now=now)


def note_forecast(*, experiment: Experiment, forecast: dict[str, Any]) -> None:
    """Keep what a simulation says this experiment will be able to find, where its page and its start read it."""
    Experiment.objects.filter(pk=experiment.pk).update(forecast=forecast)
