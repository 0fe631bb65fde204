"""The files of the event store, to look at and not to touch: only the compactor may change them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from unfold.admin import ModelAdmin

from tracking.models import EventFile


@admin.register(EventFile)
class EventFileAdmin(ModelAdmin):
    """Shows how many events each site has on each day, and whether compaction keeps up."""

    list_display = ("site", "day", "rows", "size", "created_at")
    list_filter = ("site",)
    date_hierarchy = "day"
    ordering = ("-day", "site", "-pk")
    show_full_result_count = False

    @admin.display(description="size", ordering="size_bytes")
    def size(self, file: EventFile) -> str:
        return filesizeformat(file.size_bytes)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
