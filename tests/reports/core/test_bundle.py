"""A bundle: written and read without loss, computed again to the same answer, and no change to it unnoticed."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.core.refusal import Refused
from reports.core.bundle import Bundle, read_bundle, write_bundle
from reports.core.inputs import Inputs, fingerprint
from reports.core.reproduction import differences, reproduce
from tests.reports.core import worlds
from tracking.core.totals import DailyExposures, TraitValues, VisitorTotals


def _inputs(seed: int = 1) -> Inputs:
    rng = np.random.default_rng(seed)
    people = 400
    variant = np.arange(people) % 2
    when = worlds.microseconds(worlds.START) + rng.integers(0, 20 * worlds.DAY_US, people)
    columns = {
        "cart": (rng.random(people) < 0.3).astype(float),
        "spend": np.where(rng.random(people) < 0.2, rng.lognormal(3, 1, people), 0.0),
        "purchase": (rng.random(people) < 0.2).astype(float),
    }
    totals = worlds.totals(("control", "treatment"), variant, columns, when)
    plan = worlds.plan(
        worlds.metric("cart", window_hours=24),
        worlds.metric("spend", kind="value_sum"),
        worlds.macro_guardrail(),
        is_imported=False,
        horizon_days=21,
    )
    exposures = replace(
        worlds.exposures_of(totals), daily=DailyExposures(("2026-03-02", "2026-03-03"), ((9, 8), (7, 6)))
    )
    return Inputs(plan, totals, exposures, as_of=worlds.at_day(21))


@cache
def _bundle() -> Bundle:
    inputs = _inputs()
    return Bundle(inputs, inputs.answer(), run_id=7, code_version="0.1.0+abc", inputs_changed=False)


def _altered(change: Any) -> Bundle:
    document = json.loads(write_bundle(_bundle()))
    change(document)
    return read_bundle(json.dumps(document))


def test_bundle__written_and_read__is_intact_and_computes_to_the_stored_answer() -> None:
    found = reproduce(read_bundle(write_bundle(_bundle())))
    assert found.agrees
    assert found.differences == ()
    assert found.compared > 100


def test_bundle__of_the_same_visitors_in_another_order__is_the_same_file() -> None:
    inputs = _inputs()
    order = np.random.default_rng(3).permutation(len(inputs.totals.variant))
    shuffled = replace(inputs, totals=_rows(inputs.totals, order))
    stored = inputs.answer()
    one, other = (write_bundle(Bundle(i, stored, 7, "v", None)) for i in (inputs, shuffled))
    assert one == other
    assert reproduce(read_bundle(other)).agrees


def test_bundle__read__has_every_input_as_it_was() -> None:
    inputs = replace(_inputs(), ended_at=worlds.at_day(20))
    back = read_bundle(write_bundle(replace(_bundle(), inputs=inputs))).inputs
    assert (back.plan, back.exposures, back.as_of, back.ended_at) == (
        inputs.plan,
        inputs.exposures,
        inputs.as_of,
        inputs.ended_at,
    )
    assert fingerprint(back.totals, back.exposures) == fingerprint(inputs.totals, inputs.exposures)


def test_reproduce__stored_number_changed__is_tampered_and_named_by_its_path() -> None:
    def change(document: dict[str, Any]) -> None:
        document["result"]["metrics"][0]["comparisons"][0]["p_value"] += 1e-6

    found = reproduce(_altered(change))
    assert not found.is_intact
    assert [d.path for d in found.differences] == ["metrics[0].comparisons[0].p_value"]


def test_reproduce__stored_verdict_changed_and_sealed_again__still_differs() -> None:
    bundle = _bundle()
    forged = json.loads(json.dumps(dict(bundle.stored)))
    forged["verdict"]["state"] = "ship"
    found = reproduce(read_bundle(write_bundle(replace(bundle, stored=forged))))
    assert found.is_intact
    assert "verdict.state" in [d.path for d in found.differences]


def test_reproduce__one_visitor_converts_that_did_not__changes_numbers_and_fingerprint() -> None:
    inputs = _inputs()
    cart = inputs.totals.columns["cart"].copy()
    cart[np.flatnonzero(cart == 0)[0]] = 1.0
    columns = {**inputs.totals.columns, "cart": cart}
    changed = replace(inputs, totals=replace(inputs.totals, columns=columns))
    paths = {d.path for d in reproduce(read_bundle(write_bundle(replace(_bundle(), inputs=changed)))).differences}
    assert "inputs_hash" in paths
    assert any(path.startswith("metrics[0].values") for path in paths)


@pytest.mark.parametrize("key", ["sha256", "code_version", "as_of", "run", "inputs_changed_since_run"])
def test_bundle__any_part_changed__is_not_intact(key: str) -> None:
    changes = {"as_of": "2026-03-24T00:00:00+00:00", "run": 8, "inputs_changed_since_run": True}
    assert not _altered(lambda document: document.update({key: changes.get(key, "0" * 64)})).is_intact


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff\xfe", b"[]", b'{"format": "other"}', b'{"format": "inkling-bundle", "schema": 1}', b"[" * 100_000],
)
def test_read_bundle__what_is_no_bundle__is_refused_with_a_code(text: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_bundle(text)
    assert refused.value.code == "bundle_malformed"
    assert refused.value.advice


def _set(path: str, value: Any) -> Any:
    def change(document: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            document = document[parent]
        document[last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("totals.visitors", 399),
        _set("totals.visitors", -1),
        _set("totals.visitors", 10**15),
        _set("totals.visitors", "400"),
        _set("totals.variant", "no base64!"),
        _set("totals.variant", base64.b64encode(b"no zlib").decode()),
        _set("totals.variant", base64.b64encode(zlib.compress(bytes([9] * 400))).decode()),
        # A kilobyte that unpacks to a megabyte is given up after the bytes that are due.
        _set("totals.first_exposure", base64.b64encode(zlib.compress(bytes(10**6))).decode()),
        _set("totals.columns", [1]),
        _set("exposures.daily", None),
        _set("exposures.surprise", 1),
        _set("plan.alpha", 7),
        _set("plan.variants", []),
        _set("as_of", "yesterday"),
        _set("result", "good"),
    ],
)
def test_read_bundle__a_part_that_cannot_be__is_refused_with_a_code(change: Any) -> None:
    with pytest.raises(Refused) as refused:
        _altered(change)
    assert refused.value.code == "bundle_malformed"


def test_read_bundle__of_a_later_schema__says_which_it_reads() -> None:
    with pytest.raises(Refused, match="reads schema 1") as refused:
        _altered(_set("schema", 2))
    assert refused.value.code == "bundle_schema_unknown"


def test_fingerprint__traits_and_seen_before__see_every_change_and_no_order() -> None:
    def of(codes: list[int], seen: list[bool], labels: tuple[str, ...] = ("desktop", "phone")) -> str:
        plain = worlds.totals("ab", [0, 1, 1], {"x": [1.0, 2.0, 3.0]}, [5, 6, 7])
        traits = {"device": TraitValues(labels, np.array(codes, dtype=np.int32))}
        return fingerprint(
            replace(plain, traits=traits, seen_before=np.array(seen)), worlds.exposures({"a": 1, "b": 2})
        )

    answers = [
        of([0, 1, -1], [True, False, False]),
        of([1, 0, -1], [True, False, False]),
        of([0, 1, 1], [True, False, False]),
        of([0, 1, -1], [False, True, False]),
        of([0, 1, -1], [True, False, False], ("desktop", "tablet")),
    ]
    assert len(set(answers)) == len(answers)


def test_differences__numbers__count_only_beyond_rounding_and_never_mix_with_truths() -> None:
    assert not list(differences({"a": [1.0, 24.0]}, {"a": [1.0 + 1e-10, 24]}))
    assert [d.path for d in differences({"a": [1.0]}, {"a": [1.0 + 1e-8]})] == ["a[0]"]
    assert [d.path for d in differences({"a": 1, "b": None}, {"a": True, "c": 0.0})] == ["a", "b", "c"]
    assert [d.path for d in differences([1], [1, 2])] == ["[1]"]


def _rows(totals: VisitorTotals, order: np.ndarray) -> VisitorTotals:
    columns = {name: values[order] for name, values in totals.columns.items()}
    return VisitorTotals(totals.variants, totals.variant[order], totals.first_exposure[order], columns)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(0, 2**45),
            st.one_of(st.just(float("nan")), st.just(-0.0), st.floats(-1e6, 1e6, width=32)),
        ),
        min_size=1,
        max_size=20,
    ),
    st.randoms(use_true_random=False),
)
def test_fingerprint__whatever_the_visitors__ignores_their_order_and_sees_every_change(rows: Any, chance: Any) -> None:
    def of(some: Any) -> str:
        variant, when, value = zip(*some, strict=True)
        return fingerprint(worlds.totals("abc", variant, {"x": value}, when), worlds.exposures({"a": 1}))

    shuffled = list(rows)
    chance.shuffle(shuffled)
    assert of(shuffled) == of(rows)
    (variant, when, value), *rest = rows
    assert of([((variant + 1) % 3, when, value), *rest]) != of(rows)
    assert of([(variant, when + 1, value), *rest]) != of(rows)
    assert of([(variant, when, 2e6), *rest]) != of(rows)
    assert of([*rows, rows[0]]) != of(rows)


def test_fingerprint__set_of_days__sees_each_single_day_and_no_rounding() -> None:
    def of(value: float) -> str:
        return fingerprint(worlds.totals("ab", [0], {"x": [value]}, [5]), worlds.exposures({"a": 1}))

    days = float(2**34 + 2**20 + 1)
    assert len({of(days), of(days - 1), of(days - 2**20), of(days + 2)}) == 4
    assert of(days + 1e-6) == of(days)
