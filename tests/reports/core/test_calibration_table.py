"""The calibration page: its rows tell inside from outside, and rules known to be wrong are seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import calibration_table
from tests.calibration_table import Row, negative_controls, vectorised


@pytest.mark.parametrize(
    ("measured", "low", "high", "is_inside"),
    [(0.05, 0.04, 0.06, True), (0.03, 0.04, 0.06, False), (0.07, 0.04, 0.06, False), (0.0, None, 0.06, True)],
)
def test_row__measured_against_its_limits__says_whether_it_is_inside(
    measured: float, low: float | None, high: float | None, is_inside: bool
) -> None:
    row = Row("world", measured, "0.05", low, high)
    assert row.is_inside is is_inside
    assert ("**no**" in row.text()) is not is_inside


def test_worlds_over_counts__two_thousand_replicates__are_inside_their_limits() -> None:
    # One in a thousand worlds lies outside by chance; the seed is fixed, so this is a check of code, not of luck.
    assert [row.world for row in vectorised(2000) if not row.is_inside] == []


def test_negative_controls__rules_known_to_be_wrong__are_seen_to_be_wrong() -> None:
    peeking, unpooled = negative_controls(4000)
    assert 0.25 <= peeking.measured <= 0.30
    assert unpooled.measured > 0.10


def test_page__a_world_outside_its_limits__fails_the_command_and_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration_table, "SCENARIOS", ())
    page = tmp_path / "calibration.md"
    assert calibration_table.main(["500", "1", str(page)]) in {0, 1}
    assert "500 replicates of each world" in page.read_text()
    monkeypatch.setattr(calibration_table, "vectorised", lambda n: iter([Row("odd", 0.2, "0.05", 0.04, 0.06)]))
    assert calibration_table.main(["500", "1", str(page)]) == 1
    assert "| odd | 0.2000 | 0.05 | 0.0400 to 0.0600 | **no** |" in page.read_text()
