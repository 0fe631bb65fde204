"""Runs in the admin: to be read, never to be changed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin

from reports.models import AnalysisRun


@admin.register(AnalysisRun)
class AnalysisRunAdmin(ModelAdmin):
    list_display = ("id", "experiment", "status", "verdict", "as_of", "code_version", "report")
    list_filter = ("status", "experiment")
    list_select_related = ("experiment__site",)
    search_fields = ("experiment__key", "experiment__name", "plan_hash")
    date_hierarchy = "as_of"
    ordering = ("-id",)

    @admin.display(description="Verdict")
    def verdict(self, run: AnalysisRun) -> str:
        if run.result is None:
            return str((run.error or {}).get("code", ""))
        return str(run.result["verdict"]["state"]).replace("_", " ")

    @admin.display(description="Report")
    def report(self, run: AnalysisRun) -> str:
        if run.status != AnalysisRun.Status.DONE:
            return ""
        address = reverse("report-run", args=[run.experiment.key, run.pk])
        return format_html('<a href="{}?site={}">open</a>', address, run.experiment.site.key)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
