"""Cells of files read as times, numbers and counts; names turned into keys."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking.importing.cells import BadCell, as_count, as_number, as_text, as_time
from tracking.importing.naming import key_from, keys_from

# 21 January 2017 22:11:48.556739 UTC by `date -u -d`
MOMENT = 1_485_036_708_556_739


@pytest.mark.parametrize(
    "cell",
    [
        "2017-01-21 22:11:48.556739",
        "2017-01-21T22:11:48.556739Z",
        "2017-01-21T23:11:48.556739+01:00",
        "2017-01-21 22:11:48.556739 UTC",
        datetime(2017, 1, 21, 22, 11, 48, 556739),
        datetime(2017, 1, 21, 23, 11, 48, 556739, tzinfo=timezone(timedelta(hours=1))),
        MOMENT,
        str(MOMENT),
        MOMENT * 1000 + 999,
    ],
)
def test_as_time__one_moment_written_in_many_ways__is_one_time(cell: Any) -> None:
    assert as_time(cell) == MOMENT


@pytest.mark.parametrize("cell", [1_485_036_708, 1_485_036_708_000, "1485036708", "1485036708000", 1_485_036_708.0])
def test_as_time__unix_seconds_and_milliseconds__are_told_apart(cell: Any) -> None:
    assert as_time(cell) == 1_485_036_708_000_000


def test_as_time__without_offset__is_taken_in_the_zone() -> None:
    # Lisbon is UTC+1 in July.
    lisbon = ZoneInfo("Europe/Lisbon")
    assert as_time("2024-07-01 12:00:00", lisbon) == as_time("2024-07-01T11:00:00Z")
    assert as_time(date(2024, 7, 1), lisbon) == as_time("2024-06-30T23:00:00Z")


def test_as_time__own_format__is_followed() -> None:
    assert as_time("21/01/2017", UTC, "%d/%m/%Y") == as_time("2017-01-21")


@pytest.mark.parametrize("cell", ["soon", "21/01/2017", "2017-13-01", float("inf"), True, "1e400", 10**40])
def test_as_time__nonsense__is_a_bad_time_that_shows_the_value(cell: Any) -> None:
    with pytest.raises(BadCell) as bad:
        as_time(cell)
    assert bad.value.code == "bad_time"
    assert str(cell)[:6] in str(bad.value)


@pytest.mark.parametrize("cell", ["", None, float("nan")])
def test_as_time__empty__is_a_missing_time(cell: Any) -> None:
    with pytest.raises(BadCell) as bad:
        as_time(cell)
    assert bad.value.code == "missing_time"


@pytest.mark.parametrize(
    ("cell", "count"),
    [
        (True, 1),
        (False, 0),
        ("TRUE", 1),
        ("no", 0),
        ("", 0),
        (None, 0),
        ("3", 3),
        (2.0, 2),
        ("0.0", 0),
        (float("nan"), 0),
    ],
)
def test_as_count__yes_no_and_whole_numbers__are_counts(cell: Any, count: int) -> None:
    assert as_count(cell) == count


@pytest.mark.parametrize("cell", ["maybe", -1, 0.5, "inf", "1e400"])
def test_as_count__anything_else__is_a_bad_value(cell: Any) -> None:
    with pytest.raises(BadCell) as bad:
        as_count(cell)
    assert bad.value.code == "bad_value"


def test_as_number__empty_is_none_and_text_is_refused() -> None:
    assert as_number("") is None
    assert as_number(" 12.5 ") == 12.5
    for cell in ("abc", "inf", "1,5"):
        with pytest.raises(BadCell):
            as_number(cell)


def test_as_text__the_same_id_in_other_types__is_the_same_text() -> None:
    assert as_text(851104) == as_text(851104.0) == as_text(" 851104 ") == "851104"


@pytest.mark.parametrize(
    ("name", "key"),
    [("No E-Mail", "No-E-Mail"), ("gate_30", "gate_30"), ("Añadir al carrito!", "Anadir-al-carrito"), ("_x", "x")],
)
def test_key_from__names_people_use__stay_recognisable(name: str, key: str) -> None:
    assert key_from(name) == key


@given(st.sets(st.text(max_size=150), max_size=20))
def test_keys_from__any_names__keys_are_valid_and_different(names: set[str]) -> None:
    keys = keys_from(names)

    assert set(keys) == names
    assert len(set(keys.values())) == len(names)
    for key in keys.values():
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", key)  # what the database allows
