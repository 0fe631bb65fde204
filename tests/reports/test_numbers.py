"""How numbers are written, and where intervals are drawn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.sections import numbers
from reports.sections.scale import Scale, scale_for


def plain(text: str) -> str:
    return text.replace(numbers.NARROW, " ").replace(numbers.NO_BREAK, " ").replace(numbers.MINUS, "-")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1062, "10.62 %"), (0.00573, "0.573 %"), (0.01253, "1.25 %"), (0.0, "0.00 %"), (1.0, "100.00 %")],
)
def test_share__hillstroms_rates__keep_the_digits_that_matter(value: float, text: str) -> None:
    assert plain(numbers.share(value)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.14, "+14.0 %"),
        (-0.0047, "-0.47 %"),
        (1.712, "+171 %"),
        (-1.0, "-100 %"),
        (0.0, "0.0 %"),
        (-0.00001, "0.00 %"),
        (12.5, "+1,250 %"),
    ],
)
def test_lift__small_large_and_none__has_sign_and_sensible_digits(value: float, text: str) -> None:
    assert plain(numbers.lift(value)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.653, "0.6530"),
        (1234.567, "1,235"),
        (0, "0"),
        (-0.008, "-0.008000"),
        (25.0, "25.00"),
        (1e-9, "below 0.000001"),
    ],
)
def test_amount__any_size__has_four_digits_at_most_six_places(value: float, text: str) -> None:
    assert plain(numbers.amount(value)) == text


@pytest.mark.parametrize(("value", "text"), [(0.19, "0.190"), (0.0086, "0.009"), (0.0004, "< 0.001"), (1.0, "1.000")])
def test_p_value__never_says_zero(value: float, text: str) -> None:
    assert numbers.p_value(value) == text


def test_interval__open_ends__are_said_in_words() -> None:
    assert plain(numbers.interval(0.05, None)) == "above +5.0 %"
    assert plain(numbers.interval(None, 0.05)) == "below +5.0 %"
    assert numbers.interval(None, None) == "not bounded"


def test_typeset__sentence_of_the_analysis__gets_true_minus_and_no_break_before_per_cent() -> None:
    assert numbers.typeset("fell by -4.2 % (a-b test of 2026-03-02)") == "fell by −4.2\u202f% (a-b test of 2026-03-02)"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "just now"), (60, "1 minute ago"), (7_200, "2 hours ago"), (86_400 * 3, "3 days ago"), (-50, "just now")],
)
def test_age__grows__in_the_largest_unit_that_fits(seconds: int, text: str) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert plain(numbers.age(now - timedelta(seconds=seconds), now)) == text


@given(
    start=st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1)),
    days=st.integers(0, 400),
    zone=st.sampled_from(["Europe/Lisbon", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo"]),
)
def test_days_between__midday_to_midday__counts_calendar_days_whatever_the_clocks_do(
    start: datetime, days: int, zone: str
) -> None:
    # Oracle: local middays n days apart are n + 1 calendar days, although a day may have 23, 23.5, 24.5 or 25 hours.
    noon = start.replace(hour=12, minute=0, second=0, microsecond=0, tzinfo=ZoneInfo(zone))
    later = noon + timedelta(days=days)  # wall-clock arithmetic within one zone
    assert numbers.days_between(noon.astimezone(UTC), later.astimezone(UTC), zone) == days + 1


LIFTS = st.floats(-0.99, 30, allow_nan=False)
TRIPLES = st.lists(
    st.tuples(LIFTS, st.floats(0, 5), st.floats(0, 5)).map(lambda t: (t[0] - t[1], t[0], t[0] + t[2])), max_size=12
)


@given(triples=TRIPLES)
def test_scale__any_intervals__every_estimate_and_zero_lie_inside_in_order(
    triples: list[tuple[float, float, float]],
) -> None:
    scale = scale_for(triples)
    for low, estimate, high in triples:
        assert scale.low <= estimate <= scale.high
        assert 0 <= scale.at(low) <= scale.at(estimate) <= scale.at(high) <= 100
    assert 0 < scale.at(0) < 100


@given(triples=TRIPLES)
def test_scale__ticks__are_even_labelled_once_and_include_zero(triples: list[tuple[float, float, float]]) -> None:
    ticks = scale_for(triples).ticks
    labels = [tick.label for tick in ticks]
    assert "0" in labels
    assert len(set(labels)) == len(labels)
    gaps = [b.at - a.at for a, b in pairwise(ticks)]
    assert 2 <= len(ticks) <= 7
    assert max(gaps) - min(gaps) < 0.02


def test_scale__one_huge_interval_among_usual_ones__is_cut_so_that_the_others_stay_readable() -> None:
    scale = scale_for([(-0.1, 0.0, 0.1), (-0.1, 0.05, 0.12), (-5.0, 0.02, 9.0)])
    assert scale.cuts_high(9.0) and scale.cuts_low(-5.0)
    assert not scale.cuts_high(0.12)
    # The usual interval still takes a good part of the width.
    assert scale.at(0.1) - scale.at(-0.1) > 25


def test_scale__open_end__leaves_room_for_its_arrow() -> None:
    scale = scale_for([(0.2, 0.4, None)])
    assert scale.cuts_high(None)
    assert scale.at(0.4) < 90


def test_scale__margin_beyond_all_intervals__is_inside() -> None:
    scale = scale_for([(0.0, 0.01, 0.02)], also=[-0.1])
    assert scale.low <= -0.1


def test_scale__nothing_to_show__is_a_plain_axis() -> None:
    scale = scale_for([])
    assert isinstance(scale, Scale)
    assert scale.low < 0 < scale.high
