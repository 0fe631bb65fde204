"""What the report's templates need beyond Django's own: places on a scale, and charts."""

from __future__ import annotations

import logging

from django import template
from django.utils.safestring import SafeString, mark_safe

from reports.drawings import delay_drawings, exposure_drawings
from reports.sections.exposures import Exposures
from reports.sections.over_time import Curves

logger = logging.getLogger(__name__)
register = template.Library()


@register.filter
def place(value: float) -> str:
    """Write a place in per cent as CSS and SVG read it, whatever the language of the page."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "%"


@register.simple_tag
def exposure_chart(view: Exposures) -> dict[str, SafeString] | None:
    """Draw exposures a day for wide and narrow screens; None when it cannot be drawn, and the table stands alone."""
    try:
        # The drawing holds no text from outside that the chart library has not escaped.
        return {name: mark_safe(drawn) for name, drawn in exposure_drawings(view).items()}
    except Exception:
        logger.exception("The chart of exposures could not be drawn")
        return None


@register.simple_tag
def delay_chart(view: Curves) -> dict[str, SafeString] | None:
    """Draw delay curves for wide and narrow screens; None when they cannot be drawn, and the table stands alone."""
    try:
        # The drawing holds no text from outside that the chart library has not escaped.
        return {name: mark_safe(drawn) for name, drawn in delay_drawings(view).items()}
    except Exception:
        logger.exception("The chart of delays could not be drawn")
        return None
