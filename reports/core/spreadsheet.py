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
            rows.append([row[name] for name in CSV_COLUMNS])
    return rows
