"""The forms of an experiment, its variants and its metrics."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from experiments.admin.fields import LinesField, PercentField, PrettyJSONField, describe_like_model
from experiments.admin.guard import posted_fields, posted_rows
from experiments.core.lifecycle import Status, editable_fields, frozen_reason
from experiments.core.metrics import Conversion, Role
from experiments.core.plan import Monitoring
from experiments.core.sharing import cost_of_sharing
from experiments.core.targeting import condition_problems
from experiments.models import GRID, Experiment, ExperimentMetric, Metric, Site, Variant

CHANGE_TYPES = {
    "layout": "Layout or design",
    "copy": "Copy or headline",
    "price": "Price or how it is shown",
    "promo": "Promotion, scarcity or urgency",
    "checkout": "Checkout",
    "navigation": "Navigation or search",
    "performance": "Speed",
    "trust": "Trust, reviews or guarantees",
    "other": "Something else",
}
VARIANT_FIELDS = ("key", "name", "position", "is_control", "weight", "payload", "forced_visitors")
METRIC_FIELDS = ("metric", "role", "margin", "is_adjusted", "reason")
USUAL, USUAL_MARGIN = "Usual for what it is", 0.1
VARIANTS_PREFIX, METRICS_PREFIX = "variants", "experiment_metrics"


class ExperimentForm(forms.ModelForm):  # type: ignore[type-arg]
    """An experiment as a person configures it: shares in per cent, tags separated by commas."""

    tags = LinesField(comma=True)
    traffic = PercentField(per_percent=100, initial=GRID, label="Traffic (%)")
    layer_start = PercentField(per_percent=100, initial=0, label="Its part begins at (%)")
    layer_end = PercentField(per_percent=100, initial=GRID, label="and ends at (%)")
    audience = PrettyJSONField()
    covariates = LinesField(comma=True)
    change_type = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget())
    target_step = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget())

    class Meta:
        model = Experiment
        fields = (
            "site",
            "key",
            "name",
            "hypothesis",
            "description",
            "owner",
            "tags",
            "change_type",
            "target_step",
            "traffic",
            "audience",
            "hash_attribute",
            "layer",
            "layer_start",
            "layer_end",
            "holdout",
            "retest_of",
            "starts_at",
            "ends_at",
            "risk_preset",
            "monitoring",
            "look_every_days",
            "futility",
            "horizon_weeks",
            "planned_visitors",
            "covariates",
        )
        widgets = {
            "hypothesis": UnfoldAdminTextareaWidget(attrs={"rows": 3}),
            "description": UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        describe_like_model(self)
        self._offer("target_step", self._target_steps())
        own = self.instance.change_type
        others = [] if own in ("", *CHANGE_TYPES) else [(own, own)]
        self._offer("change_type", [("", "Not said"), *CHANGE_TYPES.items(), *others])
        if "site" in self.fields and self.instance.pk is None and Site.objects.count() == 1:
            self.initial.setdefault("site", Site.objects.get().pk)

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields.get(name)
        if isinstance(field, forms.ChoiceField):
            field.choices = choices

    def _target_steps(self) -> list[tuple[str, str]]:
        metrics = Metric.objects.filter(conversion=Conversion.MILESTONE.value)
        if self.instance.site_id:
            metrics = metrics.filter(site_id=self.instance.site_id)
        steps = {m.key: m.name for m in metrics.order_by("funnel_order", "key")}
        if self.instance.target_step and self.instance.target_step not in steps:
            steps[self.instance.target_step] = f"{self.instance.target_step} (no such milestone)"
        return [("", "None in particular"), *steps.items()]

    def clean_audience(self) -> Any:
        audience = self.cleaned_data["audience"]
        problems = condition_problems(audience)
        if problems:
            raise ValidationError(" ".join(problems), code="audience_invalid")
        return audience

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        self._refuse_locked()
        start, end = cleaned.get("layer_start"), cleaned.get("layer_end")
        if start is not None and end is not None and start >= end:
            self.add_error("layer_end", "The part of the layer must end after it begins.")
        self._check_end(cleaned)
        for name in ("layer", "holdout"):
            chosen, site = cleaned.get(name), cleaned.get("site")
            if chosen is not None and site is not None and chosen.site_id != site.pk:
                self.add_error(name, f"This {name} belongs to site '{chosen.site}', not to '{site}'.")
        return cleaned

    def _check_end(self, cleaned: dict[str, Any]) -> None:
        if "monitoring" not in self.fields or "horizon_weeks" in self.errors or "planned_visitors" in self.errors:
            return
        has_no_end = cleaned.get("monitoring") == Monitoring.CONFIDENCE_SEQUENCE.value
        horizon = cleaned.get("horizon_weeks")
        if has_no_end and horizon is not None:
            self.add_error("horizon_weeks", "Without a planned end there is no horizon: leave it empty.")
        elif not has_no_end and horizon is None:
            self.add_error("horizon_weeks", "A planned end needs its weeks, 1 to 52; 4 is usual.")
        if has_no_end and not cleaned.get("planned_visitors"):
            self.add_error(
                "planned_visitors", "Without a planned end, say for how many visitors the intervals are made narrowest."
            )

    def _refuse_locked(self) -> None:
        """Refuse values for what is locked, which no page sends, instead of ignoring them silently."""
        status = Status(self.instance.status)
        never = posted_fields(self.data, ("status", "salt", "started_at", "ended_at", "end_reason", "is_imported"))
        if never:
            raise ValidationError(
                f"Not changed: {', '.join(never)}. Use start, pause, resume, stop or archive.", code="lifecycle_field"
            )
        editable = editable_fields(status, is_started=self.instance.is_started)
        if editable is None:
            return
        locked = [name for name in ExperimentForm.Meta.fields if name not in editable]
        refused = [
            *posted_fields(self.data, locked),
            *posted_rows(self.data, VARIANTS_PREFIX, VARIANT_FIELDS),
            *posted_rows(self.data, METRICS_PREFIX, METRIC_FIELDS, stored_only=True),
        ]
        if refused:
            raise ValidationError(f"Not changed: {', '.join(refused)}. {frozen_reason(status)}", code="plan_frozen")


class VariantForm(forms.ModelForm):  # type: ignore[type-arg]
    """A variant; its weight in per cent, its forced visitors one a line."""

    weight = PercentField(per_percent=100, initial=GRID // 2, label="Weight (%)")
    payload = PrettyJSONField()
    forced_visitors = LinesField(comma=True)

    class Meta:
        model = Variant
        fields = VARIANT_FIELDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        describe_like_model(self)

    def has_changed(self) -> bool:
        """A new row counts as filled in when it has a key, so that the two suggested variants are kept as they are."""
        if self.instance.pk is None and self.is_bound:
            return bool(str(self.data.get(self.add_prefix("key"), "")).strip())
        return super().has_changed()


def sharing_words() -> str:
    """Say what a further metric that may win costs."""
    costs = ", ".join(f"{n}: {cost_of_sharing(n):.2f}" for n in (2, 3, 4, 6))
    return (
        f"Metrics that may win share alpha: of so many each needs that many times the visitors of one alone, {costs}; "
        "the steps of a funnel, all with windows, are weighed together and cost nothing."
    )


class MetricRowForm(forms.ModelForm):  # type: ignore[type-arg]
    """A metric in its role; its margin in per cent."""

    role = forms.ChoiceField(
        required=False,
        choices=[("", USUAL), *((role.value, role.value.capitalize()) for role in Role)],
        widget=UnfoldAdminSelectWidget(),
        help_text="Usual: a micro conversion is a proxy, the macro conversion a guardrail with 10 % margin. Primary: what the "
        "experiment is about. Proxy: a micro conversion that may decide early. Guardrail: must not get worse than its margin. "
        "Exploratory: shown, never decides. " + sharing_words(),
    )
    margin = PercentField(per_percent=0.01, required=False, label="Margin (%)")

    class Meta:
        model = ExperimentMetric
        fields = METRIC_FIELDS
        widgets = {"reason": UnfoldAdminTextareaWidget(attrs={"rows": 1})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        describe_like_model(self)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        role, margin, metric = cleaned.get("role"), cleaned.get("margin"), cleaned.get("metric")
        if not role and metric is not None and "role" not in self.errors:
            role = Role.GUARDRAIL.value if metric.conversion == Conversion.MACRO else Role.PROXY.value
            cleaned["role"] = role
            if role == Role.GUARDRAIL and margin is None:
                margin = cleaned["margin"] = USUAL_MARGIN
        if role == Role.GUARDRAIL and not margin:
            self.add_error("margin", "A guardrail needs the loss that you could live with; 10 % is usual.")
        elif role == Role.GUARDRAIL and margin is not None and margin >= 1:
            self.add_error("margin", "A margin of 100 % would tolerate losing everything; write less.")
        elif role and role != Role.GUARDRAIL and margin is not None:
            self.add_error("margin", "Only a guardrail has a margin; leave it empty.")
        return cleaned


class LateMetricRowForm(MetricRowForm):
    """A metric added after the start: exploratory, whatever is asked, and so without a margin."""

    margin = None  # type: ignore[assignment]

    role = forms.ChoiceField(
        choices=[(Role.EXPLORATORY.value, "Exploratory")],
        initial=Role.EXPLORATORY.value,
        widget=UnfoldAdminSelectWidget(),
        help_text="Added after the start, so it is shown but never decides.",
    )
