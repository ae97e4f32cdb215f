"""The formats of table files, and how to recognize them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePath
from typing import IO, Final

from app.core.errors import InvalidFile

_HEAD: Final = 4096
_SUFFIXES: Final = {"ndjson": "jsonl", "pq": "parquet", "tsv": "csv", "txt": "csv"}
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff")
"""How UTF-16 and UTF-32 begin."""


_PACKED: Final = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"\x1f\x8b": "compressed with gzip",
    b"\xfd7zXZ\0": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
}


class Format(StrEnum):
    """A file format."""

    CSV = "csv"
    JSONL = "jsonl"
    NPY = "npy"
    PARQUET = "parquet"

    @property
    def media_type(self) -> str:
        """The media type of files of this format."""
        return _MEDIA[self]


_MEDIA: Final = {
    Format.CSV: "text/csv",
    Format.JSONL: "application/jsonl",
    Format.NPY: "application/octet-stream",
    Format.PARQUET: "application/vnd.apache.parquet",
}


def by_name(name: str) -> Format | None:
    """Return the format that the suffix of a file name implies, if any."""
    suffix = PurePath(name).suffix.removeprefix(".").lower()
    suffix = _SUFFIXES.get(suffix, suffix)
    return Format(suffix) if suffix in tuple(Format) else None


def recognize(file: IO[bytes], name: str) -> Format:
    """Return the format by the file's first bytes, or by its name if they are ambiguous. Leaves the file at its start. Raises InvalidFile."""
    file.seek(0)
    head = file.read(_HEAD)
    file.seek(0)
    if head.startswith(b"PAR1"):
        return Format.PARQUET
    if head.startswith(b"\x93NUMPY"):
        return Format.NPY
    named = by_name(name)
    if named in (Format.PARQUET, Format.NPY):
        raise InvalidFile(f"{name} is named as {named} and does not begin as such a file: is it whole?")
    packed = next((kind for start, kind in _PACKED.items() if head.startswith(start)), None)
    if packed:
        raise InvalidFile(f"{name} is {packed}. Save its table as CSV, JSONL or Parquet.")
    if head.startswith(_WIDE):
        raise InvalidFile(f"{name} is text in UTF-16 or UTF-32. Save it as UTF-8.")
    if b"\0" in head:
        raise InvalidFile(f"{name} holds zero bytes: it is neither Parquet nor NPY, nor text in UTF-8. Save it as one of them.")
    return named or (Format.JSONL if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[") else Format.CSV)
