"""Sites in the admin."""

from __future__ import annotations

import zoneinfo
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelect2Widget, UnfoldAdminTextInputWidget

from experiments import services
from experiments.admin.base import InklingAdmin, person_of
from experiments.admin.fields import LinesField, PrettyJSONField, describe_like_model
from experiments.core.recipes import MOST_SELECTOR, RECIPES
from experiments.models import Site
from experiments.selectors.experiments import latest_ruleset_version


def _zones() -> list[tuple[str, str]]:
    return [(zone, zone.replace("_", " ")) for zone in sorted(zoneinfo.available_timezones())]


class SiteForm(forms.ModelForm):  # type: ignore[type-arg]
    """A site; its origins one a line."""

    time_zone = forms.ChoiceField(choices=_zones, initial="UTC", widget=UnfoldAdminSelect2Widget())
    allowed_origins = LinesField(
        help_text="Web origins that may call the client API from a browser, one a line, for example https://shop.example. "
        "Empty: every origin. Preview links open the first one."
    )
    recipes = forms.MultipleChoiceField(
        required=False,
        choices=[(key, recipe.label) for key, recipe in RECIPES.items() if not recipe.needs_selector],
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
        label="Watch for",
        help_text="The browser client sends these by itself; what is not ticked is not collected. Events are named in docs/browser.md.",
    )
    cart = forms.CharField(
        required=False,
        max_length=MOST_SELECTOR,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": ".add-to-cart"}),
        label="Clicks that put something into the cart",
        help_text="A selector as in style sheets. Sends add_to_cart.",
    )
    wishlist = forms.CharField(
        required=False,
        max_length=MOST_SELECTOR,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": ".wish"}),
        label="Clicks that put something on the wish list",
        help_text="A selector as in style sheets. Sends wishlist.",
    )
    settings = PrettyJSONField()

    class Meta:
        model = Site
        fields = ("name", "key", "time_zone", "currency", "allowed_origins", "retention_days", "settings")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        describe_like_model(self)
        chosen = self.instance.autocapture
        if "recipes" in self.fields:
            self.initial["recipes"] = [key for key, asked in chosen.items() if asked is True]
            self.initial.update({key: chosen.get(key, "") for key in ("cart", "wishlist")})

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "recipes" in self.fields:
            selectors = {key: cleaned.get(key, "").strip() for key in ("cart", "wishlist")}
            self.instance.autocapture = {
                **dict.fromkeys(cleaned.get("recipes", ()), True),
                **{key: selector for key, selector in selectors.items() if selector},
            }
        return cleaned


@admin.register(Site)
class SiteAdmin(InklingAdmin):
    """Where a site's clock, currency and doors are set."""

    form = SiteForm
    list_display = ("title", "time_zone", "currency", "retention", "ruleset")
    search_fields = ("key", "name")
    fieldsets = (
        (None, {"fields": ("name", "key")}),
        ("Clock and money", {"fields": ("time_zone", "currency")}),
        ("Doors and memory", {"fields": ("allowed_origins", "retention_days")}),
        ("Micro conversions without code", {"fields": ("recipes", "cart", "wishlist")}),
        ("Rarely needed", {"fields": ("settings",), "classes": ("collapse",)}),
    )

    @display(description="Site", ordering="name", header=True)
    def title(self, site: Site) -> list[str]:
        return [site.name, site.key]

    @display(description="Events kept", ordering="retention_days")
    def retention(self, site: Site) -> str:
        return f"{site.retention_days} days"

    @display(description="Ruleset")
    def ruleset(self, site: Site) -> str:
        version = latest_ruleset_version(site)
        return f"Version {version}" if version else "None yet"

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("key",) if obj is not None else ()

    def save_model(self, request: HttpRequest, obj: Site, form: forms.ModelForm[Any], change: bool) -> None:
        services.save_site(site=obj, by=person_of(request))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if isinstance(obj, Site) and obj.experiments.exists():
            return False
        return bool(super().has_delete_permission(request, obj))
