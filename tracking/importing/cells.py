"""One cell of a file as a time, a number, a count or a text; whatever cannot be read says what it held."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAIVE_EPOCH = datetime(1970, 1, 1)
MICROSECOND = timedelta(microseconds=1)
LONGEST_SHOWN = 60

YES = frozenset({"true", "t", "yes", "y"})
NO = frozenset({"false", "f", "no", "n", "", "nan", "null", "none", "na"})

# Unix times by size: up to the year 5138 in seconds, then in milliseconds, microseconds and nanoseconds. Each entry says
# below which size it holds, and the microseconds as a fraction of the unit.
_UNIX_UNITS = ((1e11, 1_000_000, 1), (1e14, 1_000, 1), (1e17, 1, 1), (1e20, 1, 1_000))


class BadCell(ValueError):
    """A cell that cannot be read. `code` names the reason for machines."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def shown(value: Any) -> str:
    """Return a cell for a message, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"


def is_empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def as_text(value: Any) -> str:
    """Return a cell as the text that identifies it; whole floats lose their `.0`, which spreadsheets like to add."""
    if isinstance(value, str):
        return value.strip()
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        if value.is_integer() and abs(value) < 2**53:
            return str(int(value))
    return str(value)


def as_time(value: Any, zone: tzinfo = UTC, layout: str | None = None) -> int:
    """Return a cell as microseconds since 1970 UTC.

    Reads ISO 8601, Unix times (seconds, milliseconds, microseconds or nanoseconds by their size), dates and date-times;
    one without an offset is taken in `zone`. `layout` (as strptime has it) replaces all that for texts.

    Raises: BadCell with code `missing_time` or `bad_time`.
    """
    if is_empty(value):
        raise BadCell("missing_time", "The time is empty.")
    try:
        return _microseconds(value, zone, layout)
    except (ValueError, OverflowError, TypeError):
        raise BadCell("bad_time", f"The time {shown(value)} cannot be read.") from None


def _microseconds(value: Any, zone: tzinfo, layout: str | None) -> int:
    if isinstance(value, str):
        value = value.strip()
        value = datetime.strptime(value, layout) if layout else _from_text(value)
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            return (value - EPOCH) // MICROSECOND
        if zone is UTC:
            return (value - NAIVE_EPOCH) // MICROSECOND
        return (value.replace(tzinfo=zone) - EPOCH) // MICROSECOND
    if isinstance(value, date):
        return (datetime(value.year, value.month, value.day, tzinfo=zone) - EPOCH) // MICROSECOND
    if isinstance(value, bool):
        raise ValueError("A truth value is no time.")
    number = float(value)
    unit = next((unit for unit in _UNIX_UNITS if abs(number) < unit[0]), None)
    if unit is None:
        raise ValueError("Too far from 1970 to be a time.")
    _, times, parts = unit
    return int(value) * times // parts if number.is_integer() else math.floor(number * times / parts)


def _from_text(text: str) -> datetime | float | int:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    if text.endswith(" UTC"):
        return datetime.fromisoformat(text[:-4]).replace(tzinfo=UTC)
    return int(text) if text.lstrip("-").isdigit() else float(text)


def as_number(value: Any) -> float | None:
    """Return a cell as a finite number; None when it is empty.

    Raises: BadCell with code `bad_value`.
    """
    if is_empty(value):
        return None
    try:
        number = float(value)
    except (ValueError, TypeError):
        number = math.nan
    if not math.isfinite(number):
        raise BadCell("bad_value", f"The value {shown(value)} is not a finite number.")
    return number


def as_count(value: Any) -> int:
    """Return how often a cell says that something happened: yes is 1, no and empty are 0, a whole number is itself.

    Raises: BadCell with code `bad_value`.
    """
    if isinstance(value, bool):
        return int(value)
    if value is None:
        return 0
    if isinstance(value, str):
        if value == "0" or value == "1":  # by far the most frequent
            return int(value)
        word = value.strip().lower()
        if word in NO:
            return 0
        if word in YES:
            return 1
    elif isinstance(value, float) and math.isnan(value):
        return 0
    try:
        number = value if isinstance(value, int | float | Decimal) else float(value)
        if number < 0 or number != int(number):
            raise ValueError
        return int(number)
    except (ValueError, TypeError, OverflowError):
        raise BadCell(
            "bad_value", f"{shown(value)} is neither yes nor no nor a whole number of times (0, 1, 2 ...)."
        ) from None
