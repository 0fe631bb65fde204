"""Variants and metrics on the page of their experiment."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.db.models import Field, Model
from django.http import HttpRequest
from unfold.admin import TabularInline

from experiments.admin.experiment_forms import (
    METRIC_FIELDS,
    VARIANT_FIELDS,
    LateMetricRowForm,
    MetricRowForm,
    VariantForm,
)
from experiments.admin.fields import percent_text
from experiments.core.lifecycle import Status
from experiments.models import Experiment, ExperimentMetric, Metric, Variant

SUGGESTED_VARIANTS = (
    {"key": "control", "name": "As it is", "position": 0, "is_control": True, "weight": 5_000},
    {"key": "treatment", "name": "", "position": 1, "is_control": False, "weight": 5_000},
)


def _is_started(obj: Model | None) -> bool:
    return isinstance(obj, Experiment) and obj.is_started


class VariantInline(TabularInline):
    """The versions that are compared; locked from the start on."""

    model = Variant
    form = VariantForm
    fields: tuple[str, ...] = VARIANT_FIELDS
    extra = 0
    hide_title = True
    verbose_name = "variant"
    verbose_name_plural = "Variants"
    ordering = ("-is_control", "position", "id")

    def get_extra(self, request: HttpRequest, obj: Model | None = None, **kwargs: Any) -> int:
        return len(SUGGESTED_VARIANTS) if obj is None else 0

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        if self.has_change_permission(request, obj):
            return self.fields
        return ("key", "name", "is_control", "share", "payload_shown", "forced_shown")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return () if self.has_change_permission(request, obj) else ("share", "payload_shown", "forced_shown")

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return not _is_started(obj) and super().has_add_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return not _is_started(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return not _is_started(obj) and super().has_delete_permission(request, obj)

    def share(self, variant: Variant) -> str:
        return percent_text(variant.weight)

    share.short_description = "weight"  # type: ignore[attr-defined]

    def payload_shown(self, variant: Variant) -> str:
        return json.dumps(variant.payload, ensure_ascii=False) if variant.payload else "–"

    payload_shown.short_description = "payload"  # type: ignore[attr-defined]

    def forced_shown(self, variant: Variant) -> str:
        return ", ".join(variant.forced_visitors) or "–"

    forced_shown.short_description = "forced visitors"  # type: ignore[attr-defined]


class MetricInline(TabularInline):
    """What is measured and what for; after the start, exploratory metrics may still be added."""

    model = ExperimentMetric
    form = MetricRowForm
    fields: tuple[str, ...] = METRIC_FIELDS
    extra = 0
    hide_title = True
    verbose_name = "metric"
    verbose_name_plural = "Metrics"
    ordering = ("id",)
    parent: Experiment | None = None

    def get_formset(self, request: HttpRequest, obj: Model | None = None, **kwargs: Any) -> Any:
        self.parent = obj if isinstance(obj, Experiment) else None
        if _is_started(obj):
            kwargs["form"] = LateMetricRowForm
        return super().get_formset(request, obj, **kwargs)

    def formfield_for_foreignkey(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "metric":
            metrics = Metric.objects.filter(is_archived=False)
            if self.parent is not None:
                used = Metric.objects.filter(experiment_metrics__experiment=self.parent)
                metrics = Metric.objects.filter(site_id=self.parent.site_id, is_archived=False) | used
            kwargs["queryset"] = metrics.select_related("site").order_by("site", "conversion", "name").distinct()
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name == "metric" and isinstance(field, forms.ModelChoiceField):
            field.label_from_instance = _metric_label  # type: ignore[assignment]
        return field

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        if self.has_change_permission(request, obj):
            return self.fields
        return ("metric", "role", "margin_shown", "is_adjusted", "reason", "late")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        shown = self.get_fields(request, obj)
        return tuple(name for name in ("margin_shown", "late") if name in shown)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        is_archived = isinstance(obj, Experiment) and obj.status == Status.ARCHIVED
        return not is_archived and super().has_add_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return not _is_started(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return not _is_started(obj) and super().has_delete_permission(request, obj)

    def margin_shown(self, row: ExperimentMetric) -> str:
        return percent_text(row.margin, per_percent=0.01)

    margin_shown.short_description = "margin"  # type: ignore[attr-defined]

    def late(self, row: ExperimentMetric) -> str:
        return "After the start" if row.added_after_start or row.pk is None else "Before the start"

    late.short_description = "added"  # type: ignore[attr-defined]


def _metric_label(metric: Metric) -> str:
    return f"{metric.name} ({metric.get_conversion_display().lower()}, {metric.site})"
