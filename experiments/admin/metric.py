"""Metrics in the admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from experiments import services
from experiments.admin.base import InklingAdmin, person_of
from experiments.admin.fields import PercentField, PrettyJSONField, describe_like_model
from experiments.core.metric_kinds import METRIC_KINDS
from experiments.core.metrics import Conversion
from experiments.models import Metric, Site
from experiments.selectors.metrics import DEFINING_FIELDS, changed_fields, lock_reason
from experiments.selectors.plans import definition_of

CONVERSION_COLOURS = {
    Conversion.MACRO.value: "success",
    Conversion.MILESTONE.value: "info",
    Conversion.SECONDARY.value: "default",
}


class MetricForm(forms.ModelForm):  # type: ignore[type-arg]
    """A metric as a person defines it; says what is missing before anything is stored."""

    kind = forms.ChoiceField(
        choices=[(key, kind.label) for key, kind in METRIC_KINDS.items()], widget=UnfoldAdminSelectWidget()
    )
    property_filters = PrettyJSONField(empty=list)
    options = PrettyJSONField()
    expected_pass_through = PercentField(per_percent=0.01, required=False)

    class Meta:
        model = Metric
        fields = (
            "site",
            "key",
            "name",
            "description",
            "conversion",
            "funnel_order",
            "parent",
            "expected_pass_through",
            "kind",
            "event_name",
            "property_filters",
            "value_property",
            "denominator_event",
            "options",
            "window_hours",
            "cap",
            "direction",
            "is_archived",
        )
        widgets = {"description": UnfoldAdminTextareaWidget(attrs={"rows": 2})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        describe_like_model(self)
        if "parent" in self.fields and self.instance.site_id:
            milestones = Metric.objects.filter(site_id=self.instance.site_id, conversion=Conversion.MILESTONE.value)
            self.fields["parent"].queryset = milestones.exclude(pk=self.instance.pk)  # type: ignore[attr-defined]
        if "site" in self.fields and self.instance.pk is None and Site.objects.count() == 1:
            self.initial.setdefault("site", Site.objects.get().pk)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        parent, site = cleaned.get("parent"), cleaned.get("site")
        if parent is not None and site is not None and parent.site_id != site.pk:
            self.add_error("parent", "The step before must belong to the same site.")
        if cleaned.get("funnel_order") is not None and cleaned.get("conversion") != Conversion.MILESTONE:
            self.add_error("funnel_order", "Only a milestone has a place on the way; leave it empty.")
        return cleaned

    def _post_clean(self) -> None:
        """Ask the metric kind and the running experiments once the instance holds what was typed."""
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        metric: Metric = self.instance
        for fault in METRIC_KINDS[metric.kind].check(definition_of(metric)):
            self.add_error(None, fault)
        before = Metric.objects.filter(pk=metric.pk).first() if metric.pk else None
        if before is not None:
            defining = changed_fields(before, metric) & set(DEFINING_FIELDS)
            reason = lock_reason(before)
            if defining and reason:
                self.add_error(None, f"{reason} Not changed: {', '.join(sorted(defining))}.")


@admin.register(Metric)
class MetricAdmin(InklingAdmin):
    """Where it is said what counts."""

    form = MetricForm
    list_display = ("title", "conversion_badge", "kind_label", "event_name", "used_by", "definition_version")
    list_filter = ("conversion", "site", "kind", "is_archived")
    list_select_related = ("site",)
    search_fields = ("key", "name", "event_name")
    readonly_fields = ("definition_version", "self_audit", "guide")
    conditional_fields = {
        "funnel_order": "conversion == 'milestone'",
        "parent": "conversion == 'milestone'",
        "expected_pass_through": "conversion != 'macro'",
        "denominator_event": "kind == 'ratio'",
        "value_property": "kind != 'conversion' && kind != 'event_count' && kind != 'time_to_event'",
        "cap": "kind != 'conversion' && kind != 'time_to_event' && kind != 'quantile'",
    }
    fieldsets = (
        (None, {"fields": ("site", "name", "key", "description")}),
        ("Where it stands", {"fields": ("conversion", "funnel_order", "parent", "expected_pass_through", "direction")}),
        (
            "What is counted",
            {"fields": ("kind", "event_name", "denominator_event", "value_property", "property_filters")},
        ),
        ("How far", {"fields": ("window_hours", "cap", "self_audit", "guide")}),
        ("Rarely needed", {"fields": ("options", "is_archived", "definition_version"), "classes": ("collapse",)}),
    )

    @display(description="Metric", ordering="name", header=True)
    def title(self, metric: Metric) -> list[str]:
        return [metric.name, f"{metric.key} · {metric.site}"]

    @display(description="Conversion", ordering="conversion", label=CONVERSION_COLOURS)
    def conversion_badge(self, metric: Metric) -> tuple[str, str]:
        order = f" {metric.funnel_order}" if metric.funnel_order is not None else ""
        return metric.conversion, metric.get_conversion_display() + order

    @display(description="Kind", ordering="kind")
    def kind_label(self, metric: Metric) -> str:
        kind = METRIC_KINDS.get(metric.kind)
        return kind.label.split(":")[0] if kind else f"{metric.kind} (unknown)"

    @display(description="Self-audit")
    def self_audit(self, metric: Metric) -> str:
        if not metric.audit_outcome:
            return "Not yet. `manage.py self_audit` tries it on this site's own past."
        is_current = metric.audit_outcome.get("definition_version") == metric.definition_version
        found = f"{str(metric.audit_outcome.get('state', '')).capitalize()}. {metric.audit_outcome.get('reason', '')}"
        return found if is_current else f"{found} The definition has changed since; audit it again."

    @display(description="As a guide")
    def guide(self, metric: Metric) -> str:
        if not metric.pk:
            return "Told once it is saved."
        if metric.conversion == Conversion.MACRO:
            return "This is a goal; micro conversions are held against it."
        page = f"{reverse('proxy', args=[metric.key])}?site={metric.site.key}"
        return format_html('<a href="{}">What is known of it beside the goal</a>', page)

    @display(description="Experiments")
    def used_by(self, metric: Metric) -> int:
        return metric.experiment_metrics.count()

    def save_model(self, request: HttpRequest, obj: Metric, form: forms.ModelForm[Any], change: bool) -> None:
        services.save_metric(metric=obj, by=person_of(request))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if isinstance(obj, Metric) and obj.experiment_metrics.exists():
            return False
        return bool(super().has_delete_permission(request, obj))
