"""Metric kinds against a plain count of each visitor's events."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.core.metric_kinds import METRIC_KINDS
from experiments.core.metrics import Aggregate, Column, Comparator, Conversion, MetricDefinition, property_tests

# A visitor is a list of events: (hours since first exposure, event name, value or None).
events = st.tuples(
    st.floats(-5, 200), st.sampled_from(["buy", "view"]), st.none() | st.floats(-50, 500, allow_nan=False)
)
visitors = st.lists(st.lists(events, max_size=8), min_size=1, max_size=12)
windows = st.none() | st.floats(0.5, 150)
caps = st.none() | st.floats(0.5, 300)


def _definition(kind: str, window: float | None, cap: float | None = None, **more: Any) -> MetricDefinition:
    return MetricDefinition("m", "M", Conversion.MACRO, kind, "buy", window_hours=window, cap=cap, **more)


FIRST_DAY = {"from_day": 0, "to_day": 1}


def _retention(first: Any, last: Any, window: float | None = None) -> MetricDefinition:
    return _definition("retention", window, options={"from_day": first, "to_day": last})


def _column(column: Column, visitor: list[Any]) -> float:
    """What the store promises for one visitor, computed by hand."""
    inside = [
        value
        for hours, name, value in visitor
        if name == column.event
        and hours >= column.start_hours
        and (column.end_hours is None or hours < column.end_hours)
    ]
    return float(len(inside)) if column.aggregate is Aggregate.COUNT else float(sum(v or 0.0 for v in inside))


def _values(metric: MetricDefinition, people: list[list[Any]]) -> Any:
    kind = METRIC_KINDS[metric.kind]
    columns = {c.name: np.array([_column(c, p) for p in people]) for c in kind.columns(metric)}
    return kind.values(metric, columns)


def _seen(visitor: list[Any], window: float | None, name: str = "buy") -> list[float]:
    return [v or 0.0 for h, n, v in visitor if n == name and h >= 0 and (window is None or h < window)]


@given(visitors, windows)
def test_conversion__any_events__is_one_for_who_did_it_in_time(people: list[list[Any]], window: float | None) -> None:
    expected = [1.0 if _seen(p, window) else 0.0 for p in people]
    assert _values(_definition("conversion", window), people).numerator.tolist() == expected


@given(visitors, st.integers(0, 4), st.integers(1, 4))
def test_retention__any_events__is_one_for_who_came_back_in_those_days(
    people: list[list[Any]], first: int, days: int
) -> None:
    low, high = 24 * first, 24 * (first + days)
    expected = [float(any(n == "buy" and low <= h < high for h, n, _ in p)) for p in people]
    assert _values(_retention(first, first + days, float(high)), people).numerator.tolist() == expected


@given(visitors, windows, caps)
def test_event_count__any_events__counts_up_to_the_cap(
    people: list[list[Any]], window: float | None, cap: float | None
) -> None:
    expected = [min(len(_seen(p, window)), cap if cap is not None else 10**9) for p in people]
    assert _values(_definition("event_count", window, cap), people).numerator.tolist() == expected


@given(visitors, windows, caps)
def test_value_sum__any_events__adds_values_up_to_the_cap(
    people: list[list[Any]], window: float | None, cap: float | None
) -> None:
    expected = [min(sum(_seen(p, window)), cap if cap is not None else 10**9) for p in people]
    assert _values(_definition("value_sum", window, cap), people).numerator == pytest.approx(expected)


@given(visitors, windows, st.sampled_from(["count", "sum"]))
def test_ratio__any_events__keeps_both_totals_of_each_visitor(
    people: list[list[Any]], window: float | None, above: str
) -> None:
    metric = _definition("ratio", window, denominator_event="view", options={"numerator": above})
    values = _values(metric, people)
    bought = [_seen(p, window) for p in people]
    assert values.numerator == pytest.approx([sum(b) if above == "sum" else len(b) for b in bought])
    assert values.denominator.tolist() == [len(_seen(p, window, "view")) for p in people]


def test_columns__of_every_kind__have_names_of_their_own_metric() -> None:
    for key, kind in METRIC_KINDS.items():
        names = [c.name for c in kind.columns(_definition(key, 24.0, denominator_event="view", options=FIRST_DAY))]
        assert names == ["m", "m.denominator"][: len(names)]
        assert len(set(names)) == len(names)


def test_columns__property_filters__reach_the_numerator_only() -> None:
    where = property_tests([{"name": "category", "comparator": "eq", "value": "shoes"}])
    above, below = METRIC_KINDS["ratio"].columns(_definition("ratio", None, where=where, denominator_event="view"))
    assert (above.where, below.where) == (where, ())


@pytest.mark.parametrize(
    ("metric", "word"),
    [
        (_definition("conversion", None, cap=3.0), "cap"),
        (_definition("conversion", None, value_property="price"), "value property"),
        (_definition("conversion", None, denominator_event="view"), "denominator"),
        (_definition("event_count", None, value_property="price"), "value property"),
        (_definition("value_sum", None, denominator_event="view"), "denominator"),
        (_retention(7, 14), "336 hours"),
        (_retention(7, 14, 24.0), "it is 24"),
        (_retention(None, 14, 336.0), "'from_day': None"),
        (_retention(14, 7, 168.0), "above it"),
        (_retention(-1, 7, 168.0), "not below 0"),
        (_retention("7", 14, 336.0), "numbers"),
        (_retention(True, 14, 336.0), "numbers"),
        (_definition("ratio", None), "denominator event"),
        (_definition("ratio", None, denominator_event="view", options={"numerator": "max"}), "'max'"),
        (_definition("ratio", None, denominator_event="view", value_property="price"), "value property"),
    ],
)
def test_check__definition_that_contradicts_its_kind__says_so(metric: MetricDefinition, word: str) -> None:
    (fault,) = METRIC_KINDS[metric.kind].check(metric)
    assert word in fault


def test_check__sound_definitions__have_no_fault() -> None:
    for key, kind in METRIC_KINDS.items():
        metric = _definition(key, 24.0, options=FIRST_DAY if key == "retention" else {})
        assert kind.check(replace(metric, denominator_event="view") if key == "ratio" else metric) == []


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ("x", "exactly"),
        ({"name": "a", "value": 1}, "exactly"),
        ({"name": "a", "comparator": "like", "value": 1}, "'like'"),
        ({"name": 7, "comparator": "eq", "value": 1}, "7"),
        ({"name": "a", "comparator": "eq", "value": None}, "None"),
        ({"name": "a", "comparator": "gt", "value": "10"}, "'10'"),
        ({"name": "a", "comparator": "lt", "value": True}, "True"),
        ({"name": "", "comparator": "eq", "value": 1}, "name"),
    ],
)
def test_property_tests__faulty_entry__is_refused_with_the_value(entry: Any, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        property_tests([entry])


def test_property_tests__good_entries__become_values() -> None:
    (only,) = property_tests([{"name": "price", "comparator": "gte", "value": 10}])
    assert (only.name, only.comparator, only.value) == ("price", Comparator.AT_LEAST, 10)
