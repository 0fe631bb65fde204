"""How numbers are written on the page: enough digits to decide by, never more than the data hold."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUS = "−"
NO_BREAK = "\u00a0"
NARROW = "\u202f"
UNKNOWN = "–"


def whole(number: float) -> str:
    """Write a count with its thousands apart, such as `21,306`."""
    return f"{number:,.0f}".replace("-", MINUS)


def share(value: float) -> str:
    """Write a share of visitors as per cent: two decimals, three digits below 1 %. Units: `value` is 0..1."""
    percent = value * 100
    decimals = 2 if abs(percent) >= 1 or percent == 0 else 3
    return f"{percent:.{decimals}f}{NARROW}%".replace("-", MINUS)


def points(value: float) -> str:
    """Write a signed difference of two shares in percentage points. Units: `value` is a difference of shares."""
    percent = value * 100
    decimals = 2 if abs(percent) >= 1 or percent == 0 else 3
    return f"{signed(percent, decimals)}{NO_BREAK}pp"


SMALLEST = 0.000001  # amounts have six decimals at most


def probability(value: float) -> str:
    """Write a probability, never as 0 or 1."""
    if value < 0.0001:
        return "below 0.0001"
    return "above 0.9999" if value > 0.9999 else f"{value:.4f}"


def amount(value: float) -> str:
    """Write a plain number with four significant digits and thousands apart."""
    if value == 0:
        return "0"
    if abs(value) < SMALLEST:
        return f"below {SMALLEST:.6f}" if value > 0 else f"above {MINUS}{SMALLEST:.6f}"
    decimals = max(0, 3 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 6)}f}".replace("-", MINUS)


def signed_amount(value: float) -> str:
    """Write a plain number with its sign."""
    return ("+" if value > 0 else "") + amount(value)


def lift(value: float) -> str:
    """Write a relative change as signed per cent. Units: 0.1 is `+10.0 %`."""
    percent = value * 100
    size = abs(percent)
    decimals = 2 if 0 < size < 1 else 1 if size < 100 else 0
    return f"{signed(percent, decimals)}{NARROW}%"


def signed(value: float, decimals: int) -> str:
    """Write a number with its sign and fixed decimals; what rounds to zero has no sign."""
    text = f"{abs(value):,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        return text
    return (MINUS if value < 0 else "+") + text


def p_value(value: float) -> str:
    """Write a p-value with three decimals; smaller ones as a bound."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def interval(low: float | None, high: float | None, write: object = lift) -> str:
    """Write an interval as `low to high`; a missing end is open."""
    assert callable(write)
    if low is None and high is None:
        return "not bounded"
    if low is None:
        return f"below {write(high)}"
    if high is None:
        return f"above {write(low)}"
    return f"{write(low)} to {write(high)}"


def typeset(text: str) -> str:
    """Set a sentence of the analysis as the page sets numbers and names: a true minus, no break before a per cent sign, curly
    quotes around names."""
    text = re.sub(r"(?<![\w’])'([^']+)'(?!\w)", r"“\1”", text)
    return re.sub(r"(?<![\w-])-(?=\d)", MINUS, text).replace(" %", f"{NARROW}%")


def plural(count: int, noun: str, plural_noun: str | None = None) -> str:
    """Write a count with its noun, such as `1 visitor` and `2 visitors`."""
    return f"{whole(count)}{NO_BREAK}{noun if count == 1 else plural_noun or noun + 's'}"


def age(since: datetime, now: datetime) -> str:
    """Write how long ago something was, in the largest unit that fits."""
    seconds = max(0, int((now - since).total_seconds()))
    if seconds < 60:
        return "just now"
    for size, noun in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{plural(seconds // size, noun)} ago"
    return "just now"


def moment(time: datetime, zone: str) -> str:
    """Write a time in the site's zone, such as `3 Mar 2026, 14:05`."""
    local = time.astimezone(ZoneInfo(zone))
    return f"{local.day} {local:%b %Y, %H:%M}"


def day(time: datetime, zone: str) -> str:
    """Write the site's calendar day of a time, such as `3 Mar 2026`."""
    local = time.astimezone(ZoneInfo(zone))
    return f"{local.day} {local:%b %Y}"


def days_between(start: datetime, end: datetime, zone: str) -> int:
    """Count the calendar days of the site's zone that [start, end) touches; a day is never 24 hours by decree."""
    zone_info = ZoneInfo(zone)
    last = (end - timedelta(microseconds=1)).astimezone(zone_info).date()
    return max(0, (last - start.astimezone(zone_info).date()).days + 1)


def parse_time(text: str | None) -> datetime | None:
    """Read an ISO time of the wire document; a time without zone is UTC."""
    if not text:
        return None
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
