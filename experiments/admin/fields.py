"""Form fields that speak to people: shares in per cent, lists one line each."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminExpandableTextareaWidget


class PercentField(forms.DecimalField):
    """Shows and takes per cent with two decimals; keeps what the model stores.

    Units: `per_percent` is how much of the stored unit makes 1 %: 100 on the 1/10,000 grid, 0.01 for a fraction.
    """

    widget = UnfoldAdminDecimalFieldWidget

    def __init__(self, *, per_percent: float, **kwargs: Any) -> None:
        self.per_percent = per_percent
        kwargs.setdefault("min_value", Decimal(0))
        kwargs.setdefault("max_value", Decimal(100))
        super().__init__(decimal_places=2, **kwargs)
        self.widget.attrs["step"] = "0.01"  # browsers refuse decimals without it

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return f"{round(value / self.per_percent, 2):g}"
        return value

    def clean(self, value: Any) -> Any:
        percent = super().clean(value)
        if percent is None:
            return None
        stored = percent * Decimal(str(self.per_percent))
        return int(stored) if self.per_percent >= 1 else float(stored)

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data) != initial)
        except ValidationError:
            return True


class LinesField(forms.CharField):
    """A list of texts, one a line; a comma separates as well where `comma` says so."""

    def __init__(self, *, comma: bool = False, **kwargs: Any) -> None:
        self.comma = comma
        kwargs.setdefault("required", False)
        kwargs.setdefault("widget", UnfoldAdminExpandableTextareaWidget(attrs={"rows": 1}))
        super().__init__(**kwargs)

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, Sequence) and not isinstance(value, str):
            return (", " if self.comma else "\n").join(value)
        return value

    def clean(self, value: Any) -> list[str]:
        text = super().clean(value) or ""
        entries = text.replace(",", "\n").splitlines() if self.comma else text.splitlines()
        return list(dict.fromkeys(entry.strip() for entry in entries if entry.strip()))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.clean(data) != list(initial or [])


class PrettyJSONField(forms.JSONField):
    """JSON that stays readable: shown as it would be written by hand, and an empty box means `empty()`."""

    empty_values = [None, ""]

    def __init__(self, *, empty: Callable[[], Any] = dict, **kwargs: Any) -> None:
        self.empty = empty
        kwargs.setdefault("required", False)
        kwargs.setdefault("widget", UnfoldAdminExpandableTextareaWidget(attrs={"spellcheck": "false"}))
        super().__init__(**kwargs)

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, forms.fields.InvalidJSONInput):
            return str(value)
        return "" if value in ({}, [], None) else json.dumps(value, ensure_ascii=False)

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except RecursionError as error:
            raise ValidationError("This JSON is nested too deeply.", code="too_deep") from error

    def bound_data(self, data: Any, initial: Any) -> Any:
        try:
            return super().bound_data(data, initial)
        except RecursionError:
            return forms.fields.InvalidJSONInput(data)

    def clean(self, value: Any) -> Any:
        cleaned = super().clean(value)
        return self.empty() if cleaned is None else cleaned

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data) != initial)
        except ValidationError:
            return True


def describe_like_model(form: forms.ModelForm[Any]) -> None:
    """Give fields that a form declares itself the label and help text of the model's field."""
    of_model = {field.name for field in form._meta.model._meta.fields}
    for name, field in form.fields.items():
        if name in type(form).declared_fields and name in of_model:
            model_field = form._meta.model._meta.get_field(name)
            field.label = field.label or str(model_field.verbose_name).capitalize()
            field.help_text = field.help_text or model_field.help_text


def percent_text(value: float | None, *, per_percent: float = 100) -> str:
    """Return a stored share as people read it, such as `33.33 %`; a dash for none."""
    return "–" if value is None else f"{round(value / per_percent, 2):g} %"
