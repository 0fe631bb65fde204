"""The public document: its shape, its schema, and that it is JSON whatever happened."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.core.analyse import analyse
from reports.core.wire import CSV_COLUMNS, to_csv_rows, to_document
from reports.core.wire_schema import REPORT_SCHEMA
from tests.reports.core import worlds

GROUPS = {"control": 400, "treatment": 400}


def _document(plan: Any, people: Any, day: float = 30) -> dict[str, Any]:
    document = to_document(analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(day)))
    jsonschema.validate(document, REPORT_SCHEMA)
    text = json.dumps(document, allow_nan=False)
    restored: dict[str, Any] = json.loads(text)
    assert restored == document
    return document


def test_document__public_contract__has_every_promised_field() -> None:
    plan = worlds.plan(worlds.metric("cart"), worlds.macro_guardrail("purchase"))
    people = worlds.counted(GROUPS, cart={"control": 40, "treatment": 60}, purchase={"control": 10, "treatment": 9})
    document = _document(plan, people)
    assert document["schema"] == 1
    assert document["plan_hash"] == plan.hash()
    assert {"state", "summary", "reasons"} <= set(document["verdict"])
    assert document["variants"][0] == {
        "key": "control",
        "name": "control",
        "is_control": True,
        "visitors": 400,
        "weight": 0.5,
    }
    metric = document["metrics"][0]
    assert {"key", "role", "conversion", "kind", "values", "comparisons"} <= set(metric)
    assert {"variant": "control", "visitors": 400, "converted": 40, "value": 0.1}.items() <= metric["values"][0].items()
    comparison = metric["comparisons"][0]
    promised = {"variant", "effect", "ci_low", "ci_high", "lift", "lift_ci_low", "lift_ci_high", "p_value", "method"}
    assert promised <= set(comparison)
    assert comparison["effect"] == pytest.approx(0.05)
    assert document["metrics"][1]["comparisons"][0]["guardrail"]["margin"] == 0.1


def test_document__infinite_limit__is_null_and_named() -> None:
    plan = worlds.plan(worlds.metric("cart"))
    people = worlds.counted(GROUPS, cart={"control": 0, "treatment": 9})
    comparison = _document(plan, people)["metrics"][0]["comparisons"][0]
    assert comparison["lift"] is None
    assert comparison["lift_ci_high"] is None
    assert comparison["unbounded"] == ["lift", "lift_ci_high"]
    assert comparison["lift_ci_low"] > 0


def test_document__comparison_that_could_not_be_made__carries_code_and_sentence() -> None:
    plan = worlds.plan(worlds.metric("spend", kind="value_sum"))
    people = worlds.totals(("control", "treatment"), [0, 0, 1, 1], {"spend": [0, 0, 3, 4]})
    comparison = _document(plan, people)["metrics"][0]["comparisons"][0]
    assert comparison["not_computable"]["code"] == "no_variation"
    assert "p_value" not in comparison


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 40), st.sampled_from(["imported", "planned end", "no planned end"]))
def test_document__any_world__follows_the_schema(seed: int, day: float, end: str) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 60))
    plan = worlds.plan(
        worlds.metric("cart", window_hours=24.0),
        worlds.metric("spend", kind="value_sum"),
        worlds.metric("orders", kind="ratio", denominator_event="session"),
        worlds.macro_guardrail("purchase"),
        is_imported=end == "imported",
        horizon_days=28 if end == "planned end" else None,
        has_no_end=end == "no planned end",
        planned_visitors=40 if end == "no planned end" else None,
    )
    people = worlds.totals(
        ("control", "treatment"),
        rng.integers(0, 2, n),
        {
            "cart": rng.integers(0, 2, n),
            "spend": rng.choice([0.0, 5.0, 1e6], n),
            "orders": rng.integers(0, 3, n),
            "orders.denominator": rng.integers(0, 4, n),
            "purchase": rng.integers(0, 2, n) * rng.integers(0, 2),
        },
        worlds.microseconds(worlds.START) + rng.integers(0, 40 * worlds.DAY_US, n),
    )
    _document(plan, people, day)


def test_csv__header_and_one_row_per_metric_and_variant() -> None:
    plan = worlds.plan(worlds.metric("cart"), worlds.macro_guardrail("purchase"))
    people = worlds.counted(GROUPS, cart={"control": 40, "treatment": 60}, purchase={"control": 10, "treatment": 9})
    rows = to_csv_rows(_document(plan, people))
    assert rows[0] == list(CSV_COLUMNS)
    assert len(rows) == 1 + 2 * 2
    treatment = dict(zip(rows[0], rows[2], strict=True))
    assert (treatment["variant"], treatment["converted"], treatment["method"]) == ("treatment", 60, "score")
    assert dict(zip(rows[0], rows[4], strict=True))["guardrail"] == "cannot_be_powered"
