"""Who did it and why: the audit trail's notes for changes that a service makes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from auditlog.context import auditlog_value, set_actor
from auditlog.registry import auditlog
from django.contrib.auth.models import User

from experiments.models import (
    ApiKey,
    Experiment,
    ExperimentMetric,
    Flag,
    FlagRule,
    FrozenPlan,
    Holdout,
    Layer,
    Metric,
    Site,
    Variant,
)

# Fields that say nothing a reader of the trail could use, or that must not be repeated anywhere.
_SILENT = {
    "id",
    "created_at",
    "definition_version",
    "audited_at",
    "audit_outcome",
    "seed",
    "salt",
    "secret_hash",
    "last_used_at",
    "public_value",
    "document",
}


def register_models() -> None:
    """Tell the audit trail which models and fields it watches."""
    for model in (
        *(Site, ApiKey, Metric, Layer, Holdout, Experiment, Variant, ExperimentMetric, FrozenPlan),
        *(Flag, FlagRule),
    ):
        fields = [field.name for field in model._meta.concrete_fields if field.name not in _SILENT]
        auditlog.register(model, include_fields=fields)


@contextmanager
def acting(by: User | None) -> Iterator[None]:
    """Record the changes made inside as made by `by`; None leaves the actor of the request, if there is one.

    The library's own context manager forgets the surrounding request when it ends, so it is put back here.
    """
    if by is None:
        yield
        return
    missing = object()
    outer: Any = auditlog_value.get(missing)
    address = outer.get("remote_addr") if outer is not missing and outer.get("actor") == by else None
    try:
        with set_actor(by, remote_addr=address):
            yield
    finally:
        if outer is not missing:
            auditlog_value.set(outer)
