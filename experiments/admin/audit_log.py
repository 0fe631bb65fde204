"""The whole audit trail in one list, read only."""

from __future__ import annotations

from typing import Any

from auditlog.models import LogEntry
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.timezone import localtime
from unfold.decorators import display

from experiments.admin.base import InklingAdmin
from experiments.admin.trail import ACTIONS, TrailEntry, trail_entries

DID_COLOURS = {"created": "success", "deleted": "danger", "changed": "info"}

admin.site.unregister(LogEntry)


@admin.register(LogEntry)
class AuditLogAdmin(InklingAdmin):
    """Who changed what, when, anywhere."""

    list_display = ("when", "who", "did", "what", "reason", "changed")
    list_display_links = ("when",)
    ordering = ("-timestamp", "-pk")
    list_per_page = 50
    list_filter = (
        "action",
        ("content_type", admin.RelatedOnlyFieldListFilter),
        ("actor", admin.RelatedOnlyFieldListFilter),
    )
    list_select_related = ("actor", "content_type")
    search_fields = ("object_repr", "actor__username")
    date_hierarchy = "timestamp"
    fields = ("timestamp", "who", "did", "what", "reason", "values")
    readonly_fields = ("who", "did", "what", "reason", "values")

    def _entry(self, row: LogEntry) -> TrailEntry:
        return trail_entries([row])[0]

    @display(description="When", ordering="timestamp")
    def when(self, row: LogEntry) -> str:
        return date_format(localtime(row.timestamp), "j M Y, H:i:s")

    @display(description="Who", ordering="actor")
    def who(self, row: LogEntry) -> str:
        return self._entry(row).who

    @display(description="Did", label=DID_COLOURS)
    def did(self, row: LogEntry) -> tuple[str, str]:
        return ACTIONS.get(row.action, "changed"), self._entry(row).did.capitalize()

    @display(description="To")
    def what(self, row: LogEntry) -> str:
        return self._entry(row).what

    @display(description="Because")
    def reason(self, row: LogEntry) -> str:
        return self._entry(row).reason or "–"

    @display(description="Fields")
    def changed(self, row: LogEntry) -> str:
        names = [change.field for change in self._entry(row).changes]
        return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "") or "–"

    @display(description="Values")
    def values(self, row: LogEntry) -> Any:
        rows = format_html_join(
            "",
            '<tr><td class="pr-4 py-1 align-top">{}</td><td class="pr-4 py-1 align-top break-all">{}</td>'
            '<td class="py-1 align-top break-all">{}</td></tr>',
            [(c.field, c.before, c.after) for c in self._entry(row).changes],
        )
        return format_html("<table>{}</table>", rows) if rows else "–"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
