"""A site's own past: the promise of `visitor_history`, held against every store."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from experiments.core.metrics import Aggregate, Column
from tests.tracking.logs import DAY_0, SITE, STORES, alias, event, exposure
from tracking.core.history import HistoryRequest, VisitorHistory
from tracking.core.timestamps import DAY_US, HOUR_US
from tracking.stores.base import EventStore
from tracking.stores.memory import MemoryStore


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> EventStore:
    return STORES[request.param](tmp_path)


BOUGHT = Column("n", "buy", Aggregate.COUNT, end_hours=24.0)


def ask(*columns: Column, **changes: object) -> HistoryRequest:
    values = {"site": SITE, "since": DAY_0, "until": DAY_0 + 7 * DAY_US, "as_of": DAY_0 + 30 * DAY_US} | changes
    return HistoryRequest(columns=columns or (BOUGHT,), **values)  # type: ignore[arg-type]


def rows(history: VisitorHistory) -> list[tuple[float, ...]]:
    """Return (hours after DAY_0, columns...) sorted."""
    columns = [history.columns[name] for name in sorted(history.columns)]
    return sorted(
        (float((first - DAY_0) / HOUR_US), *(float(c[i]) for c in columns))
        for i, first in enumerate(history.first_seen)
    )


def test_visitor_history__visits_before_in_and_after__counts_those_first_seen_in_the_period(store: EventStore) -> None:
    store.load(SITE, [event("view", "before", -1), event("view", "edge", 0), event("view", "late", 7 * 24)])
    store.load(SITE, [event("view", "old", -5), event("view", "old", 5), event("view", "old", 6)])
    assert rows(store.visitor_history(ask())) == [(0.0, 0.0), (5.0, 0.0)]


def test_visitor_history__window__starts_when_first_seen_and_ends_before_its_end(store: EventStore) -> None:
    store.load(SITE, [event("view", "a", 10), event("buy", "a", 33.9), event("buy", "a", 34), event("buy", "b", 2)])
    assert rows(store.visitor_history(ask())) == [(2.0, 1.0), (10.0, 1.0)]


def test_visitor_history__entry_event__counts_from_the_first_of_it(store: EventStore) -> None:
    store.load(SITE, [event("buy", "a", 1), event("basket", "a", 2), event("buy", "a", 3), event("buy", "b", 1)])
    assert rows(store.visitor_history(ask(entry="basket"))) == [(2.0, 1.0)]


def test_visitor_history__aliases__join_visitors_and_are_no_visits(store: EventStore) -> None:
    store.load(SITE, [event("view", "anonymous", 1), alias("known", "anonymous", 2), event("buy", "known", 3)])
    store.load(SITE, [alias("x", "y", 4)])
    assert rows(store.visitor_history(ask())) == [(1.0, 1.0)]


def test_visitor_history__other_sites_and_what_is_after_as_of__are_not_seen(store: EventStore) -> None:
    store.load("other", [event("view", "a", 1)])
    store.load(SITE, [event("view", "a", 1), event("buy", "a", 5), event("view", "b", 9)])
    assert rows(store.visitor_history(ask(as_of=DAY_0 + 4 * HOUR_US))) == [(1.0, 0.0)]


def test_visitor_history__nothing_there__is_empty(store: EventStore) -> None:
    history = store.visitor_history(ask())
    assert len(history.first_seen) == 0
    assert len(history.columns["n"]) == 0


def test_visitor_history__without_columns__still_tells_when_visitors_were_first_seen(store: EventStore) -> None:
    store.load(SITE, [event("view", "a", 4)])
    asked = HistoryRequest(site=SITE, since=DAY_0, until=DAY_0 + DAY_US, as_of=DAY_0 + DAY_US)
    assert rows(store.visitor_history(asked)) == [(4.0,)]


def test_visitor_history__random_log__is_that_of_the_reference_store(tmp_path: Path) -> None:
    chance = random.Random(8)
    log = [
        event(
            chance.choice(["view", "buy"]), f"v{chance.randrange(60)}", chance.uniform(-30, 300), value=chance.random()
        )
        for _ in range(500)
    ]
    log += [exposure(f"v{n}", "new", chance.uniform(0, 200)) for n in range(40)]
    log += [alias(f"v{n}", f"v{n + 30}", chance.uniform(0, 100)) for n in range(8)]
    columns = (BOUGHT, Column("sum", "buy", Aggregate.SUM), Column("wait", "buy", Aggregate.FIRST_HOURS))
    memory, parquet = MemoryStore(), STORES["parquet"](tmp_path)
    for one in (memory, parquet):
        one.load(SITE, log)
    expected, got = (sorted(rows(s.visitor_history(ask(*columns))), key=repr) for s in (memory, parquet))
    assert len(expected) > 40
    np.testing.assert_allclose(got, expected)


def test_history_request__period_that_ends_before_it_begins__is_refused() -> None:
    with pytest.raises(ValueError, match="cannot end"):
        ask(until=DAY_0)
