"""Sufficient statistics: they refuse nonsense and add up in any order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.core.metric_kinds.base import StatisticKind, VisitorValues
from reports.core.statistics import Mean, Proportion, Ratio, summarise

numbers = st.lists(st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6), min_size=0, max_size=30)


def _mean(values: list[float]) -> Mean:
    statistic = summarise(StatisticKind.MEAN, VisitorValues(np.asarray(values, dtype=float)))
    assert isinstance(statistic, Mean)
    return statistic


def _ratio(top: list[float], bottom: list[float]) -> Ratio:
    statistic = summarise(StatisticKind.RATIO, VisitorValues(np.asarray(top, float), np.asarray(bottom, float)))
    assert isinstance(statistic, Ratio)
    return statistic


@settings(max_examples=60, deadline=None)
@given(numbers, numbers, numbers)
def test_mean__merged_in_any_order__equals_all_values_at_once(a: list[float], b: list[float], c: list[float]) -> None:
    whole = _mean(a + b + c)
    for merged in (_mean(a) + _mean(b) + _mean(c), _mean(c) + (_mean(a) + _mean(b)), _mean(b) + _mean(c) + _mean(a)):
        scale = max(map(abs, a + b + c), default=1.0) + 1.0
        assert merged.visitors == whole.visitors
        assert merged.mean == pytest.approx(whole.mean, abs=1e-9 * scale)
        assert merged.squares == pytest.approx(whole.squares, abs=1e-9 * scale**2 * (len(a + b + c) + 1))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=30), st.integers(0, 30))
def test_ratio__merged_from_two_parts__equals_all_visitors_at_once(pairs: list[tuple[int, int]], cut: int) -> None:
    def of(part: list[tuple[int, int]]) -> Ratio:
        return _ratio([float(a) for a, _ in part], [float(b) for _, b in part])

    whole, merged = of(pairs), of(pairs[cut:]) + of(pairs[:cut])
    assert merged.visitors == whole.visitors
    for name in ("numerator_mean", "denominator_mean", "numerator_squares", "denominator_squares", "products"):
        assert getattr(merged, name) == pytest.approx(getattr(whole, name), abs=1e-7)


def test_mean__amounts_far_from_zero__keep_their_variance() -> None:
    # Raw sums of squares of 1e9 + {0, 1, 2} lose the variance, 1, in the 16th digit.
    assert _mean([1e9, 1e9 + 1, 1e9 + 2]).variance == pytest.approx(1.0, rel=1e-9)


def test_mean__from_sums__agrees_with_numpy() -> None:
    values = np.array([0.0, 3.5, 2.0, 9.25])
    statistic = Mean.from_sums(4, float(values.sum()), float((values**2).sum()))
    assert statistic.mean == pytest.approx(values.mean())
    assert statistic.variance == pytest.approx(values.var(ddof=1))


def test_ratio__variance__is_that_of_the_linearised_values() -> None:
    top, bottom = np.array([1.0, 0, 2, 1, 0, 3]), np.array([2.0, 1, 5, 3, 1, 6])
    linear = (top - top.sum() / bottom.sum() * bottom) / bottom.mean()
    assert _ratio(list(top), list(bottom)).variance == pytest.approx(linear.var(ddof=1))


@pytest.mark.parametrize(("visitors", "converted"), [(10, 11), (10, -1), (-1, 0)])
def test_proportion__impossible_counts__are_refused(visitors: int, converted: int) -> None:
    with pytest.raises(ValueError, match=r"visitors"):
        Proportion(visitors, converted)


def test_mean__sums_that_no_numbers_have__are_refused() -> None:
    with pytest.raises(ValueError, match="No 2 numbers have the sum"):
        Mean.from_sums(2, 10.0, 10.0)


def test_mean__a_value_that_is_not_a_number__is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        _mean([1.0, float("nan")])


def test_ratio__cross_products_beyond_cauchy_schwarz__are_refused() -> None:
    with pytest.raises(ValueError, match="Cauchy-Schwarz"):
        Ratio(5, 1.0, 1.0, 1.0, 1.0, 2.0)
