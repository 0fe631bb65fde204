"""System checks: what is wrong with the installation, each with an id and a hint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections

from experiments.core.lifecycle import TRANSITIONS, Action
from experiments.core.metric_kinds import METRIC_KINDS


@register(Tags.compatibility)
def check_lists(**kwargs: Any) -> list[CheckMessage]:
    """Each list of the pure core must hold every key once and under its own name."""
    messages: list[CheckMessage] = [
        Error(
            f"Metric kind '{kind.key}' is listed under '{key}'.",
            hint="Give each metric kind a `key` of its own in experiments/core/metric_kinds/.",
            id="experiments.E001",
        )
        for key, kind in METRIC_KINDS.items()
        if kind.key != key
    ]
    listed = [t.action for t in TRANSITIONS]
    messages += [
        Error(
            f"The lifecycle table has {listed.count(action)} rows for '{action}'.",
            hint="experiments/core/lifecycle.py: one row for each action.",
            id="experiments.E002",
        )
        for action in Action
        if listed.count(action) != 1
    ]
    return messages


@register(Tags.security)
def check_audit_middleware(**kwargs: Any) -> Sequence[CheckMessage]:
    """Without its middleware the audit trail says what happened, but not who did it."""
    if "auditlog.middleware.AuditlogMiddleware" in settings.MIDDLEWARE:
        return []
    return [
        Error(
            "The audit trail cannot say who changed what.",
            hint="Add auditlog.middleware.AuditlogMiddleware to MIDDLEWARE, after AuthenticationMiddleware.",
            id="experiments.E003",
        )
    ]


@register(Tags.database)
def check_stored_metrics(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Metrics in the database must be of a kind that this installation knows (run with `check --database default`)."""
    from experiments.models import Metric

    messages: list[CheckMessage] = []
    for alias in databases or ():
        # `migrate` runs these checks before it has made the table.
        if Metric._meta.db_table not in connections[alias].introspection.table_names():
            continue
        unknown = Metric.objects.using(alias).exclude(kind__in=METRIC_KINDS).values_list("key", "kind")
        messages += [
            Warning(
                f"Metric '{key}' has the kind '{kind}', which this installation does not know.",
                hint=f"Known kinds: {', '.join(METRIC_KINDS)}. Its experiments report it as not computable.",
                id="experiments.W001",
            )
            for key, kind in unknown
        ]
    return messages
