"""The hash that gives every visitor a fixed place in [0, 1), and the ranges that turn the place into a variant.

This is GrowthBook's published algorithm, so every GrowthBook SDK lands on the same variant as this server.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from functools import lru_cache

try:
    from fnv_hash_fast import fnv1a_32 as _fnv1a_32_of_bytes
except ImportError:  # no wheel for this platform: the pure function gives the same numbers, about ten times slower
    _HAS_C = False
else:
    _HAS_C = True

GRID = 10_000  # weights, traffic and ranges are counted in 1/10,000, the resolution of the hash
NATIVE_HASH_VERSION = 2

Range = tuple[float, float]

_OFFSET_BASIS = 0x811C9DC5
_PRIME = 0x01000193


def fnv1a32_pure(text: str) -> int:
    """Return the 32-bit FNV-1a hash of the text's UTF-16 code units, which is what the JavaScript SDKs hash.

    Source: Fowler, Noll, Vo, IETF draft-eastlake-fnv; code units instead of bytes as in GrowthBook's `fnv32a`.
    Checked against: fnv-hash-fast (C) for ASCII, the official case file.
    """
    value = _OFFSET_BASIS
    units = text.encode("utf-16-le", "surrogatepass")
    for low, high in zip(units[::2], units[1::2], strict=True):
        value = ((value ^ (low | high << 8)) * _PRIME) & 0xFFFFFFFF
    return value


def _fnv1a32_fast(text: str) -> int:
    # An ASCII text has the same bytes as code units; any other text must be hashed by code unit.
    return _fnv1a_32_of_bytes(text.encode()) if text.isascii() else fnv1a32_pure(text)


fnv1a32: Callable[[str], int] = _fnv1a32_fast if _HAS_C else fnv1a32_pure


SIZES = {1: 1_000, 2: 10_000}  # how many buckets a hash version has


def compile_hash(seed: str, version: int = NATIVE_HASH_VERSION) -> Callable[[str], int]:
    """Return the function from a value to the number of its bucket, 0 to `SIZES[version]` - 1.

    Version 1 makes experiments depend on each other; it is here to read GrowthBook's files, never to assign.
    """
    if version == 1:
        return lambda value: fnv1a32(value + seed) % 1_000
    if not _HAS_C or not seed.isascii():
        return lambda value: fnv1a32(str(fnv1a32(seed + value))) % 10_000
    prefix, of_bytes = seed.encode(), _fnv1a_32_of_bytes

    def number(value: str) -> int:
        inner = of_bytes(prefix + value.encode()) if value.isascii() else fnv1a32_pure(seed + value)
        return of_bytes(b"%d" % inner) % 10_000

    return number


def bucket(seed: str, value: str, version: int = NATIVE_HASH_VERSION) -> float | None:
    """Return the place of `value` in [0, 1) under `seed`, or None for a hash version that does not exist."""
    size = SIZES.get(version)
    return None if size is None else compile_hash(seed, version)(value) / size


def equal_weights(variants: int) -> list[float]:
    """Return the same share for each of `variants`; an empty list when there are none."""
    return [1 / variants] * variants if variants > 0 else []


def bucket_ranges(variants: int, coverage: float = 1.0, weights: Sequence[float] | None = None) -> tuple[Range, ...]:
    """Return one half-open range of buckets per variant.

    Each range starts where it would start at full coverage and grows outward, so raising the coverage adds visitors
    and never moves one. Weights that do not fit (wrong number, or a sum outside 0.99..1.01) give equal shares, as in
    the SDKs.
    """
    coverage = min(max(coverage, 0.0), 1.0)
    shares = equal_weights(variants) if weights is None or len(weights) != variants else list(weights)
    if not 0.99 <= sum(shares) <= 1.01:
        shares = equal_weights(variants)
    ranges: list[Range] = []
    start = 0.0
    for share in shares:
        ranges.append((start, start + coverage * share))
        start += share
    return tuple(ranges)


def choose_variation(place: float, ranges: Sequence[Range]) -> int:
    """Return the index of the first range that holds `place`, or -1."""
    for index, (low, high) in enumerate(ranges):
        if low <= place < high:
            return index
    return -1


@lru_cache(maxsize=4096)
def variation_table(ranges: tuple[Range, ...], size: int) -> Sequence[int]:
    """Return what `choose_variation` answers for each of `size` buckets, so that choosing is one look-up.

    Cached, because most experiments share their ranges.
    """
    table = array("h", [-1]) * size
    for index, (low, high) in reversed(list(enumerate(ranges))):  # backwards, so that the first range wins
        first, end = _first_bucket(low, size), _first_bucket(high, size)
        if first < end:
            table[first:end] = array("h", [index]) * (end - first)
    return table


def _first_bucket(edge: float, size: int) -> int:
    """Return the first bucket number whose place is at or above `edge`, judged by the very comparison of a place."""
    number = min(max(int(edge * size) - 1, 0), size)
    while number < size and number / size < edge:
        number += 1
    return number


def hash_text(value: object) -> str:
    """Return the text that is hashed for an attribute's value; empty for everything that identifies nobody.

    Numbers are written as JavaScript writes them (1.0 is "1"), because the SDKs do; 0, false, lists and objects
    identify nobody.
    """
    if isinstance(value, str):
        return value
    if value is True:
        return "true"
    if isinstance(value, int | float) and value:
        return number_text(value)
    return ""


def number_text(value: float) -> str:
    """Return a number as JavaScript's `String(value)` would, for everything but extreme exponents."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return repr(value)
