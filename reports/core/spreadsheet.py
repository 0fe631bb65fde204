"""The public document as rows for a spreadsheet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CSV_COLUMNS = (
    "experiment",
    "as_of",
    "metric",
    "role",
    "conversion",
    "kind",
    "variant",
    "is_control",
    "visitors",
    "converted",
    "total",
    "value",
    "effect",
    "ci_low",
    "ci_high",
    "lift",
    "lift_ci_low",
    "lift_ci_high",
    "p_value",
    "method",
    "guardrail",
    "not_computable",
    "beside",
    "beside_effect",
    "beside_ci_low",
    "beside_ci_high",
    "beside_p_value",
)


def to_csv_rows(document: Mapping[str, Any]) -> list[list[Any]]:
    """Return the document as rows, the header first, then one row per metric and variant."""
    controls = {v["key"]: v["is_control"] for v in document["variants"]}
    rows: list[list[Any]] = [list(CSV_COLUMNS)]
    for metric in document["metrics"]:
        compared = {c["variant"]: c for c in metric["comparisons"]}
        for value in metric["values"]:
            comparison = compared.get(value["variant"], {})
            row = {
                **{k: document[k] for k in ("experiment", "as_of")},
                "metric": metric["key"],
                **{k: metric[k] for k in ("role", "conversion", "kind")},
                **{k: value.get(k) for k in ("variant", "visitors", "converted", "total", "value")},
                "is_control": controls.get(value["variant"]),
                **{k: comparison.get(k) for k in CSV_COLUMNS[12:20]},
                "guardrail": (comparison.get("guardrail") or {}).get("outcome"),
                "not_computable": (comparison.get("not_computable") or {}).get("code"),
            }
            row |= _beside(comparison)
            rows.append([row[name] for name in CSV_COLUMNS])
    return rows


def _beside(comparison: Mapping[str, Any]) -> dict[str, Any]:
    """Return the comparison that does not count in a plan with covariates: which one it is, and its numbers."""
    which = next((name for name in ("unadjusted", "adjusted") if name in comparison), None)
    numbers = comparison[which] if which is not None else {}
    names = ("effect", "ci_low", "ci_high", "p_value")
    return {"beside": which} | {f"beside_{name}": numbers.get(name) for name in names}
