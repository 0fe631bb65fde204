"""Times as clients send them, turned into microseconds since 1970 UTC."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 3600 * SECOND_US
DAY_US = 24 * HOUR_US

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECONDS_BELOW = 1e11  # the year 5138 in seconds, the year 1973 in milliseconds
_MILLISECONDS_BELOW = 1e14


def parse_time(value: str | int | float) -> int:
    """Read an ISO 8601 text with an offset, or a number of seconds or milliseconds since 1970 UTC.

    Units: returns microseconds since 1970 UTC. Numbers below 100,000,000,000 are seconds, from there on milliseconds.
    Raises: ValueError when the text has no offset or is no time, or the number is too large to be milliseconds.
    """
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError("The time has no offset from UTC.")
        since = moment - _EPOCH
        return (since.days * 86_400 + since.seconds) * SECOND_US + since.microseconds
    if not math.isfinite(value):
        raise ValueError("The time is not a finite number.")
    size = abs(value)
    if size >= _MILLISECONDS_BELOW:
        raise ValueError("The number is too large for milliseconds since 1970.")
    factor = SECOND_US if size < _SECONDS_BELOW else 1000
    return round(value * factor)


def day_number(time_us: int) -> int:
    """Return the UTC day of a time, as days since 1970-01-01."""
    return time_us // DAY_US


def iso_day(day: int) -> str:
    """Return a day number as an ISO date, such as 2026-03-01."""
    return (_EPOCH + timedelta(days=day)).date().isoformat()


def day_from_iso(text: str) -> int:
    """Return the day number of an ISO date. Raises: ValueError when the text is no date."""
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - _EPOCH).days


def to_us(moment: datetime) -> int:
    """Return an aware datetime as microseconds since 1970 UTC."""
    return (moment - _EPOCH) // _MICROSECOND


def hours_to_us(hours: float) -> int:
    """Return hours as whole microseconds; every store must round windows this way, or their edges differ."""
    return round(hours * HOUR_US)
