"""The experiment in the admin: list, form, check list, buttons."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.forms import BaseModelFormSet, ModelForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display

from experiments import services
from experiments.admin.base import InklingAdmin, person_of
from experiments.admin.experiment_buttons import ExperimentButtons
from experiments.admin.experiment_forms import CHANGE_TYPES, ExperimentForm
from experiments.admin.experiment_inlines import SUGGESTED_VARIANTS, MetricInline, VariantInline
from experiments.admin.experiment_page import page_of, report_address
from experiments.admin.fields import percent_text
from experiments.admin.transitions import BY_KEY, CLONE, ConfirmForm, candidates, carry_out
from experiments.core.lifecycle import Status, editable_fields
from experiments.models import Experiment, ExperimentMetric, Site, Variant
from experiments.selectors.overview import days_running

STATUS_COLOURS = {
    Status.DRAFT.value: "info",
    Status.RUNNING.value: "success",
    Status.PAUSED.value: "warning",
    Status.STOPPED.value: "default",
    Status.ARCHIVED.value: "default",
}


# How a locked field is shown: as people read it, not as it is stored.
SHOWN_INSTEAD = {
    "traffic": "traffic_shown",
    "tags": "tags_shown",
    "covariates": "covariates_shown",
    "audience": "audience_shown",
    "layer_start": "layer_start_shown",
    "layer_end": "layer_end_shown",
    "change_type": "change_type_shown",
}


class ShelfFilter(admin.SimpleListFilter):
    """Archived experiments stay out of the way until they are asked for."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((s.value, s.value.capitalize()) for s in Status), ("all", "All, archived too")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Experiment]) -> QuerySet[Experiment]:
        if self.value() == "all":
            return queryset
        if self.value() in list(Status):
            return queryset.filter(status=self.value())
        return queryset.exclude(status=Status.ARCHIVED.value)

    def choices(self, changelist: Any) -> Any:
        shown = list(super().choices(changelist))
        shown[0]["display"] = "Not archived"
        return shown


