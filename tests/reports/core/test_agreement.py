"""Inkling beside statsmodels in every run, and beside tea-tasting where it is installed; docs/agreement.md has the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import agreement
from tests.agreement import PUBLIC, RIVALS, Rival, Sample, largest_differences, random_samples
from tests.shared_data import shared_path

SAME = 1e-6
NAMES = [f"{rival.program}-{rival.kind.value}" for rival in RIVALS]


def _check(samples: list[Sample], rival: Rival) -> None:
    if rival.program == "tea-tasting" and not agreement.has_tea_tasting():
        pytest.skip("tea-tasting is not installed; the head of tests/agreement.py says how to have it beside")
    found = largest_differences(samples, rival)
    assert len(found) > len(rival.reasons)
    assert {name: size for name, size in found.items() if name not in rival.reasons and size > SAME} == {}
    # A reason for a difference that is not there would be a false accusation.
    assert [name for name in rival.reasons if name in found and found[name] <= SAME] == []


@pytest.mark.parametrize("rival", RIVALS, ids=NAMES)
def test_random_data__two_hundred_experiments__equal_the_other_program_or_differ_for_the_named_reason(
    rival: Rival,
) -> None:
    _check(list(random_samples(rival.kind)), rival)


@pytest.mark.parametrize("name", sorted(PUBLIC))
@pytest.mark.parametrize("rival", RIVALS, ids=NAMES)
def test_public_experiment__every_metric__equals_the_other_program_or_differs_for_the_named_reason(
    rival: Rival, name: str
) -> None:
    shared_path("data")
    samples = [sample for sample in PUBLIC[name]() if sample.kind is rival.kind]
    if samples:
        _check(samples, rival)


def test_page__as_written__has_a_table_for_every_other_program_and_kind() -> None:
    page = (Path(__file__).parents[3] / "docs" / "agreement.md").read_text()
    for rival in RIVALS:
        assert f"## {agreement.LABELS[rival.kind]}, beside {rival.program} " in page
        assert all(reason in page for reason in rival.reasons.values())
