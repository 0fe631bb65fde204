"""Metrics: defining one, and changing its definition without rewriting history."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from experiments.audit import acting
from experiments.core.metric_kinds import METRIC_KINDS
from experiments.core.metrics import Conversion
from experiments.core.refusal import Refused
from experiments.models import Metric, Site
from experiments.selectors.metrics import DEFINING_FIELDS, changed_fields, lock_reason
from experiments.selectors.plans import audit_failure, definition_of


@transaction.atomic
def ensure_metric(
    *,
    site: Site,
    key: str,
    event_name: str | None = None,
    kind: str = "conversion",
    conversion: Conversion | str = Conversion.SECONDARY,
    by: User | None = None,
    **fields: Any,
) -> Metric:
    """Return the site's metric called `key`, created when there is none; an existing one is left as it is.

    The event is called like the metric unless `event_name` says otherwise; `fields` are further fields of the model.

    Raises: ValidationError or Refused when the definition makes no sense.
    """
    existing = Metric.objects.filter(site=site, key=key).first()
    if existing is not None:
        return existing
    fields.setdefault("name", key.replace("_", " ").replace("-", " ").capitalize())
    metric = Metric(
        site=site,
        key=key,
        event_name=event_name or key,
        kind=kind,
        conversion=Conversion(conversion).value,
        **fields,
    )
    metric.full_clean()
    return save_metric(metric=metric, by=by)


@transaction.atomic
def save_metric(*, metric: Metric, by: User | None = None) -> Metric:
    """Store a new or edited metric; a change of what it measures gives it the next definition version.

    Raises: Refused with code `metric_incomplete`, or `metric_in_use` while a started experiment is measured by it.
    """
    kind = METRIC_KINDS.get(metric.kind)
    if kind is None:
        raise Refused(
            "metric_kind_unknown", f"There is no metric kind '{metric.kind}'.", f"Use one of {', '.join(METRIC_KINDS)}."
        )
    faults = kind.check(definition_of(metric))
    if faults:
        raise Refused("metric_incomplete", f"Metric '{metric.key}' is not complete.", " ".join(faults))
    before = Metric.objects.select_for_update().filter(pk=metric.pk).first() if metric.pk else None
    if before is not None:
        changed = changed_fields(before, metric)
        reason = lock_reason(before)
        if reason and changed & set(DEFINING_FIELDS):
            raise Refused(
                "metric_in_use",
                f"{reason} Not changed: {', '.join(sorted(changed & set(DEFINING_FIELDS)))}.",
                "Make a new metric with the new definition, or wait until the experiment is stopped.",
            )
        metric.definition_version = before.definition_version + bool(changed & set(DEFINING_FIELDS))
    with acting(by):
        metric.save()
        return metric


@transaction.atomic
def note_audit(*, metric: Metric, outcome: dict[str, Any], at: datetime) -> Metric:
    """Keep what a self-audit found on the metric, where the check list before a start reads it.

    `outcome` has at least `state` (passed, failed or undecided), `reason`, and `definition_version`: the definition that was
    audited. A later definition starts with a clean sheet, and a failure is not wiped out by having too little history.
    """
    metric = Metric.objects.select_for_update().get(pk=metric.pk)
    metric.audited_at = at
    if outcome["state"] != "undecided" or not audit_failure(metric):
        metric.audit_outcome = outcome
    metric.save(update_fields=["audited_at", "audit_outcome"])
    return metric
