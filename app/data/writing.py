"""Parts of an output, each complete or absent, and how to join them in order."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from typing import IO, Any, Final, Literal, Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from app.core.errors import InvalidInput
from app.core.tensors import as_json
from app.data.formats import Format
from app.data.lines import JSON

_GROUP_ROWS: Final = 1 << 17
_GROUP_BYTES: Final = 32 << 20
_ROWS: Final = 1 << 14


class Writer(Protocol):
    """Writes predictions to a file."""

    def write(self, table: pa.Table) -> None:
        """Write the next rows. All tables have the same columns."""
        ...


@contextlib.contextmanager
def writing(file: IO[bytes], format: Format, columns: dict[str, pa.DataType], *, json: bool = False) -> Iterator[Writer]:
    """Write rows of these columns; the file is complete when the block has ended.

    `json`: write columns of the type `app.data.lines.JSON` to JSONL as raw JSON. The columns of JSONL may change from write to write.
    """
    schema = pa.schema(list(columns.items()))
    if format is Format.PARQUET:
        with pq.ParquetWriter(file, schema) as parquet:
            grouped = _Grouped(parquet)
            yield grouped
            grouped.flush()
    elif format is Format.CSV:
        with arrow_csv.CSVWriter(file, schema, write_options=arrow_csv.WriteOptions(quoting_style="needed")) as comma:
            yield comma
    elif format is Format.JSONL:
        yield _Lines(file, json=json)
    else:
        array = _Array(file, columns)
        yield array
        array.finish()


def check_columns(format: Format, columns: dict[str, pa.DataType]) -> None:
    """Raise InvalidInput if the format cannot hold such columns."""
    for name, kind in columns.items():
        if format is Format.CSV and (not _is_one_text(kind) or "\n" in name):
            message = f"CSV cannot hold the column {name!r} of type {kind}"
            raise InvalidInput(
                f"{message}. Write Parquet or JSONL, or set keep to the columns to carry, without this one.", pointer="/keep"
            )
        number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
        if format is Format.NPY and not number:
            raise InvalidInput(
                f"The column {name!r} holds {kind}, and NPY holds numbers only. Set output to parquet, jsonl or csv.", pointer="/output"
            )


def _is_one_text(kind: pa.DataType) -> bool:
    """Return whether Arrow writes every value of this type as the text of a cell."""
    types, value = pa.types, kind.value_type if pa.types.is_dictionary(kind) else kind
    texts = types.is_string(value) or types.is_large_string(value)
    return bool(texts or types.is_primitive(value) or types.is_decimal(value) or types.is_null(value))


class Part(Protocol):
    """A part: a path or an object."""

    def open(self, mode: Literal["rb"], /) -> IO[bytes]:
        """Open the part as a seekable file."""
        ...


def join(parts: Sequence[Part], file: IO[bytes], format: Format) -> None:
    """Join the parts, in this order, into one file. Memory use does not depend on their size."""
    if format is Format.PARQUET:
        _join_parquet(parts, file)
    elif format is Format.NPY:
        _join_arrays(parts, file)
    else:
        for at, part in enumerate(parts):
            with part.open("rb") as source:
                if at and format is Format.CSV:
                    source.readline()  # the header: no name contains a line break, see `CsvReader`
                shutil.copyfileobj(source, file, 1 << 20)


class _Grouped:
    """Collects rows into row groups of a size that is efficient to read."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._waiting: list[pa.Table] = []
        self._rows = self._bytes = 0

    def write(self, table: pa.Table) -> None:
        self._waiting.append(table)
        self._rows, self._bytes = self._rows + table.num_rows, self._bytes + table.nbytes
        if self._rows >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting))
        self._waiting, self._rows, self._bytes = [], 0, 0


class _Lines:
    """Writes one object per line."""

    def __init__(self, file: IO[bytes], *, json: bool) -> None:
        self._file, self._json = file, json

    def write(self, table: pa.Table) -> None:
        raw = [field.name for field in table.schema if self._json and field.type == JSON]
        for batch in table.to_batches(_ROWS):
            self._file.write(b"".join(_line(_verbatim(row, raw)) for row in batch.to_pylist()))


class _Array:
    """Writes the columns as one array; a single column makes a one-dimensional array."""

    def __init__(self, file: IO[bytes], columns: dict[str, pa.DataType]) -> None:
        self._file = file
        self._names = list(columns)
        self._dtype = np.result_type(*(kind.to_pandas_dtype() for kind in columns.values())).newbyteorder("<")
        self._rows = 0
        self.finish()

    def write(self, table: pa.Table) -> None:
        values = np.column_stack([table[name].to_numpy() for name in self._names])
        self._file.write(np.ascontiguousarray(values, self._dtype).tobytes())
        self._rows += len(values)

    def finish(self) -> None:
        """Write the header. NumPy reserves space in it for any number of rows."""
        shape = (self._rows,) if len(self._names) == 1 else (self._rows, len(self._names))
        at = self._file.tell() if self._rows else 0
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(self._file, _header(shape, self._dtype))
        self._file.seek(max(at, self._file.tell()))


def _join_parquet(parts: Sequence[Part], file: IO[bytes]) -> None:
    with parts[0].open("rb") as first:
        columns = {field.name: field.type for field in pq.read_schema(first)}
    with writing(file, Format.PARQUET, columns) as writer:
        for part in parts:
            with part.open("rb") as opened, pq.ParquetFile(opened, pre_buffer=False, buffer_size=1 << 20) as source:
                for batch in source.iter_batches(_ROWS, use_threads=False):
                    writer.write(pa.table(batch))


def _join_arrays(parts: Sequence[Part], file: IO[bytes]) -> None:
    rows, dtype = 0, np.dtype(float)
    shape: tuple[int, ...] = (0,)
    for part in parts:
        with part.open("rb") as source:
            np.lib.format.read_magic(source)
            shape, _, dtype = np.lib.format.read_array_header_1_0(source)
            rows += shape[0]
    np.lib.format.write_array_header_1_0(file, _header((rows, *shape[1:]), dtype))
    for part in parts:
        with part.open("rb") as source:
            np.lib.format.read_magic(source)
            np.lib.format.read_array_header_1_0(source)
            shutil.copyfileobj(source, file, 1 << 20)


def _header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> dict[str, Any]:
    return {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}


def _verbatim(row: dict[str, Any], raw: Sequence[str]) -> dict[str, Any]:
    """Return the row with raw JSON values, without the missing ones."""
    for name in raw:
        value = row.pop(name) if row[name] is None else row[name]
        if value is not None:
            row[name] = orjson.Fragment(value)
    return row


def _line(row: dict[str, Any]) -> bytes:
    return orjson.dumps(row, default=_as_json, option=orjson.OPT_APPEND_NEWLINE)


def _as_json(value: Any) -> Any:
    """Return bytes as `as_json` encodes them, and values that JSON has no type for as text."""
    return as_json(value) if isinstance(value, bytes) else str(value)
