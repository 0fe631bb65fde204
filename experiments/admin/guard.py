"""Against requests that a page never sends: values for fields that are locked or set by actions only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any


def posted_fields(data: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Return which of `names` a request carries values for; date and time boxes send `<name>_0` and `<name>_1`."""
    return [name for name in names if any(key in data for key in (name, f"{name}_0", f"{name}_1"))]


def posted_rows(data: Mapping[str, Any], prefix: str, names: Iterable[str], *, stored_only: bool = False) -> list[str]:
    """Return the keys by which a request tries to change rows of the formset `prefix`; `stored_only` leaves new rows out."""
    wanted = {*names, "DELETE"}
    stored = _number(data.get(f"{prefix}-INITIAL_FORMS"))
    found = []
    for key in data:
        match = re.fullmatch(rf"{re.escape(prefix)}-([0-9]{{1,6}})-(\w+)", key)
        if match and match[2] in wanted and (not stored_only or int(match[1]) < stored):
            found.append(key)
    return found


def _number(text: Any) -> int:
    return int(text) if isinstance(text, str) and re.fullmatch(r"[0-9]{1,6}", text) else 0
