"""First exposures by local day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo

import numpy as np
from numpy.typing import NDArray

from tracking.core.timestamps import SECOND_US, to_us
from tracking.core.totals import DailyExposures


def local_date(time_us: int, zone: tzinfo) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)).astimezone(zone).date()


def daily_counts(
    times: NDArray[np.int64], variants: NDArray[np.int64], variant_count: int, zone: tzinfo
) -> DailyExposures:
    """Count first exposures per local day and variant, every day from the first to the last included.

    Shapes: `times` and `variants` (visitors,). Units: `times` in microseconds since 1970 UTC.
    """
    if len(times) == 0:
        return DailyExposures((), ())
    first, last = local_date(int(times.min()), zone), local_date(int(times.max()), zone)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    starts = np.array([_start_of(day, zone) for day in days], dtype=np.int64)
    place = np.searchsorted(starts, times, side="right") - 1
    flat = np.bincount(place * variant_count + variants, minlength=len(days) * variant_count)
    counts = flat.reshape(len(days), variant_count)
    return DailyExposures(
        tuple(day.isoformat() for day in days), tuple(tuple(int(one) for one in row) for row in counts)
    )


def _start_of(day: date, zone: tzinfo) -> int:
    """Return the first moment of a local day, also where the clock jumps over midnight."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    start = to_us(midnight.astimezone(UTC))
    # Where midnight does not exist, Python reads it with the offset from before the jump: still the moment of the jump.
    while local_date(start, zone) < day:
        start += 60 * SECOND_US
    return start
