"""Published rulesets in the admin: read only, for checking what clients are told."""

from __future__ import annotations

import json

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.decorators import display

from experiments.admin.base import InklingAdmin
from experiments.models import PublishedRuleset


@admin.register(PublishedRuleset)
class RulesetAdmin(InklingAdmin):
    """What clients were told, version by version."""

    list_display = ("title", "created_at", "rules")
    list_filter = ("site",)
    list_select_related = ("site",)
    fields = ("site", "version", "created_at", "content_hash", "pretty")
    readonly_fields = ("pretty",)
    date_hierarchy = "created_at"

    @display(description="Ruleset", ordering="version", header=True)
    def title(self, ruleset: PublishedRuleset) -> list[str]:
        return [f"Version {ruleset.version}", str(ruleset.site)]

    @display(description="Rules")
    def rules(self, ruleset: PublishedRuleset) -> str:
        started = [rule["key"] for rule in ruleset.document["experiments"] if rule["status"] == "running"]
        return ", ".join(started) or "Nothing runs"

    @display(description="Document")
    def pretty(self, ruleset: PublishedRuleset) -> str:
        text = json.dumps(ruleset.document, indent=2, ensure_ascii=False)
        return format_html('<pre class="overflow-x-auto text-xs whitespace-pre-wrap break-all">{}</pre>', text)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
