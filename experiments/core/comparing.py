"""Comparisons between JSON values as JavaScript makes them, so that browser and server judge an audience alike."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from experiments.core.bucketing import number_text

_BUILD_OR_V = re.compile(r"(^v|\+.*$)")
_SEPARATOR = re.compile(r"[-.]")


def kind_of(value: Any) -> str:
    """Return the JSON type of a value by name: null, boolean, number, string, array or object."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list | tuple):
        return "array"
    return "object" if isinstance(value, Mapping) else "unknown"


def text_of(value: Any) -> str:
    """Return the value as JavaScript's `String(value)`."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_text(value)
    if isinstance(value, list | tuple):
        return ",".join("" if element is None else text_of(element) for element in value)
    return "[object Object]"


def number_of(value: Any) -> float:
    """Return the value as JavaScript's `Number(value)`; NaN when it is no number."""
    if isinstance(value, int | float):
        return float(value) if abs(value) < 2**1023 else math.inf * (1 if value > 0 else -1)
    if value is None:
        return 0.0
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return 0.0
        # Python also reads "1_000", "nan" and "inf", which JavaScript does not.
        if "_" in text or text.lstrip("+-")[:1] not in "0123456789.":
            return math.nan
        try:
            return float(text)
        except ValueError:
            return math.nan
    if isinstance(value, list | tuple):
        return number_of(text_of(value))
    return math.nan


def same_value(actual: Any, expected: Any) -> bool:
    """JavaScript's `===`: the type counts, and two lists or objects are never the same."""
    kind = kind_of(actual)
    if kind != kind_of(expected) or kind in ("array", "object", "unknown"):
        return False
    return bool(actual == expected)


def loosely_equals(actual: Any, expected: bool | float) -> bool:
    """Compare with a bare number or boolean of a condition: "10" equals 10, any non-empty value equals true."""
    if isinstance(expected, bool):
        return actual is not None and is_truthy(actual) is expected
    return number_of(actual) == expected


def is_truthy(value: Any) -> bool:
    """JavaScript's truth: empty lists and objects are true; NaN, 0, the empty text, false and null are not."""
    if isinstance(value, list | tuple | Mapping):
        return True
    if isinstance(value, float) and math.isnan(value):
        return False
    return bool(value)


def deep_equal(actual: Any, expected: Any) -> bool:
    """Compare as JSON texts are compared: types count at every depth, and so does the order of an object's keys."""
    if isinstance(expected, Mapping):
        return (
            isinstance(actual, Mapping)
            and list(actual) == list(expected)
            and all(deep_equal(actual[key], expected[key]) for key in expected)
        )
    if isinstance(expected, list | tuple):
        return (
            isinstance(actual, list | tuple) and len(actual) == len(expected) and all(map(deep_equal, actual, expected))
        )
    return same_value(actual, expected)


def order(actual: Any, expected: Any) -> int | None:
    """Return -1, 0 or 1 as `actual` is below, equal to or above `expected`, or None when they have no order.

    Two texts compare by their UTF-16 code units; everything else as numbers, where a missing value is 0.
    """
    if isinstance(actual, str) and isinstance(expected, str):
        if actual.isascii() and expected.isascii():
            return (actual > expected) - (actual < expected)
        left, right = (text.encode("utf-16-be", "surrogatepass") for text in (actual, expected))
        return (left > right) - (left < right)
    left_number, right_number = number_of(actual), number_of(expected)
    if math.isnan(left_number) or math.isnan(right_number):
        return None
    return (left_number > right_number) - (left_number < right_number)


def version_key(value: Any) -> str:
    """Return a text that sorts as versions do: numbers by size, a release after its pre-releases.

    Source: GrowthBook `paddedVersionString`. What is no version counts as version 0.
    """
    text = number_text(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not text:
        text = "0"
    parts = _SEPARATOR.split(_BUILD_OR_V.sub("", text))
    if len(parts) == 3:
        parts.append("~")
    return "-".join(part.rjust(5) if part.isascii() and part.isdigit() else part for part in parts)
