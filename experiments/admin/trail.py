"""The audit trail as people read it: one sentence and the changed values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from auditlog.models import LogEntry

ACTIONS = {
    LogEntry.Action.CREATE: "created",
    LogEntry.Action.UPDATE: "changed",
    LogEntry.Action.DELETE: "deleted",
    LogEntry.Action.ACCESS: "read",
}
PAST = {
    "start": "started",
    "pause": "paused",
    "resume": "resumed",
    "stop": "stopped",
    "archive": "archived",
    "clone": "cloned",
    "import": "imported",
}
NOTHING = ("", "None", "{}", "[]")


@dataclass(frozen=True, slots=True)
class Change:
    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class TrailEntry:
    """One change: when, who, what was done to which thing, and the values before and after."""

    when: datetime
    who: str
    did: str
    what: str
    reason: str
    changes: tuple[Change, ...]


def trail_entries(rows: Iterable[LogEntry]) -> list[TrailEntry]:
    return [_entry(row) for row in rows]


def _entry(row: LogEntry) -> TrailEntry:
    note = row.additional_data or {}
    done = str(note.get("action", ""))
    return TrailEntry(
        when=row.timestamp,
        who=row.actor.get_username() if row.actor else (row.actor_email or "system"),
        did=PAST.get(done, ACTIONS.get(row.action, "changed")),
        what=f"{row.content_type.name} “{row.object_repr}”",
        reason=str(note.get("reason", "")),
        changes=tuple(_changes(row)),
    )


def _changes(row: LogEntry) -> Iterable[Change]:
    model = row.content_type.model_class()
    for name, pair in (row.changes_dict or {}).items():
        if not isinstance(pair, list) or len(pair) != 2:
            continue
        before, after = (str(v) for v in pair)
        if row.action != LogEntry.Action.UPDATE and before in NOTHING and after in NOTHING:
            continue
        label = name
        if model is not None and name in {f.name for f in model._meta.fields}:
            label = str(model._meta.get_field(name).verbose_name)
        yield Change(
            field=label.replace("_", " "),
            before="–" if before in NOTHING else before,
            after="–" if after in NOTHING else after,
        )