@admin.register(Experiment)
class ExperimentAdmin(ExperimentButtons, InklingAdmin):
    """Where experiments are set up and run."""

    form = ExperimentForm
    inlines = (VariantInline, MetricInline)
    history_of_children = True
    list_display = ("title", "status_badge", "owner", "running_for", "report_link")
    list_filter = (ShelfFilter, "site", "owner", "layer")
    list_select_related = ("site", "owner")
    search_fields = ("key", "name", "hypothesis", "tags")
    list_per_page = 50
    change_form_outer_before_template = "admin/experiments/experiment/overview.html"
    change_form_outer_after_template = "admin/experiments/experiment/previews.html"
    fieldsets = (
        ("The question", {"fields": (("name", "key"), ("site", "owner"), "hypothesis", "tags", "description")}),
        ("What changes", {"fields": (("change_type", "target_step"),)}),
        ("Who takes part", {"fields": ("traffic", "audience")}),
        (
            "How it is decided",
            {
                "fields": (
                    "risk_preset",
                    ("monitoring", "horizon_weeks"),
                    ("look_every_days", "futility"),
                    "planned_visitors",
                    "covariates",
                    "starts_at",
                    "ends_at",
                )
            },
        ),
        (
            "Rarely needed: re-test, layer, holdout, hashing",
            {
                "fields": ("retest_of", "layer", ("layer_start", "layer_end"), "holdout", "hash_attribute"),
                "classes": ("collapse",),
            },
        ),
    )

    # --- list ---

    def get_queryset(self, request: HttpRequest) -> QuerySet[Experiment]:
        rows: QuerySet[Experiment] = super().get_queryset(request)
        return rows.select_related("site", "layer", "holdout", "owner")

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        several = Site.objects.count() > 1
        return (*self.list_display[:2], *(("site",) if several else ()), *self.list_display[2:])

    @display(description="Experiment", ordering="name", header=True)
    def title(self, experiment: Experiment) -> list[str]:
        return [experiment.name, experiment.key]

    @display(description="Status", ordering="status", label=STATUS_COLOURS)
    def status_badge(self, experiment: Experiment) -> tuple[str, str]:
        label = experiment.get_status_display()
        return experiment.status, f"{label}, imported" if experiment.is_imported else label

    @display(description="Days", ordering="started_at")
    def running_for(self, experiment: Experiment) -> str:
        days = days_running(experiment, timezone.now())
        if days is None:
            return "–"
        return f"{days}\u00a0of\u00a0{experiment.horizon_days}" if experiment.horizon_days else f"{days}"

    @display(description="Report")
    def report_link(self, experiment: Experiment) -> str:
        if not experiment.is_started:
            return "–"
        return format_html('<a class="text-link" href="{}">Report</a>', report_address(experiment))

    # --- page ---

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"owner": request.user.pk, **super().get_changeform_initial_data(request)}

    def get_prepopulated_fields(self, request: HttpRequest, obj: Model | None = None) -> dict[str, tuple[str, ...]]:
        """Suggest a key while the name of a new experiment is typed; later it is in somebody's code and stays."""
        return {"key": ("name",)} if obj is None else {}

    def get_formset_kwargs(self, request: HttpRequest, obj: Model, inline: Any, prefix: str) -> dict[str, Any]:
        kwargs: dict[str, Any] = super().get_formset_kwargs(request, obj, inline, prefix)
        if isinstance(inline, VariantInline) and obj.pk is None:
            kwargs["initial"] = [dict(row) for row in SUGGESTED_VARIANTS]
        return kwargs

    def _locked(self, request: HttpRequest, obj: Model | None) -> frozenset[str]:
        """Return the fields that this person may not change on this experiment now."""
        if not isinstance(obj, Experiment):
            return frozenset()
        every = frozenset(ExperimentForm.Meta.fields)
        if not self.has_change_permission(request, obj):
            return every
        editable = editable_fields(Status(obj.status), is_started=obj.is_started)
        return frozenset() if editable is None else every - editable

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        locked = self._locked(request, obj)
        return (*sorted(locked), *SHOWN_INSTEAD.values()) if locked else ()

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Show what cannot change as people read it: shares in per cent, not on the grid."""
        locked = self._locked(request, obj)

        def shown(entry: Any) -> Any:
            if isinstance(entry, tuple):
                return tuple(shown(name) for name in entry)
            return SHOWN_INSTEAD.get(entry, entry) if entry in locked else entry

        return [
            (title, {**options, "fields": tuple(shown(entry) for entry in options["fields"])})
            for title, options in self.fieldsets
        ]

    @display(description="Traffic")
    def traffic_shown(self, experiment: Experiment) -> str:
        return percent_text(experiment.traffic)

    @display(description="Tags")
    def tags_shown(self, experiment: Experiment) -> str:
        return ", ".join(experiment.tags) or "–"

    @display(description="Covariates")
    def covariates_shown(self, experiment: Experiment) -> str:
        return ", ".join(experiment.covariates) or "–"

    @display(description="Audience")
    def audience_shown(self, experiment: Experiment) -> str:
        return json.dumps(experiment.audience, ensure_ascii=False) if experiment.audience else "Everyone"

    @display(description="Its part of the layer begins at")
    def layer_start_shown(self, experiment: Experiment) -> str:
        return percent_text(experiment.layer_start) if experiment.layer else "–"

    @display(description="and ends at")
    def layer_end_shown(self, experiment: Experiment) -> str:
        return percent_text(experiment.layer_end) if experiment.layer else "–"

    @display(description="Change type")
    def change_type_shown(self, experiment: Experiment) -> str:
        return CHANGE_TYPES.get(experiment.change_type, experiment.change_type) or "–"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        experiment = self.get_object(request, unquote(object_id))
        page = page_of(experiment, timezone.now()) if isinstance(experiment, Experiment) else None
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "page": page})

    # --- writing, through the services only ---

    def save_model(self, request: HttpRequest, obj: Experiment, form: ModelForm[Any], change: bool) -> None:
        services.save_experiment(experiment=obj, now=timezone.now(), by=person_of(request))

    def save_formset(
        self, request: HttpRequest, form: ModelForm[Any], formset: BaseModelFormSet[Any, Any], change: bool
    ) -> None:
        rows = formset.save(commit=False)
        deleted = formset.deleted_objects
        if rows or deleted:
            services.save_draft_rows(
                experiment=form.instance,
                now=timezone.now(),
                save=[row for row in rows if isinstance(row, Variant | ExperimentMetric)],
                delete=[row for row in deleted if isinstance(row, Variant | ExperimentMetric)],
                by=person_of(request),
            )

    def delete_model(self, request: HttpRequest, obj: Experiment) -> None:
        services.delete_draft(experiment=obj, now=timezone.now(), by=person_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Experiment]) -> None:
        for experiment in queryset:
            self.delete_model(request, experiment)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if isinstance(obj, Experiment) and obj.is_started:
            return False
        return bool(super().has_delete_permission(request, obj))

    # --- start, pause, resume, stop, archive, clone ---

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.transition_view)
        return [path("do/<slug:deed>/", view, name="experiments_experiment_do"), *super().get_urls()]

    def transition_view(self, request: HttpRequest, deed: str) -> HttpResponse:
        """Say what the deed will do to the chosen experiments (`?ids=1,2`); do it when that is posted."""
        chosen = BY_KEY.get(deed)
        if chosen is None:
            raise Http404(f"There is no action '{deed}'.")
        if not (self.has_add_permission(request) if deed == CLONE else self.has_run_permission(request)):
            raise PermissionDenied
        ids = [int(n) for n in request.GET.get("ids", "").split(",") if n.isascii() and n.isdigit() and len(n) < 18]
        experiments = list(self.get_queryset(request).filter(pk__in=ids).order_by("name"))
        back = reverse("admin:experiments_experiment_changelist")
        if not experiments:
            return HttpResponseRedirect(back)
        if len(experiments) == 1:
            back = reverse("admin:experiments_experiment_change", args=[experiments[0].pk])
        now = timezone.now()
        form = ConfirmForm(chosen, experiments, request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            done = carry_out(request, chosen, experiments, form.cleaned_data, now)
            if deed == CLONE and len(done) == 1:
                back = reverse("admin:experiments_experiment_change", args=[done[0].pk])
            return HttpResponseRedirect(back)
        found = candidates(chosen, experiments, now)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{chosen.label} experiment" + ("s" if len(experiments) > 1 else ""),
            "opts": self.opts,
            "deed": chosen,
            "candidates": found,
            "ready": [c for c in found if not c.obstacles],
            "form": form,
            "back": back,
        }
        return TemplateResponse(request, "admin/experiments/experiment/confirm.html", context)
