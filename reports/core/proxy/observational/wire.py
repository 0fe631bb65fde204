"""A ranking of micro conversions as plain JSON values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from reports.core.methods.base import Interval, NotComputable
from reports.core.proxy.observational.association import Association, Share
from reports.core.proxy.observational.doubly_robust import Adjusted
from reports.core.proxy.observational.ranking import Candidate

RANKING_SCHEMA = 1


def ranking_document(candidates: Sequence[Candidate], *, macro: dict[str, Any]) -> dict[str, Any]:
    """Return the ranked micro conversions; `macro` says which goal they were held against, and under which settings."""
    return {
        "schema": RANKING_SCHEMA,
        "label": "association, not cause: it may rank and never ships",
        "macro": macro,
        "micros": [_candidate(one) for one in candidates],
    }


def _candidate(one: Candidate) -> dict[str, Any]:
    return {
        "key": one.key,
        "name": one.name,
        "conversion": one.conversion.value,
        **_association(one.association),
        "adjusted": _adjusted(one.adjusted),
        "ceiling": one.ceiling,
        "quality": one.quality,
        "sign_agreement": one.sign_agreement,
        "visitors_ratio": _finite(one.visitors_ratio),
        "median_hours": _finite(one.hours),
        "doubts": [doubt.value for doubt in one.doubts],
        "chance_first": one.first,
        "chance_top_three": one.top_three,
    }


def _association(found: Association) -> dict[str, Any]:
    return {
        "reach": _share(found.reach),
        "with_micro": _share(found.with_micro),
        "without_micro": _share(found.without_micro),
        "risk_ratio": _finite(found.risk_ratio),
        "risk_ratio_ci": _pair(found.risk_ratio_interval),
        "risk_difference": _finite(found.risk_difference),
        "risk_difference_ci": _pair(found.risk_difference_interval),
        "information_value": found.information_value,
        "mutual_information": found.mutual_information,
        "e_value": _finite(found.e_value),
    }


def _adjusted(found: Adjusted | NotComputable | None) -> dict[str, Any] | None:
    if found is None:
        return None
    if isinstance(found, NotComputable):
        return {"not_computable": {"code": found.blocker.value, "detail": found.detail}}
    return {
        "risk_difference": found.risk_difference,
        "ci": _pair(found.interval),
        "ceiling_ci": _pair(found.ceiling_interval),
        "limited": found.limited,
    }


def _share(share: Share) -> dict[str, Any]:
    return {
        "converted": share.converted,
        "visitors": share.visitors,
        "value": _finite(share.value),
        "ci": _pair(share.interval),
        "is_thin": share.is_thin,
    }


def _pair(interval: Interval | None) -> list[float | None] | None:
    return None if interval is None else [_finite(interval.low), _finite(interval.high)]


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
