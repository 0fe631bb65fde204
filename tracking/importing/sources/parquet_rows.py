"""Parquet, read row group by row group."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from tracking.importing.failure import ImportFault
from tracking.importing.sources.base import CHUNK_ROWS, Chunk
from tracking.importing.sources.opening import TextFile

MAGIC = b"PAR1"
SEPARATOR = "\x1f"


class ParquetFormat:
    def recognises(self, head: bytes) -> bool:
        return head.startswith(MAGIC)

    def open(self, file: TextFile) -> ParquetSource:
        return ParquetSource(file)


class ParquetSource:
    """Rows of a Parquet file; a line is the number of the row, from 1."""

    def __init__(self, file: TextFile) -> None:
        self._file = file
        self.label = file.label
        try:
            with file.on_disk() as path, pq.ParquetFile(path) as table:
                self.columns: tuple[str, ...] = tuple(table.schema_arrow.names)
                self.rows: int | None = table.metadata.num_rows
        except pa.ArrowException as error:
            raise ImportFault(f"{file.label} is a damaged Parquet file: {error}") from None

    def chunks(self) -> Iterator[Chunk]:
        start = 1
        with self._file.on_disk() as path, pq.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=CHUNK_ROWS):
                columns = {name: _values(batch.column(name)) for name in self.columns}
                texts = (map(str, values) for values in columns.values())
                identities = [
                    SEPARATOR.join(cells).encode("utf-8", "surrogatepass") for cells in zip(*texts, strict=True)
                ]
                yield Chunk(range(start, start + batch.num_rows), identities, columns)
                start += batch.num_rows


def _values(column: pa.Array) -> list[object]:
    """Return plain Python values. Nanosecond times are cut to microseconds, which is all that Python's can hold."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    values: list[object] = column.to_pylist()
    return values
