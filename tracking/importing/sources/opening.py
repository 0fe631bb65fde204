"""A file on disk, gzipped, or inside a zip archive, as one thing that can be read from its beginning again and again."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from tracking.importing.failure import ImportFault

HEAD_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class TextFile:
    """Where the bytes are: `member` names the file inside a zip archive."""

    path: Path
    encoding: str
    member: str | None = None
    is_gzip: bool = False

    @property
    def label(self) -> str:
        return f"{self.path.name}:{self.member}" if self.member else self.path.name

    @contextmanager
    def binary(self) -> Iterator[BinaryIO]:
        if self.member is not None:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as stream:
                yield cast(BinaryIO, stream)
        elif self.is_gzip:
            with gzip.open(self.path, "rb") as stream:
                yield cast(BinaryIO, stream)
        else:
            with self.path.open("rb") as plain:
                yield plain

    @contextmanager
    def text(self) -> Iterator[TextIOWrapper]:
        """Open as text. Bytes that are not in the encoding become lone surrogates, so that one bad row is one rejection."""
        with self.binary() as stream:
            encoding = "utf-8-sig" if self.encoding.lower().replace("_", "-") in {"utf-8", "utf8"} else self.encoding
            yield TextIOWrapper(stream, encoding=encoding, errors="surrogateescape", newline="")

    def head(self) -> bytes:
        with self.binary() as stream:
            return stream.read(HEAD_BYTES)

    @contextmanager
    def on_disk(self) -> Iterator[Path]:
        """Give a path with the plain bytes, unpacked to a temporary file where needed."""
        if self.member is None and not self.is_gzip:
            yield self.path
            return
        with tempfile.NamedTemporaryFile() as unpacked, self.binary() as stream:
            shutil.copyfileobj(stream, unpacked)
            unpacked.flush()
            yield Path(unpacked.name)


def opened(path: Path, encoding: str) -> TextFile:
    """Find the bytes that a path stands for.

    Raises: ImportFault when there is no such file, or an archive is damaged or does not hold exactly one file.
    """
    try:
        "".encode(encoding)
    except LookupError:
        raise ImportFault(f"'{encoding}' is not an encoding; use for example utf-8 or latin-1.") from None
    if not path.is_file():
        raise ImportFault(f"There is no file '{path}'.")
    with path.open("rb") as stream:
        magic = stream.read(4)
    if magic == b"PK\x03\x04":
        return TextFile(path, encoding, member=_only_member(path))
    file = TextFile(path, encoding, is_gzip=magic[:2] == b"\x1f\x8b")
    if file.is_gzip:
        try:
            file.head()
        except (OSError, EOFError) as error:
            raise ImportFault(f"{path.name} is a damaged gzip file: {error}") from None
    return file


def _only_member(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except zipfile.BadZipFile as error:
        raise ImportFault(f"{path.name} is a damaged zip archive: {error}") from None
    # Finder and Explorer add files of their own to archives; nobody means those.
    real = [n for n in names if not any(p.startswith((".", "__MACOSX")) for p in PurePosixPath(n).parts)]
    if len(real) != 1:
        held = ", ".join(real[:10]) if real else "none"
        raise ImportFault(
            f"{path.name} must hold one file, and holds {len(real)}: {held}. Unpack it and import one by one."
        )
    return real[0]
