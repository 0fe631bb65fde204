"""Files of every format give the same rows, and a broken row costs only itself."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tracking.importing.failure import ImportFault
from tracking.importing.rejections import Rejection
from tracking.importing.sources import Source, open_source
from tracking.importing.sources.base import CHUNK_ROWS

CSV = "visitor,event,value\nv1,view,\nv2,purchase,9.5\n"


def rows(source: Source) -> list[dict[str, object]]:
    return [
        dict(zip(chunk.columns, cells, strict=True))
        for chunk in source.chunks()
        for cells in zip(*chunk.columns.values(), strict=True)
    ]


def rejections(source: Source) -> list[Rejection]:
    return [rejection for chunk in source.chunks() for rejection in chunk.rejected]


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_open_source__csv_with_any_delimiter__gives_the_rows(tmp_path: Path, delimiter: str) -> None:
    source = open_source(written(tmp_path / "log.csv", CSV.replace(",", delimiter)))

    assert source.columns == ("visitor", "event", "value")
    assert rows(source) == [
        {"visitor": "v1", "event": "view", "value": ""},
        {"visitor": "v2", "event": "purchase", "value": "9.5"},
    ]


def test_open_source__wrapped_csv__gives_the_same_rows_and_identities(tmp_path: Path) -> None:
    plain = open_source(written(tmp_path / "log.csv", CSV))
    zipped = tmp_path / "log.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("folder/log.csv", CSV)
        archive.writestr("__MACOSX/folder/._log.csv", "junk")
        archive.writestr("folder/.DS_Store", "junk")
    wrapped = [open_source(zipped), open_source(written(tmp_path / "log.csv.gz", gzip.compress(CSV.encode())))]

    for source in wrapped:
        assert rows(source) == rows(plain)
        assert [c.identities for c in source.chunks()] == [c.identities for c in plain.chunks()]


def test_open_source__ndjson__nested_objects_become_columns(tmp_path: Path) -> None:
    text = '{"visitor": "v1", "context": {"device": "phone"}}\n\n{"visitor": "v2", "value": 3}\n'
    source = open_source(written(tmp_path / "log.ndjson", text))

    assert rows(source) == [
        {"visitor": "v1", "context.device": "phone", "value": None},
        {"visitor": "v2", "context.device": None, "value": 3},
    ]
    assert next(iter(source.chunks())).lines == [1, 3]


def test_open_source__parquet__types_stay(tmp_path: Path) -> None:
    pq.write_table(pa.table({"visitor": [1, 2], "value": [None, 2.5]}), tmp_path / "log.parquet")
    source = open_source(tmp_path / "log.parquet")

    assert source.rows == 2
    assert rows(source) == [{"visitor": 1, "value": None}, {"visitor": 2, "value": 2.5}]


def test_open_source__zip_of_two_files__names_both(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", CSV)
        archive.writestr("b.csv", CSV)

    with pytest.raises(ImportFault, match=r"holds 2: a\.csv, b\.csv"):
        open_source(tmp_path / "two.zip")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.csv", b"", "empty"),
        ("junk.csv", bytes(range(256)), "binary"),
        ("cut.zip", b"PK\x03\x04broken", "damaged zip"),
        ("cut.gz", b"\x1f\x8bbroken", "damaged gzip"),
        ("cut.parquet", b"PAR1broken", "damaged Parquet"),
        ("twice.csv", b"a,a\n1,2\n", "two columns named 'a'"),
        ("latin.csv", "größe,b\n1,2\n".encode("latin-1"), "--encoding"),
    ],
)
def test_open_source__file_that_cannot_be_read__says_why(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    with pytest.raises(ImportFault, match=said):
        open_source(written(tmp_path / name, content))


def test_open_source__no_such_file__names_it(tmp_path: Path) -> None:
    with pytest.raises(ImportFault, match=r"missing\.csv"):
        open_source(tmp_path / "missing.csv")


def test_chunks__rows_of_the_wrong_width__are_rejected_with_their_line(tmp_path: Path) -> None:
    source = open_source(written(tmp_path / "log.csv", "a,b\n1,2\n3\n\n4,5,6\n7,8\n"))

    assert [row["a"] for row in rows(source)] == ["1", "7"]
    assert [(r.line, r.code) for r in rejections(source)] == [(3, "malformed_row"), (5, "malformed_row")]


def test_chunks__bytes_in_another_encoding__cost_only_their_row(tmp_path: Path) -> None:
    source = open_source(written(tmp_path / "log.csv", b"a,b\n1,ok\n2,gr\xf6sse\n3,ok\n"))

    assert [row["a"] for row in rows(source)] == ["1", "3"]
    assert [(r.line, r.code) for r in rejections(source)] == [(3, "bad_encoding")]
    latin = open_source(tmp_path / "log.csv", encoding="latin-1")
    assert [row["b"] for row in rows(latin)] == ["ok", "grösse", "ok"]


def test_chunks__quoted_newline__line_is_where_the_row_ends(tmp_path: Path) -> None:
    source = open_source(written(tmp_path / "log.csv", 'a,b\n"x\ny",1\nz,2\n'))

    assert next(iter(source.chunks())).lines == [3, 4]


def test_chunks__json_that_is_no_object__is_rejected_with_its_line(tmp_path: Path) -> None:
    source = open_source(written(tmp_path / "log.ndjson", '{"a": 1}\n[1]\n{"a": \n{"a": 2}\n'))

    assert [row["a"] for row in rows(source)] == [1, 2]
    assert [r.line for r in rejections(source)] == [2, 3]


def test_chunks__more_rows_than_a_chunk__come_in_bounded_pieces(tmp_path: Path) -> None:
    count = CHUNK_ROWS + 5
    source = open_source(written(tmp_path / "log.csv", "a\n" + "x\n" * count))

    assert [len(chunk) for chunk in source.chunks()] == [CHUNK_ROWS, 5]
