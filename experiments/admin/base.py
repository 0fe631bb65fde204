"""What every page of the admin does: refusals become messages, and each object shows its audit trail."""

from __future__ import annotations

from typing import Any

from auditlog.models import LogEntry
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin

from experiments.admin.trail import TrailEntry, trail_entries
from experiments.core.refusal import Refused

TRAIL_PER_PAGE = 50


class InklingAdmin(ModelAdmin):
    """A page that writes through services: what a service refuses is shown, and nothing is stored."""

    list_filter_sheet = False
    warn_unsaved_form = True
    history_of_children = False

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except Refused as refusal:
            tell_refusal(request, refusal)
            return HttpResponseRedirect(request.get_full_path())

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show who changed what and when, for this object and the rows that belong to it."""
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            missing: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return missing
        if not self.has_view_or_change_permission(request, obj):
            raise PermissionDenied
        page = Paginator(self.trail_of(obj), TRAIL_PER_PAGE).get_page(request.GET.get("p"))
        entries: list[TrailEntry] = trail_entries(page.object_list)
        context = {
            **self.admin_site.each_context(request),
            "title": "Audit trail",
            "subtitle": str(obj),
            "entries": entries,
            "page_obj": page,
            "object": obj,
            "opts": self.opts,
            "module_name": str(self.opts.verbose_name_plural),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/audit_trail.html", context)

    def trail_of(self, obj: Model) -> QuerySet[LogEntry]:
        """Return the trail of an object, newest first; with its children's where they are kept under its key."""
        own = Q(pk__in=LogEntry.objects.get_for_object(obj).values("pk"))
        if self.history_of_children:
            own |= Q(**{f"additional_data__{self.opts.model_name}": obj.pk})
        rows: QuerySet[LogEntry] = LogEntry.objects.filter(own).select_related("actor", "content_type")
        return rows.order_by("-timestamp", "-pk")


def tell_refusal(request: HttpRequest, refusal: Refused) -> None:
    messages.error(request, f"{refusal.message} {refusal.advice}")


def person_of(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None
