"""Files as chunks of columns. Adding a format is one file here and one line in `FORMATS`."""

from __future__ import annotations

from pathlib import Path

from tracking.importing.failure import ImportFault
from tracking.importing.sources.base import Chunk, Source
from tracking.importing.sources.csv_rows import CsvFormat
from tracking.importing.sources.json_lines import JsonLinesFormat
from tracking.importing.sources.opening import TextFile, opened
from tracking.importing.sources.parquet_rows import ParquetFormat

# In order of how surely a file's first bytes tell; CSV takes what is left.
FORMATS = (ParquetFormat(), JsonLinesFormat(), CsvFormat())


def open_source(path: Path, *, encoding: str = "utf-8") -> Source:
    """Open a CSV, NDJSON or Parquet file, plain, gzipped or as the one file in a zip archive.

    Raises: ImportFault when the file is missing, is none of these, or an archive holds several files.
    """
    file = opened(path, encoding)
    head = file.head()
    if not head:
        raise ImportFault(f"{file.label} is empty.")
    chosen = next((f for f in FORMATS if f.recognises(head)), None)
    if chosen is None:
        raise ImportFault(
            f"{file.label} is not CSV, NDJSON, Parquet or a zip or gzip of one of these: it holds binary data. "
            "If it is text in another encoding, save it as UTF-8 or name the encoding with --encoding."
        )
    return chosen.open(file)


__all__ = ["FORMATS", "Chunk", "Source", "TextFile", "open_source"]
