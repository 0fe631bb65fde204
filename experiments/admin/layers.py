"""Layers and holdouts in the admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from experiments import services
from experiments.admin.base import InklingAdmin, person_of
from experiments.admin.fields import PercentField, describe_like_model, percent_text
from experiments.models import Holdout, Layer
from experiments.selectors.experiments import STARTED


@admin.register(Layer)
class LayerAdmin(InklingAdmin):
    """Where experiments are kept apart."""

    list_display = ("title", "site", "taken")
    list_filter = ("site",)
    search_fields = ("key", "name")
    fields = ("site", "name", "key")

    @display(description="Layer", ordering="name", header=True)
    def title(self, layer: Layer) -> list[str]:
        return [layer.name, layer.key]

    @display(description="Taken by")
    def taken(self, layer: Layer) -> str:
        started = layer.experiments.filter(status__in=STARTED).order_by("layer_start")
        parts = [f"{e.name} {percent_text(e.layer_start)}–{percent_text(e.layer_end)}" for e in started]
        return ", ".join(parts) or "Free"

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("site", "key") if obj is not None else ()


class HoldoutForm(forms.ModelForm):  # type: ignore[type-arg]
    """A holdout; its share in per cent."""

    share = PercentField(per_percent=100, min_value=0.01, max_value=50)

    class Meta:
        model = Holdout
        fields = ("site", "name", "key", "share")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        describe_like_model(self)


@admin.register(Holdout)
class HoldoutAdmin(InklingAdmin):
    """Where visitors are kept out of everything, to see what all experiments together did."""

    form = HoldoutForm
    list_display = ("title", "site", "share_shown")
    list_filter = ("site",)
    search_fields = ("key", "name")

    @display(description="Holdout", ordering="name", header=True)
    def title(self, holdout: Holdout) -> list[str]:
        return [holdout.name, holdout.key]

    @display(description="Share", ordering="share")
    def share_shown(self, holdout: Holdout) -> str:
        return percent_text(holdout.share)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        return ("site", "key") if self.has_change_permission(request, obj) else ("site", "key", "share_shown")

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        can_change = obj is None or self.has_change_permission(request, obj)
        return ("site", "name", "key", "share" if can_change else "share_shown")

    def save_model(self, request: HttpRequest, obj: Holdout, form: forms.ModelForm[Any], change: bool) -> None:
        services.save_holdout(holdout=obj, now=timezone.now(), by=person_of(request))
