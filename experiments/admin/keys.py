"""API keys in the admin: a secret is shown once, in the answer to the request that made it, and never again."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from experiments import services
from experiments.admin.base import InklingAdmin, person_of
from experiments.core.keys import KeyKind
from experiments.models import ApiKey, Site

STATE_COLOURS = {"active": "success", "unused": "info", "revoked": "danger"}


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new key; afterwards only its name may change."""

    class Meta:
        model = ApiKey
        fields = ("site", "kind", "name", "streams")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "kind" in self.fields:
            self.fields["kind"].help_text = (
                "Client keys are public: they stand in the page and may ask for variants and send events. "
                "Server keys are secret: they may also read results."
            )
        if "site" in self.fields and self.instance.pk is None and Site.objects.count() == 1:
            self.initial.setdefault("site", Site.objects.get().pk)


@admin.register(ApiKey)
class ApiKeyAdmin(InklingAdmin):
    """Where keys are made and revoked."""

    form = ApiKeyForm
    list_display = ("title", "site", "kind_badge", "state_badge", "last_used_at")
    list_filter = ("site", "kind")
    list_select_related = ("site",)
    search_fields = ("name", "prefix")
    actions = None
    actions_detail = ("revoke",)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.revoke_view)
        return [path("<int:pk>/revoke/confirm/", view, name="experiments_apikey_confirm_revoke"), *super().get_urls()]

    @display(description="Key", ordering="name", header=True)
    def title(self, key: ApiKey) -> list[str]:
        return [key.name, f"{key.prefix}…"]

    @display(description="Kind", ordering="kind", label={"client": "info", "server": "warning"})
    def kind_badge(self, key: ApiKey) -> tuple[str, str]:
        return key.kind, key.get_kind_display()

    @display(description="State", label=STATE_COLOURS)
    def state_badge(self, key: ApiKey) -> tuple[str, str]:
        if key.is_revoked:
            return "revoked", "Revoked"
        return ("active", "Active") if key.last_used_at else ("unused", "Never used")

    @display(description="The key")
    def value(self, key: ApiKey) -> str:
        if key.kind == KeyKind.CLIENT:
            return format_html('<code class="break-all select-all">{}</code>', key.public_value)
        return f"{key.prefix}… (secret: shown once when it was made, only its hash is kept)"

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return () if obj is None else ("site", "kind", "value", "created_at", "last_used_at", "revoked_at")

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("site", "kind", "name", "streams")
        return ("name", "streams", "site", "kind", "value", "created_at", "last_used_at", "revoked_at")

    def save_model(self, request: HttpRequest, obj: ApiKey, form: forms.ModelForm[Any], change: bool) -> None:
        if change:
            obj.save(update_fields=["name", "streams"])
            return
        key, token = services.create_api_key(
            site=obj.site, kind=obj.kind, name=obj.name, streams=obj.streams, by=person_of(request)
        )
        obj.pk, obj.prefix = key.pk, key.prefix
        request.inkling_new_token = token  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """Answer with the page that shows the key: the secret is never kept, not even in a session or a message."""
        context = {
            **self.admin_site.each_context(request),
            "title": "Your new key",
            "opts": self.opts,
            "key": obj,
            "is_secret": obj.kind == KeyKind.SERVER,
            "token": getattr(request, "inkling_new_token", ""),
            "back": reverse("admin:experiments_apikey_changelist"),
        }
        response = TemplateResponse(request, "admin/experiments/apikey/created.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    # --- revoking ---

    def has_revoke_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        is_active = ApiKey.objects.filter(pk=object_id, revoked_at__isnull=True).exists() if object_id else True
        return is_active and self.has_change_permission(request)

    @action(
        description="Revoke",
        url_path="revoke",
        icon="block",
        permissions=["revoke"],
        variant=ActionVariant.DANGER,
    )
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:experiments_apikey_confirm_revoke", args=[object_id]))

    def revoke_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Say what revoking does; do it when that is posted."""
        key = self.get_object(request, str(pk))
        back = reverse("admin:experiments_apikey_changelist")
        if not isinstance(key, ApiKey) or not self.has_change_permission(request, key):
            return HttpResponseRedirect(back)
        if request.method == "POST":
            services.revoke_api_key(key=key, now=timezone.now(), by=person_of(request))
            self.message_user(request, f"The key “{key.name}” is revoked.")
            return HttpResponseRedirect(back)
        context = {
            **self.admin_site.each_context(request),
            "title": "Revoke key",
            "opts": self.opts,
            "key": key,
            "back": back,
        }
        return TemplateResponse(request, "admin/experiments/apikey/revoke.html", context)
