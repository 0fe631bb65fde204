"""Which small files of a day are worth writing into one."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

from tracking.stores.manifest import FileEntry

FAN_IN = 8


def files_to_merge(files: Iterable[FileEntry], *, fan_in: int = FAN_IN) -> list[list[FileEntry]]:
    """Return groups of files of one site and day to merge: `fan_in` or more of about the same size.

    Sizes are compared on a scale of powers of `fan_in`, so each event is rewritten a logarithmic number of times, however
    many small files a busy day has.
    """
    tiers: dict[tuple[str, int, int], list[FileEntry]] = defaultdict(list)
    for entry in files:
        tiers[entry.site, entry.day, int(math.log(max(entry.rows, 1), fan_in))].append(entry)
    return [group for _, group in sorted(tiers.items()) if len(group) >= fan_in]


def days_to_tidy(files: Iterable[FileEntry], *, before_day: int) -> list[list[FileEntry]]:
    """Return the files of each site's past days that have more than one, to be merged when there is time."""
    days: dict[tuple[str, int], list[FileEntry]] = defaultdict(list)
    for entry in files:
        if entry.day < before_day:
            days[entry.site, entry.day].append(entry)
    return [group for _, group in sorted(days.items()) if len(group) > 1]
