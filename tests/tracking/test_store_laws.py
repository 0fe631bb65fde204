"""Random event logs: the Parquet store says exactly what the reference store says, however the events came in."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.core.metrics import Aggregate, Column, Comparator, PropertyTest
from tests.tracking.logs import DAY_0, EXPERIMENT, SITE, alias, event, exposure, rows
from tracking.core.events import Event
from tracking.core.timestamps import HOUR_US
from tracking.core.totals import TotalsRequest
from tracking.segments import SegmentWriter, encode_lines
from tracking.stores import columns, parquet, snapshot
from tracking.stores.compaction import Compactor
from tracking.stores.manifest import MemoryManifest
from tracking.stores.memory import MemoryStore
from tracking.stores.parquet import ParquetStore

# A small grid makes ties, window edges and day borders common.
hours = st.one_of(st.sampled_from([0.0, 1.0, 2.0, 23.0, 24.0, 25.0, 48.0]), st.integers(0, 400).map(lambda n: n / 8))
visitors = st.sampled_from(["a", "b", "c", "d", "é'\"", "f"])
# Quarters add up exactly in any order.
amounts = st.integers(-40, 40).map(lambda n: n / 4)
jsons = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), amounts, st.sampled_from(["1", "true", "x", "", "\0", "日"]),
    st.lists(st.integers(0, 2), max_size=2), st.dictionaries(st.sampled_from(["p"]), st.integers(0, 2), max_size=1),
)  # fmt: skip
contexts = st.dictionaries(st.sampled_from(["device", "a/b~0", "\0"]), jsons, max_size=2)
properties = st.dictionaries(st.sampled_from(["p", "q", "a/b~0", "*", "0", "$"]), jsons, max_size=3)
events = st.one_of(
    st.builds(
        lambda name, who, at, value, props, context, source: event(
            name, who, at, value=value, properties=props, context=context, source=source
        ),
        st.sampled_from(["buy", "view"]), visitors, hours, st.none() | amounts, properties, contexts,
        st.sampled_from(["", "", "", "", "", "", "", "robot:native"]),
    ),
    st.builds(
        lambda who, variant, at, context: exposure(who, variant, at, context=context),
        visitors, st.sampled_from(["control", "new", "newer", "typo"]), hours, contexts,
    ),
    st.builds(lambda who, at: exposure(who, "new", at, experiment="another"), visitors, hours),
    st.builds(
        lambda pair, at: alias(pair[0], pair[1], at),
        st.tuples(visitors, visitors).filter(lambda pair: pair[0] != pair[1]), hours,
    ),
)  # fmt: skip
tests = st.builds(
    PropertyTest,
    st.sampled_from(["p", "q", "a/b~0", "*", "0", "$"]),
    st.sampled_from(list(Comparator)),
    st.one_of(st.booleans(), st.integers(-3, 3).map(float), amounts, st.sampled_from(["1", "true", "x", "", "\0"])),
)
windows = st.tuples(st.sampled_from([-24.0, -1.0, 0.0, 0.5, 1.0]), st.sampled_from([None, 1.5, 2.0, 24.0, 1000.0]))
column_parts = st.tuples(
    st.sampled_from(["buy", "view", "$exposure", "nothing"]),
    st.sampled_from(list(Aggregate)),
    st.lists(tests, max_size=2),
    st.sampled_from([None, "p", "q"]),
    windows,
)
moments = st.none() | hours.map(lambda h: DAY_0 + round(h * HOUR_US))


@st.composite
def requests(draw: st.DrawFn) -> TotalsRequest:
    parts = draw(st.lists(column_parts, max_size=4))
    return TotalsRequest(
        site=draw(st.sampled_from([SITE, SITE, "other"])),
        experiment=EXPERIMENT,
        variants=draw(st.sampled_from([("control", "new"), ("newer", "new", "control"), ("new", "absent")])),
        as_of=draw(hours.map(lambda h: DAY_0 + round(2 * h * HOUR_US))),
        since=draw(moments),
        until=draw(moments),
        time_zone=draw(st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"])),
        columns=tuple(
            Column(f"m{n}", name, kind, tuple(where), prop, start, end)
            for n, (name, kind, where, prop, (start, end)) in enumerate(parts)
        ),
        traits=draw(st.sampled_from([(), ("device",), ("a/b~0", "device", "\0")])),
        lookback_hours=draw(st.sampled_from([0.0, 1.0, 24.0, 672.0])),
        with_robots=draw(st.booleans()),
    )


@st.composite
def logs(draw: st.DrawFn) -> list[tuple[str, str, list[Event]]]:
    """Return steps (how, site, events): the events of a step are loaded, left waiting, or compacted."""
    happened = draw(st.lists(events, max_size=25))
    again = happened[: draw(st.integers(0, 8))]
    order = draw(st.permutations(happened + again))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=4)))
    pieces = [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]
    how = st.sampled_from(["load", "wait", "seal", "compact"])
    return [(draw(how), draw(st.sampled_from([SITE, SITE, "other"])), piece) for piece in pieces]


def fill(root: Path, steps: list[tuple[str, str, list[Event]]]) -> tuple[MemoryStore, ParquetStore, SegmentWriter]:
    reference = MemoryStore()
    manifest = MemoryManifest()
    store = ParquetStore(root, manifest, compactor=Compactor(root, manifest, batch_bytes=2000))
    writer = SegmentWriter(root)
    for how, site, piece in steps:
        reference.load(site, piece)
        if how == "load":
            store.load(site, piece)
            continue
        if piece:
            writer.append(encode_lines(site, piece))
        if how != "wait":
            writer.seal()
        if how == "compact":
            store.compact()
    return reference, store, writer


def answers(store: MemoryStore | ParquetStore, request: TotalsRequest, visitor: str) -> list[Any]:
    site = request.site
    return [
        store.count_events(site=site),
        store.count_events(site=site, event="buy", visitor=visitor),
        store.count_exposures(site=site, experiment=EXPERIMENT),
        store.count_exposures(site=site, experiment=EXPERIMENT, visitor=visitor, variant="new"),
        store.exposure_counts(request),
        rows(store.visitor_totals(request)),
        list(store.event_names(site=site)),
        list(store.event_properties(site=site)),
        list(store.event_properties(site=site, since=DAY_0 + HOUR_US)),
    ]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=logs(), request=requests(), visitor=visitors)
def test_parquet__any_log_in_any_split__answers_as_the_reference(
    steps: list[tuple[str, str, list[Event]]], request: TotalsRequest, visitor: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        reference, store, writer = fill(Path(folder), steps)
        assert answers(store, request, visitor) == answers(reference, request, visitor)
        writer.seal()
        store.compact()
        assert answers(store, request, visitor) == answers(reference, request, visitor)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=logs(), request=requests(), visitor=visitors)
def test_parquet__after_erasure__answers_as_the_reference(
    steps: list[tuple[str, str, list[Event]]], request: TotalsRequest, visitor: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        reference, store, writer = fill(Path(folder), steps)
        writer.seal()
        erased = [one.erase_visitor(site=request.site, visitor=visitor) for one in (store, reference)]
        assert erased[0] == erased[1]
        assert answers(store, request, visitor) == answers(reference, request, visitor)


def test_totals__two_exposed_visitors_with_one_hash__are_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (columns, snapshot):
        monkeypatch.setattr(module, "visitor_hash_sql", lambda column: f"(length({column}) * 0 + 7)::UBIGINT")
    monkeypatch.setattr(parquet, "visitor_hash", lambda visitor: 7)
    log = [exposure("a", "new", 1), exposure("b", "control", 2), event(visitor="b", hours=3), alias("b", "c", 1)]
    request = TotalsRequest(
        SITE, EXPERIMENT, ("control", "new"), DAY_0 + 9 * HOUR_US, columns=(Column("n", "buy", Aggregate.COUNT),)
    )
    reference, store, _ = fill(tmp_path, [("compact", SITE, log)])
    assert answers(store, request, "b")[3:6] == answers(reference, request, "b")[3:6]
