"""Health checks: each alone, and that one failing check never hides the others."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from scipy import stats

from reports.core.analyse import analyse
from reports.core.health import HEALTH_CHECKS, Finding, HealthContext, Severity, run_checks
from reports.core.health.sample_ratio import sample_ratio_p
from reports.core.progress import progress_of
from tests.reports.core import worlds
from tests.shared_data import shared_path
from tracking.core.totals import DailyExposures


def _context(visitors: dict[str, int], **changes: object) -> HealthContext:
    plan = worlds.plan(worlds.metric("cart"))
    progress = progress_of(
        plan, first_exposures=np.zeros(sum(visitors.values()), dtype=np.int64), as_of=worlds.at_day(30)
    )
    return HealthContext(plan, progress, worlds.exposures(visitors, **changes), ())


def _codes(findings: tuple[Finding, ...]) -> dict[str, Severity]:
    return {f.code: f.severity for f in findings}


@pytest.mark.parametrize("counts", [(600, 400), (502, 498), (345_543, 344_660), (40, 30, 30)])
def test_sample_ratio__large_counts__equals_scipy_chi_square(counts: tuple[int, ...]) -> None:
    assert sample_ratio_p(counts, [1] * len(counts)) == pytest.approx(stats.chisquare(counts).pvalue, rel=1e-12)


def test_sample_ratio__few_expected__is_the_exact_binomial_test() -> None:
    assert sample_ratio_p((7, 1), (0.5, 0.5)) == pytest.approx(stats.binomtest(7, 8, 0.5).pvalue)
    assert sample_ratio_p((96, 4), (0.99, 0.01)) == pytest.approx(stats.binomtest(4, 100, 0.01).pvalue)


def test_sample_ratio__three_variants_few_expected__is_the_exact_multinomial() -> None:
    # 3 visitors over 3 equal variants: (3, 0, 0) and its two mirrors are the least likely tables, 3 of 27.
    assert sample_ratio_p((3, 0, 0), (1, 1, 1)) == pytest.approx(3 / 27)
    assert sample_ratio_p((1, 1, 1), (1, 1, 1)) == pytest.approx(1.0)


def test_sample_ratio__many_variants_few_expected__stays_a_probability() -> None:
    counts = [0, 3, 300, 280, 310, 290]
    assert comb(sum(counts) + 5, 5) > 200_000
    assert 0 < sample_ratio_p(counts, [0.002, 0.002, 0.249, 0.249, 0.249, 0.249]) <= 1


def test_sample_ratio__no_visitors__speaks_against_nothing() -> None:
    assert sample_ratio_p((0, 0), (1, 1)) == 1.0


@pytest.mark.parametrize(
    ("visitors", "severity"),
    [
        ({"control": 600, "treatment": 400}, Severity.BLOCKING),  # p = 2.5e-10
        ({"control": 44_700, "treatment": 45_489}, Severity.WARNING),  # p = 0.0086
        ({"control": 502, "treatment": 498}, Severity.OK),  # p = 0.90
    ],
)
def test_sample_ratio_check__weighs_by_p(visitors: dict[str, int], severity: Severity) -> None:
    assert _codes(run_checks(_context(visitors)))["sample_ratio"] is severity


def test_exposure_checks__clean_exposures__are_silent() -> None:
    assert set(_codes(run_checks(_context({"control": 502, "treatment": 498})))) == {"sample_ratio"}


def test_several_variants__one_in_twenty__is_a_warning_with_the_number() -> None:
    findings = run_checks(_context({"control": 502, "treatment": 498}, in_several_variants=50))
    finding = next(f for f in findings if f.code == "several_variants")
    assert finding.severity is Severity.WARNING
    assert finding.evidence["visitors"] == 50


def test_conflicting_exposures__unknown_variants__are_named() -> None:
    findings = run_checks(
        _context(
            {"control": 502, "treatment": 498},
            conflicting=30,
            only_conflicting=12,
            unknown_variants={"old_page": 20, "mobile": 10},
        )
    )
    finding = next(f for f in findings if f.code == "conflicting_exposures")
    assert "'old_page' and 'mobile'" in finding.detail
    assert finding.evidence["only_conflicting"] == 12


def test_no_exposures__one_variant_unseen__is_named() -> None:
    findings = run_checks(_context({"control": 502, "treatment": 0}))
    finding = next(f for f in findings if f.code == "no_exposures")
    assert finding.evidence["variants"] == ["treatment"]


def test_no_exposures__nobody_at_all__explains_how_to_send_one() -> None:
    findings = run_checks(_context({}))
    assert "`$exposure`" in next(f for f in findings if f.code == "no_exposures").detail


def test_unequal_split__nine_to_one__is_a_warning() -> None:
    plan = worlds.plan(worlds.metric("cart"), weights={"control": 0.9, "treatment": 0.1})
    people = worlds.counted({"control": 900, "treatment": 100}, cart={"control": 90, "treatment": 10})
    analysis = analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(30))
    assert _codes(analysis.findings)["unequal_split"] is Severity.WARNING


def test_stale_events__live_and_silent_for_two_days__is_a_warning() -> None:
    plan = worlds.plan(worlds.metric("cart"), is_imported=False, horizon_days=28)
    people = worlds.counted({"control": 500, "treatment": 500}, cart={})
    exposures = worlds.exposures({"control": 500, "treatment": 500}, last_event=worlds.microseconds(worlds.at_day(8)))
    assert "stale_events" in _codes(analyse(plan, people, exposures, as_of=worlds.at_day(10)).findings)
    assert "stale_events" not in _codes(analyse(plan, people, exposures, as_of=worlds.at_day(8.5)).findings)


def test_metric_without_events__many_visitors__points_at_the_event_name() -> None:
    plan = worlds.plan(worlds.metric("cart"))
    people = worlds.counted({"control": 500, "treatment": 500}, cart={})
    findings = analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(30)).findings
    assert "'cart'" in next(f for f in findings if f.code == "metric_without_events").detail


def test_metric_silent_in_one_variant__others_convert__is_a_warning() -> None:
    plan = worlds.plan(worlds.metric("cart"))
    people = worlds.counted({"control": 500, "treatment": 500}, cart={"control": 30})
    findings = analyse(plan, people, worlds.exposures_of(people), as_of=worlds.at_day(30)).findings
    assert "metric_silent_in_variant" in _codes(findings)


def _watched(days: list[tuple[int, int]], purchases: dict[str, int]) -> tuple[Finding, ...]:
    """Findings of a running experiment with these daily exposures of (control, treatment)."""
    plan = worlds.plan(worlds.macro_guardrail(window_hours=1), is_imported=False, horizon_days=28)
    groups = {"control": sum(c for c, _ in days), "treatment": sum(t for _, t in days)}
    people = worlds.counted(groups, purchase=purchases)
    daily = DailyExposures(tuple(f"2026-03-{2 + d:02}" for d in range(len(days))), tuple(days))
    exposures = worlds.exposures(groups, daily=daily, last_event=worlds.microseconds(worlds.at_day(len(days))))
    return analyse(plan, people, exposures, as_of=worlds.at_day(len(days))).findings


def test_sample_ratio__split_that_was_broken_for_a_week__stays_known_by_its_e_value() -> None:
    # 44 to 56 % for eight days, mirrored for six: the totals look innocent (p = .07), the days do not.
    findings = _watched([(88, 112)] * 8 + [(108, 92)] * 6, {"control": 20, "treatment": 20})
    split = next(f for f in findings if f.code == "sample_ratio")
    assert split.evidence["p_value"] > 0.05
    assert split.evidence["e_value"] > 100
    assert split.severity is Severity.BLOCKING


def test_sample_ratio__sound_split_watched_daily__is_fine() -> None:
    findings = _watched([(99, 101), (104, 96)] * 5, {"control": 20, "treatment": 20})
    assert _codes(findings)["sample_ratio"] is Severity.OK


def test_macro_alarm__purchases_dry_up_in_the_first_days__warns_before_the_first_look() -> None:
    days = [(200, 200)] * 3
    assert _codes(_watched(days, {"control": 40, "treatment": 8}))["macro_alarm"] is Severity.WARNING
    assert "macro_alarm" not in _codes(_watched(days, {"control": 40, "treatment": 31}))


def test_run_checks__one_check_fails__becomes_a_finding_and_hides_no_other() -> None:
    def broken(context: HealthContext) -> tuple[Finding, ...]:
        raise RuntimeError("no such column")

    findings = run_checks(_context({"control": 600, "treatment": 400}), (broken, *HEALTH_CHECKS))
    codes = _codes(findings)
    assert codes["sample_ratio"] is Severity.BLOCKING
    failed = next(f for f in findings if f.code == "check_failed")
    assert failed.evidence == {"check": "broken", "error": "RuntimeError: no such column"}


def test_sample_ratio__cookie_cats__is_the_known_p() -> None:
    # 44,700 and 45,489 players: p = 0.0086 (Cookie Cats, known since its publication).
    shared_path("data/cookie_cats")
    assert sample_ratio_p((44_700, 45_489), (0.5, 0.5)) == pytest.approx(0.0086, abs=5e-5)
