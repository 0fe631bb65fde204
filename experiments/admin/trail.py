"""The audit trail as people read it: one sentence and the changed values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from auditlog.models import LogEntry
from django.db.models import Field, ForeignKey

from experiments.admin.fields import percent_text

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
SHARES = ("traffic", "weight", "layer_start", "layer_end", "share")
OWNERS = ("site", "experiment")
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
    fields = {f.name: f for f in model._meta.concrete_fields} if model is not None else {}
    for name, pair in (row.changes_dict or {}).items():
        if not isinstance(pair, list) or len(pair) != 2:
            continue
        field = fields.get(name)
        if row.action == LogEntry.Action.CREATE and (name in OWNERS or _is_default(field, str(pair[1]))):
            continue
        label = str(field.verbose_name) if field is not None else name.replace("_", " ")
        yield Change(label, _shown(field, str(pair[0])), _shown(field, str(pair[1])))


def _is_default(field: Field[Any, Any] | None, text: str) -> bool:
    return text in NOTHING or (field is not None and field.has_default() and str(field.get_default()) == text)


def _shown(field: Field[Any, Any] | None, text: str) -> str:
    """Return a stored value as people read it: names for keys of other rows, per cent for shares."""
    if text in NOTHING:
        return "–"
    if isinstance(field, ForeignKey) and text.isdigit():
        other = field.related_model._default_manager.filter(pk=text).first()
        return str(other) if other is not None else f"{field.verbose_name} {text}, deleted since"
    if field is not None and field.name in SHARES and text.isdigit():
        return percent_text(int(text))
    return text
