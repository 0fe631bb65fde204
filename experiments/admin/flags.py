"""Feature flags in the admin."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.forms.models import BaseModelFormSet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from experiments import services
from experiments.admin.base import InklingAdmin, person_of
from experiments.admin.fields import PercentField, PrettyJSONField, describe_like_model, percent_text
from experiments.core.flags import EXAMPLES, FlagKind, value_of_kind
from experiments.core.targeting import condition_problems
from experiments.models import GRID, Flag, FlagRule

WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class ValueField(forms.CharField):
    """A flag's value as people write it: a text without quotation marks, everything else as JSON."""

    widget = UnfoldAdminTextInputWidget

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, strip=False, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) or value is None else json.dumps(value, ensure_ascii=False)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.prepare_value(initial) != data)


def read_value(kind: str, text: str) -> Any:
    """Return what somebody wrote as a value of the kind. Raises: ValidationError with an example."""
    found = FlagKind(kind)
    value: Any = text
    if found is FlagKind.BOOLEAN:
        value = WORDS.get(text.strip().lower(), text)
    elif found is not FlagKind.STRING:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise ValidationError(f"{text!r} is no {found.value}; {EXAMPLES[found]} would be one.") from None
    try:
        return value_of_kind(found, value)
    except ValueError as error:
        raise ValidationError(str(error)) from error


class FlagForm(forms.ModelForm):  # type: ignore[type-arg]
    """A flag; its value as people write it."""

    value = ValueField()

    class Meta:
        model = Flag
        fields = ("site", "name", "key", "description", "kind", "value", "is_archived")
        widgets = {"kind": UnfoldAdminSelectWidget()}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        describe_like_model(self)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "kind" in cleaned and "value" in cleaned:
            try:
                cleaned["value"] = read_value(cleaned["kind"], cleaned["value"])
            except ValidationError as error:
                self.add_error("value", error)
        return cleaned


class FlagRuleForm(forms.ModelForm):  # type: ignore[type-arg]
    """A rule; its share in per cent. Its value is read once the flag's kind is known."""

    value = ValueField()
    audience = PrettyJSONField()
    share = PercentField(per_percent=100, initial=GRID, label="Share (%)")

    class Meta:
        model = FlagRule
        fields = ("audience", "share", "value")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        describe_like_model(self)

    def clean_audience(self) -> Any:
        audience = self.cleaned_data["audience"]
        problems = condition_problems(audience)
        if problems:
            raise ValidationError(list(problems))
        return audience

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        kind = self.data.get("kind") or getattr(self.instance.flag if self.instance.flag_id else None, "kind", "")
        if "value" in cleaned and kind in set(FlagKind):
            try:
                cleaned["value"] = read_value(kind, cleaned["value"])
            except ValidationError as error:
                self.add_error("value", error)
        return cleaned


class FlagRuleInline(TabularInline):
    """Who gets another value; the first rule that applies counts."""

    model = FlagRule
    form = FlagRuleForm
    fields = ("audience", "share", "value")
    extra = 0
    hide_title = True
    ordering_field = "position"
    hide_ordering_field = True
    verbose_name = "rule"
    verbose_name_plural = "Rules, the first that applies counts"


@admin.register(Flag)
class FlagAdmin(InklingAdmin):
    """Where values are switched without an experiment."""

    form = FlagForm
    inlines = (FlagRuleInline,)
    list_display = ("title", "site", "kind", "served", "state")
    list_filter = ("site", "kind", "is_archived")
    list_select_related = ("site",)
    search_fields = ("key", "name")
    prepopulated_fields = {"key": ("name",)}

    @display(description="Flag", ordering="name", header=True)
    def title(self, flag: Flag) -> list[str]:
        return [flag.name, flag.key]

    @display(description="Serves")
    def served(self, flag: Flag) -> str:
        rules = [
            f"{json.dumps(rule.value, ensure_ascii=False)} to {percent_text(rule.share)}" for rule in flag.rules.all()
        ]
        return ", ".join([*rules, f"else {json.dumps(flag.value, ensure_ascii=False)}"] if rules else [str(flag.value)])

    @display(description="State", label={"live": "success", "archived": "info"})
    def state(self, flag: Flag) -> tuple[str, str]:
        return ("archived", "Archived") if flag.is_archived else ("live", "Live")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("site", "key") if obj is not None else ()

    def get_prepopulated_fields(self, request: HttpRequest, obj: Model | None = None) -> dict[str, tuple[str, ...]]:
        return {"key": ("name",)} if obj is None else {}

    def save_model(self, request: HttpRequest, obj: Flag, form: forms.ModelForm[Any], change: bool) -> None:
        """Nothing yet: flag and rules are stored together, in `save_formset`, or a half of them could be published."""

    def save_formset(
        self, request: HttpRequest, form: forms.ModelForm[Any], formset: BaseModelFormSet[Any, Any], change: bool
    ) -> None:
        formset.save(commit=False)
        rules = [one.instance for one in formset.forms if one.has_changed() or one.instance.pk]
        gone = {row.pk for row in formset.deleted_objects}
        kept = sorted((r for r in rules if r.pk not in gone or r.pk is None), key=lambda r: r.position)
        services.save_flag(flag=form.instance, rules=kept, now=timezone.now(), by=person_of(request))

    def delete_model(self, request: HttpRequest, obj: Flag) -> None:
        services.delete_flag(flag=obj, now=timezone.now(), by=person_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Flag]) -> None:
        for flag in queryset:
            self.delete_model(request, flag)
