"""A report as CSV, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from reports.core.wire import to_csv_rows

# A cell that starts like this is run as a formula by spreadsheets.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_text(document: Mapping[str, Any]) -> str:
    """Return the comparisons of a report document, one line each, under a header."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    for row in to_csv_rows(document):
        writer.writerow([_cell(value) for value in row])
    return out.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
