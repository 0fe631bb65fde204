"""Covariates, strata and survival, against statsmodels, scipy, hand counts and simulation."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight, survdiff
from statsmodels.stats.contingency_tables import StratifiedTable

from reports.core.adjust.survival import kaplan_meier, log_rank
from reports.core.methods.base import Blocker, Comparison, NotComputable
from reports.core.methods.regression import Adjusted, Cuped, cuped, lin, refused, with_missing_indicators
from reports.core.methods.score import ScoreMethod
from reports.core.methods.strata import Stratum, compare_strata, mantel_haenszel, merged
from reports.core.statistics import Proportion


def _visitors(seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(2, 1, (n, 2))
    t = (rng.random(n) < 0.5).astype(float)
    y = 1 + 0.3 * t + x @ [0.8, -0.2] + 0.3 * t * x[:, 0] + rng.standard_t(5, n) * (1 + x[:, 1] ** 2) / 3
    return y, t, x


def _statsmodels(y: np.ndarray, t: np.ndarray, x: np.ndarray, kind: str) -> tuple[float, float]:
    centred = x - x.mean(axis=0)
    design = np.column_stack([np.ones(len(y)), t, centred, t[:, None] * centred])
    fit = sm.OLS(y, design).fit(cov_type=kind)
    return float(fit.params[1]), float(fit.bse[1])


@pytest.mark.parametrize("seed", range(4))
def test_lin__two_covariates__equals_statsmodels(seed: int) -> None:
    y, t, x = _visitors(seed)
    got = lin(y, t, x)
    assert isinstance(got, Adjusted)
    for kind, error in (("HC2", got.hc2), ("HC3", got.hc3)):
        effect, expected = _statsmodels(y, t, x, kind)
        assert got.effect == pytest.approx(effect, rel=1e-9)
        assert error == pytest.approx(expected, rel=1e-9)


def test_lin__missing_values__are_kept_with_an_indicator() -> None:
    y, t, x = _visitors(9)
    x[::3, 0] = np.nan
    got = lin(y, t, x)
    by_hand = np.column_stack([np.nan_to_num(x), np.isnan(x[:, 0]).astype(float)])
    assert isinstance(got, Adjusted)
    assert got.visitors == len(y)
    assert got.effect == pytest.approx(_statsmodels(y, t, by_hand, "HC3")[0], rel=1e-9)


@pytest.mark.parametrize("filler", [-7.0, 0.0, 55.0])
def test_lin__value_put_in_for_missing__does_not_matter(filler: float) -> None:
    y, t, x = _visitors(2)
    x[::4, 1] = np.nan
    got = lin(y, t, x)
    by_hand = np.column_stack([np.where(np.isnan(x), filler, x), np.isnan(x[:, 1]).astype(float)])
    assert isinstance(got, Adjusted)
    assert got.effect == pytest.approx(_statsmodels(y, t, by_hand, "HC2")[0], rel=1e-8)


def test_lin__constant_and_repeated_covariates__are_dropped() -> None:
    y, t, x = _visitors(3)
    padded = np.column_stack([x, np.full(len(y), 0.1), x[:, 0] * 3 - 1, x.sum(axis=1)])
    plain, got = lin(y, t, x), lin(y, t, padded)
    assert isinstance(plain, Adjusted)
    assert isinstance(got, Adjusted)
    assert got.covariates == 2
    assert got.effect == pytest.approx(plain.effect, rel=1e-8)
    assert got.hc3 == pytest.approx(plain.hc3, rel=1e-8)


def test_lin__without_covariates_that_vary__is_the_difference_of_means() -> None:
    y, t, _ = _visitors(4)
    got = lin(y, t, np.ones((len(y), 1)))
    assert isinstance(got, Adjusted)
    assert got.effect == pytest.approx(y[t == 1].mean() - y[t == 0].mean())


def test_lin__false_positives_with_a_useless_covariate__stay_near_five_per_cent() -> None:
    rng = np.random.default_rng(12)
    rejected = 0
    replicates = 150
    for _ in range(replicates):
        n = 120
        x, t = rng.normal(size=n), rng.permutation(np.repeat([0.0, 1.0], n // 2))
        got = lin(rng.exponential(1, n), t, x)
        assert isinstance(got, Adjusted)
        rejected += got.p_value < 0.05
    # binom(.0005, .9995) limits of the replicates at 5 %
    assert stats.binom.ppf(0.0005, replicates, 0.05) <= rejected <= stats.binom.ppf(0.9995, replicates, 0.05)


def test_lin__too_few_visitors__gives_the_reason() -> None:
    got = lin(np.array([1.0, 2, 3, 4]), np.array([0.0, 1, 0, 1]), np.array([1.0, 2, 4, 3]))
    assert isinstance(got, NotComputable)
    assert got.blocker is Blocker.TOO_FEW_VISITORS


@pytest.mark.parametrize(
    ("visitors", "covariates", "events", "is_refused"),
    [(5000, 2, 24, True), (5000, 2, 25, False), (5000, 3, 25, True), (100, 6, None, True), (100, 5, None, False)],
)
def test_gate__few_conversions_or_visitors_per_covariate__refuses(
    visitors: int, covariates: int, events: int | None, is_refused: bool
) -> None:
    assert (refused(visitors, covariates, events) is not None) is is_refused


def test_missing_indicators__no_value_missing__adds_no_column() -> None:
    assert with_missing_indicators(np.ones((5, 2))).shape == (5, 2)


def test_cuped__one_covariate__equals_welch_on_the_adjusted_values() -> None:
    y, t, x = _visitors(6)
    got = cuped(y, t, x[:, 0])
    assert isinstance(got, Cuped)
    theta = np.cov(y, x[:, 0])[0, 1] / x[:, 0].var(ddof=1)
    rest = y - theta * (x[:, 0] - x[:, 0].mean())
    expected = stats.ttest_ind(rest[t == 1], rest[t == 0], equal_var=False)
    assert got.theta == pytest.approx(theta)
    assert (got.t, got.p_value) == pytest.approx((expected.statistic, expected.pvalue))
    assert got.degrees_of_freedom == pytest.approx(expected.df)


RAMP_UP = (
    # Crook et al. (2009), KDD, section on Simpson's paradox: Friday 1 % in treatment, Saturday 50 %.
    Stratum(Proportion(10_000, 230), Proportion(990_000, 20_000)),
    Stratum(Proportion(500_000, 6_000), Proportion(500_000, 5_000)),
)


def test_mantel_haenszel__ramp_up__points_up_in_both_periods_where_the_pooled_totals_point_down() -> None:
    pooled = RAMP_UP[0] + RAMP_UP[1]
    assert pooled.treatment.value < pooled.control.value
    got = mantel_haenszel(RAMP_UP)
    assert not isinstance(got, NotComputable)
    assert got.risk_ratio > 1.1
    assert got.risk_difference > 0


def test_mantel_haenszel__two_strata__equals_statsmodels() -> None:
    strata = (Stratum(Proportion(80, 12), Proportion(90, 7)), Stratum(Proportion(300, 60), Proportion(260, 44)))
    tables = [
        np.array(
            [
                [s.treatment.converted, s.treatment.visitors - s.treatment.converted],
                [s.control.converted, s.control.visitors - s.control.converted],
            ]
        )
        for s in strata
    ]
    reference = StratifiedTable(tables)
    got = mantel_haenszel(strata)
    assert not isinstance(got, NotComputable)
    expected = reference.test_null_odds(correction=False)
    assert got.chi_square == pytest.approx(expected.statistic)
    assert got.risk_ratio == pytest.approx(reference.riskratio_pooled)
    compared = compare_strata(strata, alpha=0.05)
    assert isinstance(compared, Comparison)
    assert compared.p_value == pytest.approx(expected.pvalue)
    assert compared.interval.excludes(0) is (compared.p_value < 0.05)


def test_compare_strata__one_stratum__is_the_plain_comparison() -> None:
    t, c = Proportion(300, 40), Proportion(320, 25)
    got, plain = compare_strata([Stratum(t, c)], alpha=0.05), ScoreMethod().compare(t, c, alpha=0.05)
    assert isinstance(got, Comparison)
    assert isinstance(plain, Comparison)
    assert got.z == pytest.approx(plain.z)
    assert (got.interval.low, got.interval.high) == pytest.approx((plain.interval.low, plain.interval.high), abs=1e-9)


def test_mantel_haenszel__nobody_comparable__gives_the_reason() -> None:
    got = mantel_haenszel([Stratum(Proportion(10, 1), Proportion(0, 0))])
    assert isinstance(got, NotComputable)
    assert got.blocker is Blocker.NO_VISITORS


def test_merged__small_strata__join_until_each_has_ten_in_both_variants() -> None:
    sizes = [(3, 4), (5, 200), (50, 60), (70, 80), (90, 90), (200, 200), (300, 300), (8, 9)]
    strata = [Stratum(Proportion(a, 0), Proportion(b, 1)) for a, b in sizes]
    got = merged(strata)
    assert len(got) <= 6
    assert all(min(s.treatment.visitors, s.control.visitors) >= 10 for s in got)
    assert sum(s.visitors for s in got) == sum(a + b for a, b in sizes)


def test_kaplan_meier__censored_times__equals_statsmodels() -> None:
    rng = np.random.default_rng(8)
    time, event = np.ceil(rng.exponential(10, 200)), rng.random(200) < 0.7
    got, expected = kaplan_meier(time, event), SurvfuncRight(time, event.astype(int))
    assert got.survival == pytest.approx(expected.surv_prob)
    assert got.standard_error == pytest.approx(expected.surv_prob_se)


def test_log_rank__two_groups__equals_statsmodels() -> None:
    rng = np.random.default_rng(2)
    time, event = np.ceil(rng.exponential(10, 120)), (rng.random(120) < 0.8).astype(int)
    group = np.arange(120) < 50
    chi2, p = log_rank(list(time[group]), list(event[group]), list(time[~group]), list(event[~group]))
    assert (chi2, p) == pytest.approx(survdiff(time, event, group))
