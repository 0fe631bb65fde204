"""Micro conversions that the browser client watches for by itself, where a site asks for them: the recipes, and what they send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_SELECTOR = 500


@dataclass(frozen=True, slots=True)
class Recipe:
    """One recipe. `needs_selector`: the site says which elements are meant, as in style sheets."""

    label: str
    events: tuple[str, ...]
    needs_selector: bool = False


RECIPES: Mapping[str, Recipe] = {
    "pages": Recipe("Pages, and how many in the visit", ("page_view",)),
    "scroll": Recipe("Scrolling, by quarters of the page", ("scroll",)),
    "time": Recipe("Time engaged: 10, 30, 60, 180 seconds", ("engaged",)),
    "forms": Recipe("Forms begun, sent, abandoned", ("form_start", "form_submit", "form_abandon")),
    "search": Recipe("Searches", ("search",)),
    "video": Recipe("Videos begun, by quarters, ended", ("video_start", "video_progress", "video_complete")),
    "download": Recipe("Downloads", ("download",)),
    "outbound": Recipe("Links that lead away", ("outbound",)),
    "newsletter": Recipe("Newsletter forms: e-mail, no password", ("newsletter",)),
    "share": Recipe("Links to share the page", ("share",)),
    "cart": Recipe("Put into the cart", ("add_to_cart",), needs_selector=True),
    "wishlist": Recipe("Put on the wish list", ("wishlist",), needs_selector=True),
}


def autocapture_problem(value: Any) -> str | None:
    """Return what is wrong with a site's choice of recipes, a mapping of key to true or a selector; None when nothing is."""
    if not isinstance(value, dict):
        return 'Write a JSON object, for example {"scroll": true, "cart": ".add-to-cart"}.'
    for key, asked in value.items():
        recipe = RECIPES.get(key)
        if recipe is None:
            return f"There is no recipe '{key}'; there are {', '.join(RECIPES)}."
        if recipe.needs_selector and not (isinstance(asked, str) and 0 < len(asked.strip()) <= MOST_SELECTOR):
            return f"Recipe '{key}' needs the selector of the elements that are meant, for example .add-to-cart."
        if not recipe.needs_selector and asked is not True:
            return f"Recipe '{key}' is true or left out."
    return None
