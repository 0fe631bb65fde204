"""A broken split, looked for in the segments of the visitors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from reports.core.analyse import Analysis, analyse
from tests.reports.core import worlds
from tracking.core.totals import TraitValues, VisitorTotals

NAMES = ("control", "treatment")


def _people(cells: dict[str, tuple[int, int]], *, unknown: tuple[int, int] = (0, 0)) -> VisitorTotals:
    """Visitors by device: (control, treatment)."""
    rows = [*enumerate(cells.values()), (-1, unknown)]
    codes = np.concatenate([np.full(sum(counts), code) for code, counts in rows]).astype(np.int32)
    variant = np.concatenate([np.repeat([0, 1], counts) for _, counts in rows])
    people = worlds.totals(NAMES, variant, {"cart": np.zeros(len(variant))})
    return replace(
        people, traits={"device": TraitValues(tuple(cells), codes)}, seen_before=np.arange(len(codes)) % 2 == 0
    )


def _run(people: VisitorTotals, weights: tuple[float, float] = (0.5, 0.5)) -> Analysis:
    plan = worlds.plan(worlds.metric("cart"), weights=dict(zip(NAMES, weights, strict=True)))
    return analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(30))


def _finding(analysis: Analysis):  # type: ignore[no-untyped-def]
    return next((f for f in analysis.findings if f.code == "split_by_segment"), None)


def test_split_by_segment__exposures_lost_on_phones__names_the_phones_only() -> None:
    finding = _finding(
        _run(_people({"phone": (1000, 700), "desktop": (500, 510), "tablet": (60, 55)}, unknown=(30, 28)))
    )
    assert finding.severity == "info"  # it localises; the blocking finding is the split's own
    assert "device 'phone'" in finding.detail and "desktop" not in finding.detail
    found = {s["label"]: s for s in finding.evidence["segments"] if s["trait"] == "device"}
    assert found["phone"]["visitors"] == {"control": 1000, "treatment": 700}
    assert set(found) == {"phone", "desktop", "tablet", "(unknown)"}
    segments = finding.evidence["segments"]
    expected = [stats.chisquare(list(s["visitors"].values())).pvalue for s in segments]
    assert [s["p_value"] for s in segments] == pytest.approx(expected)
    assert [s["adjusted_p_value"] for s in segments] == pytest.approx(multipletests(expected, method="holm")[1])
    assert {s["label"] for s in segments if s["trait"] == "visitor"} == {"new", "returning"}


@pytest.mark.parametrize("size", [1, 20])
def test_split_by_segment__fault_that_hits_all_alike__says_that_nothing_stands_out(size: int) -> None:
    # With twenty times the visitors every single segment is far from its weights, and still none stands out.
    cell = (250 * size, 200 * size)
    finding = _finding(_run(replace(_people(dict.fromkeys("abcd", cell)), seen_before=None)))
    assert "None of 4 segments (device) stands out" in finding.detail
    off = [s for s in finding.evidence["segments"] if s["adjusted_p_value"] < 0.01]
    assert len(off) == (4 if size == 20 else 0)


def test_split_by_segment__trait_that_nobody_has__is_no_segment() -> None:
    people = _people({"phone": (1000, 700), "desktop": (500, 510)})
    nobody = TraitValues((), np.full(len(people.variant), -1, dtype=np.int32))
    finding = _finding(_run(replace(people, traits={**people.traits, "campaign": nobody})))
    assert {s["trait"] for s in finding.evidence["segments"]} == {"device", "visitor"}


def test_split_by_segment__whole_as_planned__says_nothing_whatever_one_segment_looks_like() -> None:
    assert _finding(_run(_people({"phone": (1000, 850), "desktop": (850, 1000)}))) is None
    assert _finding(_run(_people({"phone": (900, 100), "desktop": (450, 50)}), weights=(0.9, 0.1))) is None


def test_split_by_segment__without_traits__says_nothing() -> None:
    people = replace(_people({"phone": (1000, 700)}), traits={}, seen_before=None)
    assert _finding(_run(people)) is None
