"""Comma-separated text; semicolons, tabs and bars are recognised from the header."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tracking.importing.failure import ImportFault
from tracking.importing.rejections import Rejection
from tracking.importing.sources.base import CHUNK_ROWS, Chunk
from tracking.importing.sources.opening import TextFile

if TYPE_CHECKING:
    from _csv import Reader

DELIMITERS = ",;\t|"
SEPARATOR = "\x1f"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class CsvFormat:
    def recognises(self, head: bytes) -> bool:
        return b"\x00" not in head or head.startswith(UTF16_MARKS)

    def open(self, file: TextFile) -> CsvSource:
        return CsvSource(file)


class CsvSource:
    """Rows of a CSV file. A row is rejected when its number of cells differs from the header's or it is not in the encoding."""

    rows: int | None = None

    def __init__(self, file: TextFile) -> None:
        self._file = file
        self.label = file.label
        try:
            with file.text() as stream:
                header = stream.readline()
                header.encode("utf-8")
        except UnicodeError:
            raise ImportFault(f"The header of {file.label} is not {file.encoding}; name it with --encoding.") from None
        self._delimiter = max(DELIMITERS, key=header.count)
        with file.text() as stream:
            names = next(self._reader(stream), [])
        self.columns = tuple(name.strip() for name in names)
        twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if twice:
            raise ImportFault(f"{file.label} has two columns named {', '.join(map(repr, twice))}; rename one.")

    def _reader(self, stream: Iterator[str]) -> Reader:
        return csv.reader(stream, delimiter=self._delimiter)

    def chunks(self) -> Iterator[Chunk]:
        with self._file.text() as stream:
            reader = self._reader(stream)
            next(reader, None)
            exhausted = False
            while not exhausted:
                rows: list[list[str]] = []
                lines: list[int] = []
                identities: list[bytes] = []
                rejected: list[Rejection] = []
                exhausted = self._fill(reader, rows, lines, identities, rejected)
                if rows or rejected:
                    cells = zip(*rows, strict=True) if rows else (() for _ in self.columns)
                    yield Chunk(lines, identities, dict(zip(self.columns, cells, strict=True)), rejected)

    def _fill(
        self,
        reader: Reader,
        rows: list[list[str]],
        lines: list[int],
        identities: list[bytes],
        rejected: list[Rejection],
    ) -> bool:
        width = len(self.columns)
        for _ in range(CHUNK_ROWS):
            try:
                row = next(reader)
            except StopIteration:
                return True
            except csv.Error as error:
                rejected.append(Rejection(reader.line_num, "malformed_row", f"This is not a row of CSV: {error}."))
                continue
            if not row:
                continue
            line = reader.line_num
            if len(row) != width:
                message = f"The row has {len(row)} cells and the header names {width} columns."
                rejected.append(Rejection(line, "malformed_row", message))
                continue
            try:
                identity = SEPARATOR.join(row).encode("utf-8")
            except UnicodeEncodeError:
                message = f"The row holds bytes that are not {self._file.encoding}."
                rejected.append(Rejection(line, "bad_encoding", message))
                continue
            rows.append(row)
            lines.append(line)
            identities.append(identity)
        return False
