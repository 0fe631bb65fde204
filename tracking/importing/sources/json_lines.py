"""NDJSON: one JSON object a line. Nested objects become columns with dots, such as `context.device`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from tracking.importing.failure import ImportFault
from tracking.importing.rejections import Rejection
from tracking.importing.sources.base import CHUNK_ROWS, Chunk
from tracking.importing.sources.opening import TextFile

LINES_FOR_COLUMNS = 1_000


class JsonLinesFormat:
    def recognises(self, head: bytes) -> bool:
        start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
        return start == b"{" and b"\x00" not in head

    def open(self, file: TextFile) -> JsonLinesSource:
        return JsonLinesSource(file)


class JsonLinesSource:
    """Rows of an NDJSON file. Columns are the names seen in the first thousand lines; a missing name is an empty cell."""

    rows: int | None = None

    def __init__(self, file: TextFile) -> None:
        self._file = file
        self.label = file.label
        names: dict[str, None] = {}
        with file.binary() as stream:
            for line in islice(stream, LINES_FOR_COLUMNS):
                row = _object(line)
                if isinstance(row, dict):
                    names.update(dict.fromkeys(_flat(row)))
        if not names:
            raise ImportFault(
                f"{file.label} holds no JSON object in its first {LINES_FOR_COLUMNS} lines; write one a line."
            )
        self.columns = tuple(names)

    def chunks(self) -> Iterator[Chunk]:
        with self._file.binary() as stream:
            numbered = enumerate(stream, start=1)
            while part := list(islice(numbered, CHUNK_ROWS)):
                rows: list[dict[str, Any]] = []
                lines: list[int] = []
                identities: list[bytes] = []
                rejected: list[Rejection] = []
                for number, line in part:
                    text = line.strip()
                    if not text:
                        continue
                    row = _object(text)
                    if isinstance(row, dict):
                        rows.append(_flat(row))
                        lines.append(number)
                        identities.append(text)
                    else:
                        rejected.append(Rejection(number, "malformed_row", f"This is not a JSON object: {row}."))
                columns = {name: [row.get(name) for row in rows] for name in self.columns}
                yield Chunk(lines, identities, columns, rejected)


def _object(line: bytes) -> dict[str, Any] | str:
    """Return the object on a line, or what is wrong with it."""
    try:
        value = msgspec.json.decode(line.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return str(error)
    return value if isinstance(value, dict) else f"it is a {type(value).__name__}"


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat.update({f"{name}.{inner}": cell for inner, cell in _flat(value).items()})
        else:
            flat[name] = value
    return flat
