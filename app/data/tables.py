"""Opens a table file of any format."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Final

from app.core.errors import InvalidFile
from app.core.tables import TableOptions
from app.data.columnar import ArrayReader, ParquetReader
from app.data.delimited import CsvReader
from app.data.formats import Format, recognize
from app.data.lines import JsonReader
from app.data.row_batch import Reader

_READERS: Final[dict[Format, Callable[[IO[bytes], TableOptions], Reader]]] = {
    Format.CSV: CsvReader,
    Format.JSONL: JsonReader,
    Format.NPY: ArrayReader,
    Format.PARQUET: ParquetReader,
}


def open_table(file: IO[bytes], name: str, format: Format | None = None, options: TableOptions | None = None) -> tuple[Reader, Format]:
    """Return a reader of the seekable file, and its format, which is recognized unless it is given. Raises InvalidFile."""
    format = format or recognize(file, name)
    file.seek(0)
    try:
        return _READERS[format](file, options or TableOptions()), format
    except InvalidFile as error:
        raise InvalidFile(f"{name}: {error.detail}", pointer=error.pointer) from None
