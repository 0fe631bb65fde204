"""The calibration page: its rows tell inside from outside, and rules known to be wrong are seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.calibration import page
from tests.calibration.counts import Row
from tests.calibration.harness import limits
from tests.calibration.mutations import MUTATIONS


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


def test_page__every_row_inside__passes_and_shows_each_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _answer(monkeypatch, Row("sound", 0.05, "0.05", 0.04, 0.06))
    path = tmp_path / "calibration.md"
    assert page.main(["--replicates", "500", "--through", "30", "--experiments", "7", "--file", str(path)]) == 0
    text = path.read_text()
    assert "through the whole analysis: 30 replicates of each world" in text.lower()
    assert "500 replicates of each world" in text
    assert "30 analyses or more of each" in text
    assert "7 A/A experiments of a running instance" in text
    assert text.count("| sound | 0.0500 | 0.05 | 0.0400 to 0.0600 | yes |") == 5


def test_page__a_world_outside_its_limits__fails_the_command_and_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _answer(monkeypatch, Row("odd", 0.2, "0.05", 0.04, 0.06))
    path = tmp_path / "calibration.md"
    assert page.main(["--replicates", "500", "--through", "30", "--experiments", "0", "--file", str(path)]) == 1
    assert "| odd | 0.2000 | 0.05 | 0.0400 to 0.0600 | **no** |" in path.read_text()
    assert "running instance" not in path.read_text()


def test_mistakes__read_outside_the_limits__are_inside_what_the_page_expects() -> None:
    (row,) = page.mistakes([replace(MUTATIONS[0], replicates=150)], 1)
    assert row.is_inside
    assert row.measured > limits(0.05, 150)[1]


def _answer(monkeypatch: pytest.MonkeyPatch, row: Row) -> None:
    """Let every part of the page hold one row, at once."""
    for name in ("through_analysis", "vectorised", "mistakes", "negative_controls"):
        monkeypatch.setattr(page, name, lambda *asked: iter([row]))
    monkeypatch.setattr(page.end_to_end, "rows", lambda experiments: iter([row]))
