"""What the report's templates need beyond Django's own: places on a scale, and charts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django import template
from django.utils.safestring import SafeString, mark_safe

if TYPE_CHECKING:
    from reports.sections.exposures import Exposures

logger = logging.getLogger(__name__)
register = template.Library()

WIDE, NARROW = 1000, 360


@register.filter
def place(value: float) -> str:
    """Write a place in per cent as CSS and SVG read it, whatever the language of the page."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "%"


@register.simple_tag
def exposure_chart(view: Exposures) -> dict[str, SafeString] | None:
    """Draw exposures a day for wide and narrow screens; None when it cannot be drawn, and the table stands alone."""
    try:
        return {
            "wide": _drawn(view, WIDE),
            "narrow": _drawn(view, NARROW),
        }
    except Exception:
        logger.exception("The chart of exposures could not be drawn")
        return None


def _drawn(view: Exposures, width: int) -> SafeString:
    # Every command of Django reads this module; only a page that draws needs the chart library, a second of loading.
    from reports import charts

    spec = charts.exposures_a_day(view.days, view.variants, view.counts, width=width)
    # vl-convert escapes every text it is given; nothing else of ours is put into the drawing.
    return mark_safe(charts.svg(spec))
