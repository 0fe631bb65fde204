"""The self-audit: fair metrics pass, a metric that mistakes sessions for visitors is found out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from experiments.core.metric_kinds.base import StatisticKind, VisitorValues
from reports.core import self_audit as audits
from reports.core.quantiles import Quantile
from reports.core.self_audit import AuditState, self_audit
from reports.core.statistics import summarise


def _visitors(seed: int, count: int = 3000) -> dict[StatisticKind, VisitorValues]:
    rng = np.random.default_rng(seed)
    sessions = 1.0 + rng.poisson(0.5, count)
    orders = rng.binomial(sessions.astype(int), rng.beta(1, 9, count)).astype(float)
    spent = np.where(rng.random(count) < 0.3, rng.gamma(2.0, 30.0, count), 0.0)
    return {
        StatisticKind.PROPORTION: VisitorValues((orders > 0).astype(float)),
        StatisticKind.MEAN: VisitorValues(spent),
        StatisticKind.RATIO: VisitorValues(orders, np.asarray(sessions, dtype=np.float64)),
        StatisticKind.TIME_TO_EVENT: VisitorValues(np.where(orders > 0, 5.0 * sessions, np.nan), window_hours=24.0),
        StatisticKind.QUANTILE: VisitorValues(np.where(spent > 0, spent, np.nan), level=0.5),
    }


@pytest.mark.parametrize("kind", list(StatisticKind))
def test_self_audit__fair_metric__finds_something_in_five_per_cent_and_passes(kind: StatisticKind) -> None:
    values = _visitors(4)[kind]
    found = self_audit(kind, values, np.random.default_rng(1))
    assert found.state is AuditState.PASSED
    assert found.splits == 500
    low, high = stats.binom.ppf([0.0005, 0.9995], 500, 0.05) / 500
    assert found.rate is not None and low <= found.rate <= high
    assert found.base == pytest.approx(summarise(kind, values).value)


def _sessions_of_visitors(seed: int = 2) -> tuple[VisitorValues, np.ndarray]:
    """Sessions of visitors who differ: who buys once buys often, so the sessions of one visitor are alike."""
    rng = np.random.default_rng(seed)
    visitor = np.repeat(np.arange(800), 1 + rng.geometric(0.25, 800))
    buys = rng.random(len(visitor)) < rng.beta(0.3, 1.2, 800)[visitor]
    return VisitorValues(buys.astype(float)), visitor


def test_self_audit__sessions_analysed_as_if_they_were_visitors__finds_far_too_much_and_fails() -> None:
    values, visitor = _sessions_of_visitors()
    found = self_audit(StatisticKind.PROPORTION, values, np.random.default_rng(3), visitor_of_row=visitor)
    assert found.state is AuditState.FAILED
    assert found.rate is not None and found.rate > 0.08
    assert found.interval is not None and found.interval.low > 0.05
    assert found.splits == 1000
    assert "narrower than its noise" in found.reason


def test_self_audit__the_same_sessions_added_up_per_visitor__passes() -> None:
    values, visitor = _sessions_of_visitors()
    per_visitor = VisitorValues(
        np.bincount(visitor, weights=values.numerator).astype(float), np.bincount(visitor).astype(float)
    )
    found = self_audit(StatisticKind.RATIO, per_visitor, np.random.default_rng(3))
    assert found.state is AuditState.PASSED


@pytest.mark.parametrize("kind", [StatisticKind.PROPORTION, StatisticKind.MEAN, StatisticKind.RATIO])
def test_halves__of_every_split__are_the_statistics_of_their_visitors(
    kind: StatisticKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = _visitors(5, 200)[kind]
    monkeypatch.setattr(audits, "_CELLS_AT_ONCE", 200 * 3)  # seven splits in three parts
    made = list(audits._halves(kind, values, np.arange(200), np.random.default_rng(9), 7))
    rng, masks = np.random.default_rng(9), []
    for count in (3, 3, 1):
        masks.extend(rng.integers(0, 2, (count, 200), dtype=np.uint8) == 1)
    for mask, halves in zip(masks, made, strict=True):
        for rows, half in ((mask, halves[0]), (~mask, halves[1])):
            denominator = None if values.denominator is None else values.denominator[rows]
            whole = summarise(kind, VisitorValues(values.numerator[rows], denominator))
            assert half.visitors == whole.visitors
            assert [half.value, half.total] == pytest.approx([whole.value, whole.total], rel=1e-9)
            if kind is not StatisticKind.PROPORTION:
                assert half.variance == pytest.approx(whole.variance, rel=1e-9)  # type: ignore[union-attr]


def test_halves__of_a_quantile__are_the_statistics_of_their_visitors() -> None:
    values = _visitors(5, 200)[StatisticKind.QUANTILE]
    for one, other in audits._halves(StatisticKind.QUANTILE, values, np.arange(200), np.random.default_rng(9), 5):
        assert isinstance(one, Quantile) and isinstance(other, Quantile)
        assert one.visitors + other.visitors == 200
        assert np.array_equal((one + other).values, summarise(StatisticKind.QUANTILE, values).values)  # type: ignore[union-attr]
        assert one.seed != other.seed


def test_detectable_lift__of_a_share__is_that_of_the_normal_formula() -> None:
    rng = np.random.default_rng(6)
    values = VisitorValues((rng.random(4000) < 0.2).astype(float))
    found = self_audit(StatisticKind.PROPORTION, values, np.random.default_rng(7))
    share = float(values.numerator.mean())
    # (1.959964 + 0.841621) standard errors of a difference of two halves of 2,000; the spread of 500 is known to 3.2 %.
    expected = 2.801585 * np.sqrt(2 * share * (1 - share) / 2000) / share
    assert found.detectable_lift == pytest.approx(expected, rel=0.1)


def test_interval__of_the_rate__is_that_of_the_exact_binomial_test() -> None:
    for found in (0, 1, 40, 500):
        exact = stats.binomtest(found, 500).proportion_ci(0.95, "exact")
        interval = audits._exact_interval(found, 500)
        assert (interval.low, interval.high) == pytest.approx((exact.low, exact.high), abs=1e-12)


@pytest.mark.parametrize(
    ("visitors", "converted", "words"), [(0, 0, "0 visitors"), (99, 50, "99 visitors"), (5000, 19, "19 visitors")]
)
def test_self_audit__too_little_history__has_no_opinion_and_says_why(visitors: int, converted: int, words: str) -> None:
    values = VisitorValues((np.arange(visitors) < converted).astype(float))
    found = self_audit(StatisticKind.PROPORTION, values, np.random.default_rng(1))
    assert (found.state, found.rate, found.splits) == (AuditState.UNDECIDED, None, 0)
    assert words in found.reason


def test_self_audit__same_seed__is_the_same_answer() -> None:
    values = _visitors(4)[StatisticKind.MEAN]
    one, other = (self_audit(StatisticKind.MEAN, values, np.random.default_rng(5)) for _ in range(2))
    assert one == other
