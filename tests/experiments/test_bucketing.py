"""The hash and the ranges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.core import bucketing
from experiments.core.bucketing import (
    GRID,
    bucket,
    bucket_ranges,
    choose_variation,
    compile_hash,
    fnv1a32,
    fnv1a32_pure,
    hash_text,
    variation_table,
)

# Weights that add up to 10,000: cut points on the grid.
weights = st.lists(st.integers(1, GRID - 1), min_size=1, max_size=5, unique=True).map(
    lambda cuts: [(b - a) / GRID for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), GRID], strict=True)]
)


def test_fnv1a32_pure__published_vectors__same_numbers() -> None:
    # Source: Noll's test vectors of FNV-1a 32, draft-eastlake-fnv appendix.
    assert [fnv1a32_pure(text) for text in ("", "a", "foobar")] == [0x811C9DC5, 0xE40C292C, 0xBF9CF968]


@given(st.text(max_size=60))
def test_fnv1a32__any_text__fast_and_pure_agree(text: str) -> None:
    assert fnv1a32(text) == fnv1a32_pure(text)


def test_fnv1a32__letter_outside_ascii__is_hashed_by_utf16_unit_like_in_a_browser() -> None:
    # Worked by hand: one step of FNV-1a over the single unit 0x00E9, not over the UTF-8 bytes C3 A9.
    assert fnv1a32("é") == ((0x811C9DC5 ^ 0xE9) * 0x01000193) % 2**32
    # U+1F600 is the two units D83D DE00 in a browser.
    first = ((0x811C9DC5 ^ 0xD83D) * 0x01000193) % 2**32
    assert fnv1a32("😀") == ((first ^ 0xDE00) * 0x01000193) % 2**32


@given(st.text(max_size=20), st.text(max_size=40))
def test_compile_hash__any_seed_and_value__equals_the_definition(seed: str, value: str) -> None:
    expected = fnv1a32_pure(str(fnv1a32_pure(seed + value))) % 10_000
    assert compile_hash(seed)(value) == expected
    assert bucket(seed, value) == expected / 10_000
    assert compile_hash(seed, 1)(value) == fnv1a32_pure(value + seed) % 1_000


def test_compile_hash__without_the_c_library__gives_the_same_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = [compile_hash("salt")(f"visitor-{n}") for n in range(200)]
    monkeypatch.setattr(bucketing, "_HAS_C", False)
    monkeypatch.setattr(bucketing, "fnv1a32", fnv1a32_pure)
    assert [compile_hash("salt")(f"visitor-{n}") for n in range(200)] == fast


@given(weights, st.integers(0, GRID), st.integers(0, GRID), st.integers(0, GRID - 1))
def test_bucket_ranges__traffic_raised__nobody_in_is_moved(
    shares: list[float], one: int, other: int, number: int
) -> None:
    low, high = sorted((one, other))
    before = choose_variation(number / GRID, bucket_ranges(len(shares), low / GRID, shares))
    after = choose_variation(number / GRID, bucket_ranges(len(shares), high / GRID, shares))
    assert before in (-1, after)


@given(weights)
def test_bucket_ranges__full_traffic__every_bucket_has_a_variant_and_each_its_share(shares: list[float]) -> None:
    table = variation_table(bucket_ranges(len(shares), 1.0, shares), GRID)
    counts = [list(table).count(i) for i in range(len(shares))]
    assert sum(counts) == GRID
    # Sums of decimal fractions are off by an ulp, so that one bucket at each border may change sides.
    assert all(abs(count - round(share * GRID)) <= 2 for count, share in zip(counts, shares, strict=True))


@given(weights, st.integers(0, GRID))
def test_variation_table__any_ranges__is_choose_variation_for_each_bucket(shares: list[float], coverage: int) -> None:
    ranges = bucket_ranges(len(shares), coverage / GRID, shares)
    table = variation_table(ranges, GRID)
    assert all(table[n] == choose_variation(n / GRID, ranges) for n in range(0, GRID, 37))


def test_bucket__two_experiments__are_independent_and_uniform() -> None:
    visitors = [f"user-{n}" for n in range(20_000)]
    one = [compile_hash("first-salt")(v) < 5_000 for v in visitors]
    other = [compile_hash("second-salt")(v) < 5_000 for v in visitors]
    table = [
        [sum(a is x and b is y for a, b in zip(one, other, strict=True)) for y in (True, False)] for x in (True, False)
    ]
    # Seeds are fixed, so this is no lottery: the hash either keeps these two experiments apart or it does not.
    assert stats.chi2_contingency(table).pvalue > 0.001
    assert stats.binomtest(sum(one), len(one), 0.5).pvalue > 0.001


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (123, "123"), (1.0, "1"), (1.5, "1.5"), (True, "true"), (False, ""), (0, ""), (None, ""), ([1], "")],
)
def test_hash_text__value_of_any_kind__is_written_as_a_browser_would(value: object, text: str) -> None:
    assert hash_text(value) == text
