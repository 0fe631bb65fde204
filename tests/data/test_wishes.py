"""Options of the import commands, and what is made of a file's names."""

from __future__ import annotations

import pytest

from experiments.core.metrics import Conversion, Role
from tracking.importing.failure import ImportFault
from tracking.importing.wishes import (
    control_among,
    guessed_macro,
    metric_from,
    metrics_from_events,
    pairs_from,
    roles_from,
)


def test_metric_from__three_parts__are_column_kind_and_conversion() -> None:
    wish = metric_from("total spend:value_sum:macro")
    assert (wish.key, wish.column, wish.kind, wish.conversion) == (
        "total-spend",
        "total spend",
        "value_sum",
        Conversion.MACRO,
    )


def test_metric_from__ratio__names_two_columns() -> None:
    wish = metric_from("revenue/orders:ratio:secondary")
    assert (wish.key, wish.column, wish.below, wish.event) == ("revenue-per-orders", "revenue", "orders", "revenue")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("visit", "NAME:KIND:CONVERSION"),
        ("visit:conversion:", "NAME:KIND:CONVERSION"),
        ("visit:percent:macro", "no kind 'percent'"),
        ("visit:conversion:goal", "'goal' is no conversion"),
        ("revenue:ratio:macro", "two columns"),
    ],
)
def test_metric_from__mistakes__are_named(text: str, said: str) -> None:
    with pytest.raises(ImportFault, match=said):
        metric_from(text)


def test_metrics_from_events__plain_log__each_name_but_the_exposure_is_a_metric() -> None:
    wishes = metrics_from_events({"view": 10, "purchase": 2, "seen": 12, "$alias": 3}, {}, "seen")
    assert [(w.event, w.conversion) for w in wishes] == [
        ("view", Conversion.SECONDARY),
        ("purchase", Conversion.MACRO),
    ]


def test_metrics_from_events__declared_milestones__are_ordered_as_given() -> None:
    milestone = Conversion.MILESTONE
    wishes = metrics_from_events({"view": 9, "cart": 5, "buy": 2}, {"view": milestone, "cart": milestone}, None)
    assert [(w.event, w.funnel_order) for w in wishes] == [("view", 1), ("cart", 2), ("buy", None)]


def test_metrics_from_events__more_than_a_hundred_names__the_frequent_and_the_named_come_in() -> None:
    counts = {f"event {n}": n for n in range(150)}
    wishes = metrics_from_events(counts, {"event 3": Conversion.MACRO}, None)
    expected = {"event 3"} | {f"event {n}" for n in range(51, 150)}
    assert {w.event for w in wishes} == expected


def test_metrics_from_events__name_not_in_the_file__suggests_the_nearest() -> None:
    with pytest.raises(ImportFault, match="Did you mean 'purchase'"):
        metrics_from_events({"purchase": 1}, {"purchas": Conversion.MACRO}, None)


@pytest.mark.parametrize(
    ("names", "macro"), [(["view", "Order Completed"], "Order Completed"), (["view", "click"], None)]
)
def test_guessed_macro__only_names_that_mean_a_goal(names: list[str], macro: str | None) -> None:
    assert guessed_macro(names) == macro


def test_control_among__finds_the_name_as_people_write_it() -> None:
    names = ["Mens E-Mail", "No E-Mail", "Womens E-Mail"]
    assert control_among(names, "No E-Mail") == control_among(names, "No-E-Mail") == "No E-Mail"
    assert control_among(["treatment", "Control"], None) == "Control"
    assert control_among(["B", "A"], None) == "A"
    with pytest.raises(ImportFault, match="Did you mean 'No E-Mail'"):
        control_among(names, "No Email")


def test_pairs_from__several_ways_to_write_them__are_the_same() -> None:
    assert pairs_from("--weights", ["a=1,b=2"]) == pairs_from("--weights", ["a=1", "b=2"]) == {"a": "1", "b": "2"}
    with pytest.raises(ImportFault, match="NAME=VALUE"):
        pairs_from("--weights", ["a"])


def test_roles_from__guardrail__has_a_margin() -> None:
    assert roles_from(["a=guardrail", "b=guardrail:0.05", "c=proxy"]) == {
        "a": (Role.GUARDRAIL, 0.1),
        "b": (Role.GUARDRAIL, 0.05),
        "c": (Role.PROXY, None),
    }
    for text in ("a=goal", "a=guardrail:2", "a=guardrail:x", "a=proxy:0.1"):
        with pytest.raises(ImportFault):
            roles_from([text])
