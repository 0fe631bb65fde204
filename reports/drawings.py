"""Drawings that are kept: each is made once, by whoever needs it first, and found again by every process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.filebased import FileBasedCache

from reports.sections.exposures import Exposures
from reports.sections.over_time import Curves

KEEP_SECONDS = 30 * 24 * 3600
MOST_KEPT = 2_000
WIDE, NARROW = 1000, 360


@cache
def _kept(folder: str) -> BaseCache:
    return FileBasedCache(folder, {"TIMEOUT": KEEP_SECONDS, "OPTIONS": {"MAX_ENTRIES": MOST_KEPT}})


def exposure_drawings(view: Exposures) -> dict[str, str]:
    """Return exposures a day as SVG for wide and for narrow screens; drawing takes a while, finding does not."""
    return _drawings("exposures_a_day", (view.days, view.variants, view.counts))


def delay_drawings(view: Curves) -> dict[str, str]:
    """Return the share converted by each hour as SVG for wide and for narrow screens."""
    return _drawings("converted_by_hour", (view.hours, view.variants, view.shares))


def _drawings(chart: str, drawn_from: tuple[Any, ...]) -> dict[str, str]:
    key = hashlib.sha256(json.dumps([_recipe(), chart, *drawn_from]).encode()).hexdigest()
    kept = _kept(str(Path(settings.DATA_DIR) / "drawings"))
    drawn: dict[str, str] | None = kept.get(key)
    if drawn is None:
        drawn = {"wide": _draw(chart, drawn_from, WIDE), "narrow": _draw(chart, drawn_from, NARROW)}
        kept.set(key, drawn)
    return drawn


@cache
def _recipe() -> str:
    """Name how drawings are made, so that a newer way does not find the drawings of an older one."""
    return hashlib.sha256((Path(__file__).parent / "charts.py").read_bytes()).hexdigest()


def _draw(chart: str, drawn_from: tuple[Any, ...], width: int) -> str:
    # Only a process that really draws needs the chart library, a second of loading.
    from reports import charts

    ways: dict[str, Callable[..., dict[str, Any]]] = {
        "exposures_a_day": charts.exposures_a_day,
        "converted_by_hour": charts.converted_by_hour,
    }
    return charts.svg(ways[chart](*drawn_from, width=width))
