"""Public experiments through the import commands and the analysis: published figures, and an independent computation."""

from __future__ import annotations

import csv
import io
import zipfile
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from experiments.models import Experiment
from tests.data.importing import report, said
from tests.data.independent import Expected, means, proportions
from tests.shared_data import shared_path
from tracking.selectors import event_store

HILLSTROM = "data/hillstrom/hillstrom.parquet"
COOKIE_CATS = "data/cookie_cats/cookie_cats.parquet"
LANDING_PAGE = "data/udacity_landing_page/ab_data.csv.zip"
ORDERS = "data/practicum_orders/orders.csv"

pytestmark = pytest.mark.django_db(transaction=True)


def metric(document: dict[str, Any], key: str) -> dict[str, Any]:
    return next(m for m in document["metrics"] if m["key"] == key)


def values(document: dict[str, Any], key: str) -> dict[str, float]:
    return {v["variant"]: v["value"] for v in metric(document, key)["values"]}


def comparison(document: dict[str, Any], key: str, variant: str) -> dict[str, Any]:
    return next(c for c in metric(document, key)["comparisons"] if c["variant"] == variant)


def finding(document: dict[str, Any], code: str) -> dict[str, Any]:
    return next(f for f in document["health"] if f["code"] == code)


def assert_equal(found: dict[str, Any], expected: Expected) -> None:
    def close(value: Any) -> Any:
        return pytest.approx(value, abs=1e-6, rel=0)

    assert found["effect"] == close(expected.effect)
    assert (found["ci_low"], found["ci_high"]) == close(expected.ci)
    assert found["lift"] == close(expected.lift)
    assert (found["lift_ci_low"], found["lift_ci_high"]) == close(expected.lift_ci)
    assert found["p_value"] == close(expected.p_value)


def test_hillstrom__imported_as_it_is__published_figures_and_independent_inference() -> None:
    file = shared_path(HILLSTROM)
    said(
        *("import_visitors", str(file), "--site", "hillstrom", "--experiment", "e-mail", "--variant", "segment"),
        *("--control", "No E-Mail", "--metric", "visit:conversion:milestone"),
        *("--metric", "conversion:conversion:macro", "--metric", "spend:value_sum:macro"),
    )

    document = report("e-mail")

    assert document["is_imported"] is True
    assert [(v["key"], v["is_control"], v["visitors"]) for v in document["variants"]] == [
        ("No-E-Mail", True, 21_306),
        ("Mens-E-Mail", False, 21_307),
        ("Womens-E-Mail", False, 21_387),
    ]
    # Hillstrom (2008): visit, conversion and spend per customer.
    order = ["No-E-Mail", "Mens-E-Mail", "Womens-E-Mail"]
    assert [round(100 * values(document, "visit")[v], 2) for v in order] == [10.62, 18.28, 15.14]
    assert [round(100 * values(document, "conversion")[v], 3) for v in order] == [0.573, 1.253, 0.884]
    assert [round(values(document, "spend")[v], 3) for v in order] == [0.653, 1.423, 1.077]

    table = pq.read_table(file).to_pydict()
    segment = np.array(table["segment"])
    control = segment == "No E-Mail"
    for name in ("Mens E-Mail", "Womens E-Mail"):
        treated, key = segment == name, name.replace(" ", "-")
        for column in ("visit", "conversion"):
            did = np.array(table[column])
            expected = proportions(did[treated].sum(), treated.sum(), did[control].sum(), control.sum())
            assert_equal(comparison(document, column, key), expected)
        spend = np.array(table["spend"])
        assert_equal(comparison(document, "spend", key), means(spend[treated], spend[control]))


def test_hillstrom__control_written_as_a_key__is_the_same_experiment() -> None:
    said(
        *(
            "import_visitors",
            str(shared_path(HILLSTROM)),
            "--site",
            "h",
            "--experiment",
            "mail",
            "--variant",
            "segment",
        ),
        *("--control", "No-E-Mail", "--metric", "visit:conversion:macro", "--dry-run"),
    )
    assert not Experiment.objects.exists()


