"""Auditing metrics on the site's own past: read it, split it at random, keep what came of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.core.metric_kinds import METRIC_KINDS
from experiments.selectors.plans import definition_of
from reports.code_version import code_version
from reports.core.progress import microseconds, moment
from reports.core.self_audit import SPLITS, AuditState, SelfAudit, self_audit
from reports.models import MetricAudit
from tracking.core.history import HistoryRequest, VisitorHistory
from tracking.selectors import event_store

if TYPE_CHECKING:
    from experiments.selectors.metrics import Metric

LEAST_DAYS = 28
ONE_DAY = timedelta(days=1)


def audit_metric(
    *, metric: Metric, now: datetime, seed: int, days: int = LEAST_DAYS, splits: int = SPLITS
) -> MetricAudit:
    """Audit a metric on the visitors first seen in the last `days` days whose window has passed, and keep the outcome.

    What it says of the metric goes to the check list before a start through the service `note_audit`, with
    `outcome_document` of this audit.
    """
    definition = definition_of(metric)
    kind = METRIC_KINDS[definition.kind]
    # Whole days: with half a day, one weekday would count more than the others.
    as_of = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    until = as_of - timedelta(hours=definition.window_hours or 0)
    since = until - days * ONE_DAY
    history = event_store().visitor_history(
        HistoryRequest(
            site=metric.site.key,
            since=microseconds(since),
            until=microseconds(until),
            as_of=microseconds(as_of),
            columns=kind.columns(definition),
        )
    )
    rng = np.random.default_rng(seed)
    # Visitors come in the order that the store likes; sorted, the same seed is the same audit.
    order = np.lexsort([*history.columns.values(), history.first_seen])
    columns = {name: values[order] for name, values in history.columns.items()}
    found = self_audit(kind.statistic, kind.values(definition, columns), rng, splits=splits)
    found = _with_enough_days(found, history, until)
    return MetricAudit.objects.create(
        metric=metric,
        definition_version=metric.definition_version,
        state=found.state.value,
        reason=found.reason,
        since=since,
        until=until,
        visitors=found.visitors,
        splits=found.splits,
        seed=seed,
        alpha=found.alpha,
        false_positive_rate=found.rate,
        rate_low=found.interval.low if found.interval else None,
        rate_high=found.interval.high if found.interval else None,
        base=found.base,
        detectable_lift=found.detectable_lift,
        code_version=code_version(),
        audited_at=now,
    )


def outcome_document(audit: MetricAudit) -> dict[str, Any]:
    """Return what is noted on the metric."""
    return {
        "audit": audit.pk,
        "state": audit.state,
        "reason": audit.reason,
        "definition_version": audit.definition_version,
        "false_positive_rate": audit.false_positive_rate,
        "detectable_lift": audit.detectable_lift,
        "visitors": audit.visitors,
    }


def _with_enough_days(found: SelfAudit, history: VisitorHistory, until: datetime) -> SelfAudit:
    """Return no opinion where the history does not cover four weeks: their weekdays and their noise are the least to go by."""
    if found.state is AuditState.UNDECIDED:
        return found
    covered = -((moment(int(history.first_seen.min())) - until) // ONE_DAY)
    if covered >= LEAST_DAYS:
        return found
    return replace(
        found,
        state=AuditState.UNDECIDED,
        reason=f"The history covers {covered} days; an audit needs {LEAST_DAYS}.",
        rate=None,
        interval=None,
        base=None,
        detectable_lift=None,
        splits=0,
    )
