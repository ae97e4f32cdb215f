"""Opens a table file of any format."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Final

from app.core.errors import InvalidFile
from app.data.columnar import ArrayReader, ParquetReader
from app.data.formats import Format, recognise
from app.data.slices import Reader
from app.data.text import CsvReader, JsonReader

_READERS: Final[dict[Format, Callable[[IO[bytes]], Reader]]] = {
    Format.CSV: CsvReader,
    Format.JSONL: JsonReader,
    Format.NPY: ArrayReader,
    Format.PARQUET: ParquetReader,
}


def open_table(file: IO[bytes], name: str, format: Format | None = None) -> tuple[Reader, Format]:
    """A reader of the file, which may be sought in; recognised where its format is not said. Raises InvalidFile."""
    found = format or recognise(file, name)
    file.seek(0)
    try:
        return _READERS[found](file), found
    except InvalidFile as error:
        raise InvalidFile(f"{name}: {error.detail}", pointer=error.pointer) from None