def test_landing_page__rows_that_contradict_themselves__are_conflicting_and_set_aside() -> None:
    file = shared_path(LANDING_PAGE)
    text = said(
        *("import_visitors", str(file), "--site", "landing", "--experiment", "new-page", "--variant", "group"),
        *(
            "--control",
            "control",
            "--visitor",
            "user_id",
            "--time",
            "timestamp",
            "--metric",
            "converted:conversion:macro",
        ),
    )

    document = report("new-page")

    assert "conflicting_exposure: 3,893" in text
    assert {v["key"]: v["visitors"] for v in document["variants"]} == {"control": 145_274, "treatment": 145_310}
    # Each of the 3,893 rows belongs to another visitor, and each of those has a clean row as well.
    assert finding(document, "conflicting_exposures")["evidence"]["visitors"] == 3_893
    counts = _clean_landing_page(file)
    assert counts == {"control": (17_489, 145_274), "treatment": (17_264, 145_310)}
    found = comparison(document, "converted", "treatment")
    assert_equal(found, proportions(*counts["treatment"], *counts["control"]))
    assert round(found["p_value"], 3) == 0.190


def _clean_landing_page(file: Any) -> dict[str, tuple[int, int]]:
    """Count converted and all visitors per group by hand, without the rows whose page is not the group's."""
    visitors: dict[str, dict[str, bool]] = {"control": {}, "treatment": {}}
    with zipfile.ZipFile(file) as archive, archive.open("ab_data.csv") as raw:
        for row in csv.DictReader(io.TextIOWrapper(raw)):
            if (row["group"] == "treatment") == (row["landing_page"] == "new_page"):
                seen = visitors[row["group"]]
                seen[row["user_id"]] = seen.get(row["user_id"], False) or row["converted"] == "1"
    return {group: (sum(seen.values()), len(seen)) for group, seen in visitors.items()}


def test_cookie_cats__imported_as_it_is__published_figures_and_independent_inference() -> None:
    file = shared_path(COOKIE_CATS)
    said(
        *("import_visitors", str(file), "--site", "cats", "--experiment", "gate", "--variant", "version"),
        *("--control", "gate_30", "--visitor", "userid", "--metric", "retention_1:conversion:milestone"),
        *("--metric", "retention_7:conversion:macro", "--metric", "sum_gamerounds:value_sum:secondary"),
    )

    document = report("gate")

    # DataCamp, "Mobile Games A/B Testing with Cookie Cats".
    assert [round(100 * v, 1) for v in values(document, "retention_1").values()] == [44.8, 44.2]
    assert [round(100 * v, 1) for v in values(document, "retention_7").values()] == [19.0, 18.2]
    split = finding(document, "sample_ratio")
    assert split["evidence"]["p_value"] == pytest.approx(stats.chisquare([44_700, 45_489]).pvalue, abs=1e-9)
    assert round(split["evidence"]["p_value"], 4) == 0.0086

    table = pq.read_table(file).to_pydict()
    control = np.array(table["version"]) == "gate_30"
    for column in ("retention_1", "retention_7"):
        did = np.array(table[column])
        expected = proportions(did[~control].sum(), (~control).sum(), did[control].sum(), control.sum())
        assert_equal(comparison(document, column, "gate_40"), expected)
    rounds = np.array(table["sum_gamerounds"], dtype=float)
    assert_equal(comparison(document, "sum_gamerounds", "gate_40"), means(rounds[~control], rounds[control]))


def test_orders__event_log_with_an_experiment__visitors_of_both_groups_keep_their_first() -> None:
    file = shared_path(ORDERS)
    # The log has no column that names the event: each row is an order, so the group is taken as the event as well.
    said(
        *("import_events", str(file), "--site", "shop", "--visitor", "visitorId", "--time", "date"),
        *("--event", "group", "--value", "revenue", "--event-id", "transactionId"),
        *("--experiment", "prices", "--variant", "group", "--conversion", "A=macro"),
    )

    document = report("prices")

    groups: dict[str, set[str]] = {}
    for row in csv.DictReader(file.read_text().splitlines()):
        groups.setdefault(row["visitorId"], set()).add(row["group"])
    # The publisher of this data counts 1,197 orders and 58 visitors in both groups.
    assert (
        event_store().count_events(site="shop", event="A") + event_store().count_events(site="shop", event="B") == 1_197
    )
    assert sum(v["visitors"] for v in document["variants"]) == len(groups)
    assert finding(document, "several_variants")["evidence"]["visitors"] == 58
