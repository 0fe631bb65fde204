"""The promises of `tracking/stores/base.py`, held against every store."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest

from experiments.core.metrics import Aggregate, Column, Comparator, PropertyTest
from tests.tracking.logs import DAY_0, EXPERIMENT, SITE, STORES, alias, event, exposure, rows
from tracking.core.events import ALIAS, Event
from tracking.core.timestamps import HOUR_US
from tracking.core.totals import ROBOT_EVENTS_A_MINUTE, EventNameSummary, TotalsRequest
from tracking.stores.base import EventStore

AS_OF = DAY_0 + 30 * 24 * HOUR_US


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> EventStore:
    return STORES[request.param](tmp_path)


def ask(*columns: Column, **changes: object) -> TotalsRequest:
    values = {"site": SITE, "experiment": EXPERIMENT, "variants": ("control", "new"), "as_of": AS_OF} | changes
    return TotalsRequest(columns=columns, **values)  # type: ignore[arg-type]


def count_of(event_name: str = "buy", **changes: object) -> Column:
    return Column("n", event_name, Aggregate.COUNT, **changes)  # type: ignore[arg-type]


# --- load ---------------------------------------------------------------------------------------------------------------


def test_load__same_id_same_day__changes_nothing(store: EventStore) -> None:
    assert store.load(SITE, [event(event_id="a"), event(event_id="a", hours=2)]) == 1
    assert store.load(SITE, [event(event_id="a", hours=3, name="view"), event(event_id="b")]) == 1
    assert store.count_events(site=SITE) == 2
    assert store.count_events(site=SITE, event="view") == 0


def test_load__same_id_on_another_day_or_site__is_another_event(store: EventStore) -> None:
    assert store.load(SITE, [event(event_id="a", hours=23), event(event_id="a", hours=24)]) == 2
    assert store.load("other", [event(event_id="a", hours=23)]) == 1
    assert (store.count_events(site=SITE), store.count_events(site="other")) == (2, 1)


def test_load__twice_shuffled_and_split__leaves_the_same_store(store: EventStore) -> None:
    chance = random.Random(3)
    log = [exposure(f"v{n}", chance.choice(["control", "new"]), n % 70) for n in range(40)]
    log += [event(visitor=f"v{n % 50}", hours=chance.uniform(0, 90)) for n in range(60)]
    for _ in range(3):
        chance.shuffle(log)
        for start in range(0, len(log), 37):
            store.load(SITE, log[start : start + 37])
    assert store.count_events(site=SITE) == len(log)
    expected = sorted(
        sum(e.name == "buy" and e.visitor_id == first.visitor_id and e.time >= first.time for e in log)
        for first in log
        if first.name == "$exposure"
    )
    assert sorted(store.visitor_totals(ask(count_of())).columns["n"]) == expected


def test_load__of_nothing__adds_nothing(store: EventStore) -> None:
    assert store.load(SITE, []) == 0
    assert store.count_events(site=SITE) == 0


@pytest.mark.parametrize(
    "odd", ["'; DROP TABLE events; --", '"<b>x</b>"', "日本語😀", "a/b~c", "new\nline", "\\u0041", "%s", "x" * 200]
)
def test_every_answer__odd_text_everywhere__takes_it_as_text(store: EventStore, odd: str) -> None:
    log = [
        exposure(odd, odd, 1, experiment=odd, session_id=odd, event_id=odd),
        event(odd, odd, 2, properties={odd: odd}, context={odd: odd}, event_id=odd + "2"),
        event("buy", "plain", 2, properties={odd: "else"}),
    ]
    assert store.load(SITE, log) == 3
    assert store.count_events(site=SITE, event=odd, visitor=odd) == 1
    assert store.count_exposures(site=SITE, experiment=odd, visitor=odd, variant=odd) == 1
    wanted = Column("n", odd, Aggregate.COUNT, where=(PropertyTest(odd, Comparator.EQUALS, odd),))
    totals = store.visitor_totals(ask(wanted, experiment=odd, variants=("control", odd)))
    assert rows(totals) == [(odd, DAY_0 + HOUR_US, 1.0)]
    assert store.erase_visitor(site=SITE, visitor=odd) == 2


# --- counts -------------------------------------------------------------------------------------------------------------


def test_count_events__by_name_and_visitor__none_means_any(store: EventStore) -> None:
    store.load(SITE, [event("buy", "a"), event("buy", "b"), event("view", "a"), exposure("a")])
    count = store.count_events
    assert (count(site=SITE), count(site=SITE, event="buy"), count(site=SITE, visitor="a")) == (4, 2, 3)
    assert count(site=SITE, event="buy", visitor="a") == 1
    assert count(site=SITE, event="nothing") == 0
    assert count(site="other") == 0


def test_count_events__linked_identities__count_as_one_visitor(store: EventStore) -> None:
    store.load(SITE, [event("buy", "anonymous"), alias("known", "anonymous", 5), event("buy", "known", 6)])
    for visitor in ("known", "anonymous"):
        assert store.count_events(site=SITE, event="buy", visitor=visitor) == 2


def test_count_exposures__repeats_variants_and_links__counts_distinct_pairs(store: EventStore) -> None:
    store.load(SITE, [exposure("a", "new", 1), exposure("a", "new", 2), exposure("a", "control", 3)])
    store.load(SITE, [exposure("b", "new", 1), exposure("c", "new", 1), alias("c", "b", 9)])
    store.load(SITE, [exposure("d", "new", 1, experiment="another"), exposure("e", "unplanned", 1)])
    count = store.count_exposures
    assert count(site=SITE, experiment=EXPERIMENT) == 4  # a-new, a-control, bc-new, e-unplanned
    assert count(site=SITE, experiment=EXPERIMENT, variant="new") == 2
    assert count(site=SITE, experiment=EXPERIMENT, visitor="b") == 1
    assert count(site=SITE, experiment=EXPERIMENT, visitor="a", variant="control") == 1
    assert count(site=SITE, experiment="unknown") == 0


# --- exposures ----------------------------------------------------------------------------------------------------------


def test_exposure_counts__unknown_experiment__has_no_visitors(store: EventStore) -> None:
    store.load(SITE, [event(hours=4), exposure("a", hours=5)])
    counts = store.exposure_counts(ask(experiment="unknown"))
    assert counts.visitors == {"control": 0, "new": 0}
    assert counts.daily.days == ()
    assert (counts.first_exposure, counts.last_exposure) == (None, None)
    assert counts.last_event == DAY_0 + 5 * HOUR_US


def test_exposure_counts__empty_site__has_no_times(store: EventStore) -> None:
    counts = store.exposure_counts(ask())
    assert (counts.first_exposure, counts.last_exposure, counts.last_event) == (None, None, None)


def test_exposure_counts__two_variants_and_unknown_ones__are_told_apart(store: EventStore) -> None:
    store.load(SITE, [exposure("clean", "control", 1)])
    store.load(SITE, [exposure("both", "new", 2), exposure("both", "control", 1)])
    store.load(SITE, [exposure("stray", "new", 1), exposure("stray", "typo", 2)])
    store.load(SITE, [exposure("lost", "typo", 1), exposure("lost", "other", 2)])
    counts = store.exposure_counts(ask())
    assert counts.visitors == {"control": 2, "new": 1}
    assert counts.in_several_variants == 1
    assert (counts.conflicting, counts.only_conflicting) == (2, 1)
    assert counts.unknown_variants == {"other": 1, "typo": 2}


def test_exposure_counts__range__takes_since_in_and_until_out(store: EventStore) -> None:
    store.load(SITE, [exposure(f"v{hour}", "new", hour) for hour in range(6)])
    at = [DAY_0 + hour * HOUR_US for hour in range(6)]
    counts = store.exposure_counts(ask(since=at[1], until=at[4]))
    assert counts.visitors["new"] == 3
    assert (counts.first_exposure, counts.last_exposure) == (at[1], at[3])
    assert store.exposure_counts(ask(as_of=at[2])).visitors["new"] == 3
    assert store.exposure_counts(ask(as_of=at[2], until=at[2])).visitors["new"] == 2


def test_exposure_counts__days__are_local_and_without_gaps(store: EventStore) -> None:
    # DAY_0 is 2026-02-16 00:00 UTC: 19:00 of the day before in New York.
    store.load(SITE, [exposure("a", "new", 0), exposure("b", "control", 4.999), exposure("c", "new", 5)])
    store.load(SITE, [exposure("d", "new", 80), exposure("a", "new", 90)])
    daily = store.exposure_counts(ask(time_zone="America/New_York")).daily
    assert daily.days == ("2026-02-15", "2026-02-16", "2026-02-17", "2026-02-18", "2026-02-19")
    assert daily.counts == ((1, 1), (0, 1), (0, 0), (0, 0), (0, 1))


def test_exposure_counts__linked_identities__are_one_visitor_in_the_first_variant(store: EventStore) -> None:
    store.load(SITE, [exposure("known", "control", 8), exposure("anonymous", "new", 2), alias("known", "anonymous", 9)])
    store.load(SITE, [exposure("alone", "new", 1), alias("unexposed", "elsewhere", 1)])
    counts = store.exposure_counts(ask())
    assert counts.visitors == {"control": 0, "new": 2}
    assert (counts.in_several_variants, counts.linked_identities) == (1, 1)
    before_the_link = store.exposure_counts(ask(as_of=DAY_0 + 8 * HOUR_US))
    assert before_the_link.visitors == {"control": 1, "new": 2}


def test_exposure_counts__robots__are_counted_apart_and_left_out_unless_wanted(store: EventStore) -> None:
    minute = 1 / 60
    store.load(SITE, [exposure("person", "new", 1), exposure("says so", "new", 1), exposure("busy", "control", 1)])
    store.load(SITE, [event("view", "says so", 2, source="robot:native"), event("buy", "person", 2)])
    busy = [event("view", "busy", 3 + n * minute / 200) for n in range(ROBOT_EVENTS_A_MINUTE + 1)]
    just_not = [event("view", "person", 5 + n * minute / 200) for n in range(ROBOT_EVENTS_A_MINUTE)]
    store.load(SITE, [*busy, *just_not])
    counts = store.exposure_counts(ask())
    assert counts.visitors == {"control": 0, "new": 1} and counts.robots == {"control": 1, "new": 1}
    assert len(store.visitor_totals(ask()).variant) == 1
    everybody = store.exposure_counts(ask(with_robots=True))
    assert everybody.visitors == {"control": 1, "new": 2} and everybody.robots == counts.robots
    assert len(store.visitor_totals(ask(with_robots=True)).variant) == 3
    before = store.exposure_counts(ask(as_of=DAY_0 + HOUR_US))
    assert before.robots == {} and sum(before.visitors.values()) == 3


def test_exposure_counts__device_of_two_known_users__keeps_them_apart_and_counts_it(store: EventStore) -> None:
    def login(device: str, user: str, hours: float) -> Event:
        return event(ALIAS, device, hours, properties={"alias": user, "user": user})

    store.load(SITE, [exposure("phone", "new", 1), login("phone", "ann", 2), login("phone", "bob", 3)])
    store.load(SITE, [event("buy", "ann", 4), event("buy", "bob", 4)])
    counts = store.exposure_counts(ask())
    assert (counts.users_kept_apart, counts.links_ignored) == (1, 0)
    assert store.count_events(site=SITE, event="buy", visitor="phone") == 1
    assert store.count_events(site=SITE, event="buy", visitor="bob") == 1


# --- totals -------------------------------------------------------------------------------------------------------------


def test_visitor_totals__first_exposure__is_earliest_then_smallest_key(store: EventStore) -> None:
    store.load(SITE, [exposure("a", "new", 3), exposure("a", "control", 2)])
    store.load(SITE, [exposure("b", "new", 2), exposure("b", "control", 2), exposure("b", "apart", 2)])
    store.load(SITE, [exposure("c", "unplanned", 0), exposure("c", "new", 4)])
    found = rows(store.visitor_totals(ask(variants=("new", "control", "apart"))))
    assert found == [
        ("apart", DAY_0 + 2 * HOUR_US),
        ("control", DAY_0 + 2 * HOUR_US),
        ("new", DAY_0 + 4 * HOUR_US),
    ]


def test_visitor_totals__window__takes_the_start_in_and_the_end_out(store: EventStore) -> None:
    store.load(SITE, [exposure("a", "new", 10)])
    first = DAY_0 + 10 * HOUR_US
    for offset in (-2 * HOUR_US, -2 * HOUR_US - 1, -1, 0, HOUR_US - 1, HOUR_US, 5 * HOUR_US - 1, 5 * HOUR_US):
        store.load(SITE, [event(visitor="a", time=first + offset)])
    columns = [
        Column("all", "buy", Aggregate.COUNT),
        Column("hour", "buy", Aggregate.COUNT, end_hours=1),
        Column("later", "buy", Aggregate.COUNT, start_hours=1, end_hours=5),
        Column("before", "buy", Aggregate.COUNT, start_hours=-2, end_hours=0),
    ]
    found = store.visitor_totals(ask(*columns)).columns
    assert {name: float(values[0]) for name, values in found.items()} == {
        "all": 5.0,
        "hour": 2.0,
        "later": 2.0,
        "before": 2.0,
    }


def test_visitor_totals__as_of__takes_events_up_to_and_including_it(store: EventStore) -> None:
    store.load(SITE, [exposure("a", "new", 1), event(visitor="a", hours=2), event(visitor="a", hours=3)])
    for hour, expected in [(1, 0.0), (2, 1.0), (3, 2.0)]:
        totals = store.visitor_totals(ask(count_of(), as_of=DAY_0 + hour * HOUR_US))
        assert rows(totals) == [("new", DAY_0 + HOUR_US, expected)]
        just_before = store.visitor_totals(ask(count_of(), as_of=DAY_0 + hour * HOUR_US - 1))
        assert len(just_before.variant) == (hour > 1)


def test_visitor_totals__visitor_without_events__has_zeros_and_nan(store: EventStore) -> None:
    store.load(SITE, [exposure("a", "new", 1), event(visitor="unexposed", hours=2, value=9.0)])
    columns = [
        Column("count", "buy", Aggregate.COUNT),
        Column("first", "buy", Aggregate.FIRST_HOURS),
        Column("sum", "buy", Aggregate.SUM),
    ]
    assert rows(store.visitor_totals(ask(*columns))) == [("new", DAY_0 + HOUR_US, 0.0, None, 0.0)]


def test_visitor_totals__values__add_up_and_what_is_no_number_adds_nothing(store: EventStore) -> None:
    store.load(SITE, [exposure("a", "new", 0)])
    for value, price in [(1.5, 2), (None, 0.25), (-1.0, "7"), (0.0, True), (4.0, None), (2.0, [3]), (8.0, 1e3)]:
        store.load(SITE, [event(visitor="a", hours=1, value=value, properties={"price": price, "a/b~": price})])
    columns = [
        Column("own", "buy", Aggregate.SUM),
        Column("price", "buy", Aggregate.SUM, value_property="price"),
        Column("pricy", "buy", Aggregate.SUM, value_property="a/b~"),
    ]
    found = store.visitor_totals(ask(*columns)).columns
    assert [float(found[name][0]) for name in ("own", "price", "pricy")] == [14.5, 1002.25, 1002.25]


def test_visitor_totals__first_hours__counts_from_the_first_exposure(store: EventStore) -> None:
    store.load(SITE, [exposure("a", "new", 2), event(visitor="a", hours=26.25), event(visitor="a", hours=8)])
    store.load(SITE, [event(visitor="a", hours=1)])
    totals = store.visitor_totals(ask(Column("h", "buy", Aggregate.FIRST_HOURS)))
    assert rows(totals) == [("new", DAY_0 + 2 * HOUR_US, 6.0)]


def test_visitor_totals__days__say_on_which_days_it_happened(store: EventStore) -> None:
    store.load(SITE, [exposure("a", "new", 50), exposure("b", "new", 50)])
    # Days of 24 hours from 48 hours before the exposure on: 2 to 26, 26 to 50, 50 to 74 ...
    for hour in (1.9, 2, 3, 49.9, 50, 73.9, 98, 2 + 24 * 51, 2 + 24 * 52):
        store.load(SITE, [event(visitor="a", hours=hour)])
    asked = [
        Column("d", "buy", Aggregate.DAYS, start_hours=-48),
        Column("w", "buy", Aggregate.DAYS, start_hours=-48, end_hours=24),
    ]
    found = store.visitor_totals(ask(*asked, as_of=DAY_0 + 2000 * HOUR_US)).columns
    assert sorted(found["d"]) == [0.0, float(0b10111 + 2**51)]
    assert sorted(found["w"]) == [0.0, float(0b111)]


# Each value of the property `p`, by how it is written in JSON; "missing" is not there at all.
PROPERTIES = {
    "1": 1, "1.0": 1.0, "2": 2, "-1": -1, "true": True, "false": False, '"1"': "1", '"true"': "true", '"b"': "b",
    "null": None, "[1]": [1], '{"p":1}': {"p": 1}, '""': "", "9007199254740993": 9007199254740993,
}  # fmt: skip
PASSES: list[tuple[Comparator, str | float | bool, set[str]]] = [
    (Comparator.EQUALS, 1.0, {"1", "1.0"}),
    (Comparator.EQUALS, True, {"true"}),
    (Comparator.EQUALS, False, {"false"}),
    (Comparator.EQUALS, "1", {'"1"'}),
    (Comparator.EQUALS, "true", {'"true"'}),
    (Comparator.EQUALS, "", {'""'}),
    (Comparator.EQUALS, 9007199254740992.0, {"9007199254740993"}),  # both are the same double
    (Comparator.NOT_EQUALS, 1, {*PROPERTIES, "missing"} - {"1", "1.0"}),
    (Comparator.NOT_EQUALS, "b", {*PROPERTIES, "missing"} - {'"b"'}),
    (Comparator.NOT_EQUALS, True, {*PROPERTIES, "missing"} - {"true"}),
    (Comparator.GREATER, 1.0, {"2", "9007199254740993"}),
    (Comparator.AT_LEAST, 1, {"1", "1.0", "2", "9007199254740993"}),
    (Comparator.LESS, 1.0, {"-1"}),
    (Comparator.AT_MOST, 1.0, {"-1", "1", "1.0"}),
    (Comparator.GREATER, "a", set()),
    (Comparator.AT_LEAST, False, set()),
]


def test_visitor_totals__property_tests__compare_like_with_like(store: EventStore) -> None:
    # Which visitor a row is of shows in its first exposure: one minute apart each.
    keys = [*PROPERTIES, "missing"]
    log = [exposure(key, "new", minute / 60) for minute, key in enumerate(keys)]
    log += [event(visitor=key, hours=1, properties={"p": value}) for key, value in PROPERTIES.items()]
    log += [event(visitor="missing", hours=1, properties={"q": 1})]
    store.load(SITE, log)
    columns = [
        Column(f"t{n}", "buy", Aggregate.COUNT, where=(PropertyTest("p", comparator, value),))
        for n, (comparator, value, _) in enumerate(PASSES)
    ]
    totals = store.visitor_totals(ask(*columns))
    minutes = np.rint((totals.first_exposure - DAY_0) / (HOUR_US / 60)).astype(int)
    for n, (comparator, value, expected) in enumerate(PASSES):
        passed = {keys[minute] for minute, hit in zip(minutes, totals.columns[f"t{n}"], strict=True) if hit}
        assert passed == expected, (comparator, value)


def test_visitor_totals__several_tests__must_all_pass(store: EventStore) -> None:
    store.load(SITE, [exposure("a", "new", 0)])
    for size, colour in itertools.product([1, 2, 3], ["red", "blue"]):
        store.load(SITE, [event(visitor="a", hours=1, properties={"size": size, "colour": colour})])
    where = (PropertyTest("size", Comparator.AT_LEAST, 2), PropertyTest("colour", Comparator.EQUALS, "red"))
    assert rows(store.visitor_totals(ask(count_of(where=where)))) == [("new", DAY_0, 2.0)]


def test_visitor_totals__linked_identities__bring_their_events_together(store: EventStore) -> None:
    store.load(
        SITE, [exposure("anonymous", "new", 2), event(visitor="known", hours=3), event(visitor="anonymous", hours=4)]
    )
    store.load(SITE, [event(visitor="phone", hours=1), event(visitor="phone", hours=5)])
    store.load(SITE, [alias("known", "phone", 7), alias("known", "anonymous", 6)])
    assert rows(store.visitor_totals(ask(count_of()))) == [("new", DAY_0 + 2 * HOUR_US, 3.0)]


def test_visitor_totals__late_events__fall_where_they_happened(store: EventStore) -> None:
    late = DAY_0 + 20 * 24 * HOUR_US
    store.load(SITE, [exposure("a", "control", 30, received=late)])
    store.load(SITE, [exposure("a", "new", 5, received=late + 1), event(visitor="a", hours=6, received=late + 2)])
    assert rows(store.visitor_totals(ask(count_of()))) == [("new", DAY_0 + 5 * HOUR_US, 1.0)]


def test_visitor_totals__two_sites__never_mix(store: EventStore) -> None:
    store.load(SITE, [exposure("a", "new", 0), event(visitor="a", hours=1)])
    store.load("other", [exposure("a", "control", 0), event(visitor="a", hours=1), alias("a", "b", 1)])
    store.load(SITE, [event(visitor="b", hours=2)])
    assert rows(store.visitor_totals(ask(count_of()))) == [("new", DAY_0, 1.0)]
    assert rows(store.visitor_totals(ask(count_of(), site="other"))) == [("control", DAY_0, 1.0)]


def test_visitor_totals__nobody_exposed__has_empty_arrays(store: EventStore) -> None:
    store.load(SITE, [event()])
    totals = store.visitor_totals(ask(count_of()))
    assert len(totals.variant) == len(totals.first_exposure) == len(totals.columns["n"]) == 0
    assert totals.variant.dtype == np.int8
    assert totals.columns["n"].dtype == np.float64
    empty = store.visitor_totals(ask(traits=("device",), lookback_hours=1.0))
    assert empty.traits["device"].labels == () and empty.seen_before is not None and len(empty.seen_before) == 0


def test_visitor_totals__traits__are_the_latest_text_up_to_the_first_exposure(store: EventStore) -> None:
    store.load(
        SITE,
        [
            event(visitor="a", hours=1, context={"device": "phone", "source": "mail"}),
            exposure("a", "new", 5, context={"device": "desktop"}),
            event(visitor="a", hours=6, context={"device": "tablet"}),
            exposure("b", "new", 5, context={"device": 7, "source": ""}),
            event(visitor="b", hours=-60, context={"device": "too long ago"}),
        ],
    )
    found = store.visitor_totals(ask(traits=("device", "source"), lookback_hours=48.0))
    assert rows(found) == [
        ("new", DAY_0 + 5 * HOUR_US, "desktop", "mail", True),
        ("new", DAY_0 + 5 * HOUR_US, None, None, False),
    ]
    assert found.traits["device"].labels == ("desktop",)


@pytest.mark.parametrize("odd", ["\0", "a\0", "日", "'", " "])
def test_visitor_totals__odd_traits__are_kept_as_they_are(store: EventStore, odd: str) -> None:
    store.load(SITE, [exposure("a", "new", 5, context={"device": odd}), exposure("b", "new", 5)])
    assert store.visitor_totals(ask(traits=("device",))).traits["device"].labels == (odd,)


def test_visitor_totals__traits_at_one_time__are_the_largest_text(store: EventStore) -> None:
    store.load(
        SITE, [exposure("a", "new", 5, context={"device": "a"}), event(visitor="a", hours=5, context={"device": "b"})]
    )
    assert rows(store.visitor_totals(ask(traits=("device",), lookback_hours=1.0)))[0][2:] == ("b", False)


def test_visitor_totals__seen_before__takes_the_lookback_in_and_leaves_aliases_and_the_moment_itself_out(
    store: EventStore,
) -> None:
    store.load(
        SITE,
        [
            *(exposure(who, "new", 48) for who in "abcd"),
            event(visitor="a", hours=24),
            event(visitor="b", time=DAY_0 + 24 * HOUR_US - 1),
            event(visitor="c", hours=48),
            alias("d", "e", 30),
        ],
    )
    found = store.visitor_totals(ask(lookback_hours=24.0))
    assert found.seen_before is not None and found.seen_before.sum() == 1
    assert store.visitor_totals(ask()).seen_before is None


def test_visitor_totals__identity_linked_after_the_exposure__brings_no_past_but_what_it_does_later(
    store: EventStore,
) -> None:
    store.load(
        SITE,
        [
            event(visitor="known", hours=1, context={"device": "phone"}),
            event(visitor="anonymous", hours=2),
            exposure("anonymous", "new", 5),
            event(visitor="known", hours=6),
            event(visitor="known", hours=6.5),
            alias("known", "anonymous", 7),
        ],
    )
    before = Column("before", "buy", Aggregate.COUNT, start_hours=-24, end_hours=0)
    after = Column("after", "buy", Aggregate.COUNT)
    found = store.visitor_totals(ask(before, after, traits=("device",), lookback_hours=24.0))
    assert rows(found) == [("new", DAY_0 + 5 * HOUR_US, 2.0, 1.0, None, True)]
    alone = store.visitor_totals(ask(before, as_of=DAY_0 + 5 * HOUR_US, traits=("device",), lookback_hours=24.0))
    assert rows(alone) == [("new", DAY_0 + 5 * HOUR_US, 1.0, None, True)]


# --- names, erasure, retention ------------------------------------------------------------------------------------------


def test_event_names__frequency_then_name__with_distinct_visitors(store: EventStore) -> None:
    store.load(SITE, [event("view", "a", 3), event("view", "a", 1), event("buy", "b", 2), event("add", "c", 4)])
    store.load(SITE, [alias("a", "d", 9), event("view", "d", 8)])
    at = [DAY_0 + hour * HOUR_US for hour in range(10)]
    assert list(store.event_names(site=SITE)) == [
        EventNameSummary("view", 3, 1, at[1], at[8]),
        EventNameSummary("$alias", 1, 1, at[9], at[9]),
        EventNameSummary("add", 1, 1, at[4], at[4]),
        EventNameSummary("buy", 1, 1, at[2], at[2]),
    ]


def test_erase_visitor__with_links__deletes_all_identities_and_nothing_else(store: EventStore) -> None:
    store.load(SITE, [exposure("a", "new", 0), event(visitor="a", hours=30), event(visitor="b", hours=60)])
    store.load(SITE, [alias("b", "a", 61), event(visitor="c", hours=1), event(visitor="c", hours=30)])
    store.load("other", [event(visitor="a")])
    assert store.erase_visitor(site=SITE, visitor="a") == 4
    assert store.count_events(site=SITE) == 2
    assert store.count_events(site="other") == 1
    assert store.erase_visitor(site=SITE, visitor="a") == 0


def test_erase_visitor__named_only_by_an_ignored_alias__is_named_no_more(store: EventStore) -> None:
    store.load(SITE, [alias("hub", f"v{n}", n / 10) for n in range(60)])
    assert store.erase_visitor(site=SITE, visitor="v59") == 1
    assert store.count_events(site=SITE) == 59


def test_drop_before__a_day__deletes_earlier_days_of_that_site_only(store: EventStore) -> None:
    store.load(SITE, [event(hours=hour) for hour in (0, 23.99, 24, 50)])
    store.load("other", [event(hours=0)])
    assert store.drop_before(site=SITE, day="2026-02-17") == 2
    assert (store.count_events(site=SITE), store.count_events(site="other")) == (2, 1)
    assert store.drop_before(site=SITE, day="2026-02-17") == 0
