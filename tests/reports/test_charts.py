"""The chart of exposures: right numbers, told apart without colour, the page's own colours, safe text."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET

import pytest

from reports import charts

DAYS = [f"2026-03-{n:02d}" for n in range(1, 15)]


def test_chart__numbers__are_the_ones_given() -> None:
    counts = [[n, 2 * n] for n in range(14)]
    spec = charts.exposures_a_day(DAYS, ["control", "banner"], counts, width=600)
    rows = next(iter(spec["datasets"].values())) if "datasets" in spec else spec["data"]["values"]
    assert {(r["day"], r["variant"]): r["visitors"] for r in rows} == {
        (day, name): counts[d][v] for d, day in enumerate(DAYS) for v, name in enumerate(["control", "banner"])
    }


def test_chart__drawn__uses_the_pages_colours_and_no_other() -> None:
    drawn = charts.svg(charts.exposures_a_day(DAYS, ["a", "b"], [[1, 2]] * 14, width=600))
    ET.fromstring(drawn)
    assert "var(--series-1)" in drawn and "var(--series-2)" in drawn and "var(--ink-2)" in drawn
    assert not re.findall(r'(?:fill|stroke)="#[0-9a-f]{3,6}"', drawn)


def test_chart__axis__names_each_day_once_however_few_there_are() -> None:
    drawn = charts.svg(charts.exposures_a_day(DAYS[:3], ["a", "b"], [[5, 4]] * 3, width=1000))
    labels = re.findall(r">(\d{1,2} Mar)<", drawn)
    assert labels == ["1 Mar", "2 Mar", "3 Mar"]


def test_chart__twenty_variants__no_two_share_dash_and_mark() -> None:
    looks = [(charts.DASHES[i % len(charts.DASHES)], charts.SHAPES[i % len(charts.SHAPES)]) for i in range(20)]
    assert all(a != b for a, b in itertools.combinations(looks, 2))


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", 'a" onload="x', "&amp;", "]]>"])
def test_chart__hostile_variant_name__is_text(name: str) -> None:
    drawn = charts.svg(charts.exposures_a_day(DAYS, ["control", name], [[1, 2]] * 14, width=900))
    tree = ET.fromstring(drawn)
    assert not [e for e in tree.iter() if e.tag.endswith("script") or any(k.startswith("on") for k in e.attrib)]


def test_delay_chart__numbers__are_the_ones_given_and_begin_with_nobody() -> None:
    spec = charts.converted_by_hour([12.0, 24.0], ["control", "banner"], [[0.1, 0.2], [0.15, 0.2]], width=600)
    rows = next(iter(spec["datasets"].values())) if "datasets" in spec else spec["data"]["values"]
    found = {(r["variant"], r["after"]): r["share"] for r in rows}
    assert found[("banner", 12.0)] == 0.15 and found[("control", 24.0)] == 0.2 and found[("banner", 0.0)] == 0
    drawn = charts.svg(charts.converted_by_hour([84.0, 168.0], ["<b>", "b"], [[0.1, 0.2]] * 2, width=600))
    ET.fromstring(drawn)
    assert "days since the exposure" in drawn
    assert not re.findall(r'(?:fill|stroke)="#[0-9a-f]{3,6}"', drawn)
