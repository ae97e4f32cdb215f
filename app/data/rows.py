"""The rows of a small table as records of Python values, for a sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any, Final

import pyarrow as pa

from app.core.errors import InvalidFile, InvalidInput
from app.core.models import TensorSpec
from app.core.tables import TableOptions
from app.core.tensors import TIMESTAMP
from app.core.values import RANGES, about, time_of
from app.data.cells import Cells, convert
from app.data.inference import infer
from app.data.lines import JsonReader
from app.data.row_batch import Reader
from app.data.tables import open_table

_ROWS: Final = 1 << 15


def inferred(
    file: IO[bytes],
    name: str,
    options: TableOptions,
    types: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Return records whose types follow from whole columns, unless `types` declares the datatype of a column.

    Timestamps are datetimes: of UTC in a column whose timestamps have an offset from UTC, else of the wall clock. Raises InvalidFile for the first bad row, InvalidInput for a column that does not exist.
    """
    reader = _opened(file, name, options)
    if not reader.rows:
        return []
    if isinstance(reader, JsonReader):
        reader.survey()
    parts = list(reader.read(0, reader.rows, list(reader.columns), _ROWS))
    bad = next((bad_row for part in parts for bad_row in part.bad), None)
    if bad is not None:
        raise InvalidFile(f"{name}, line {bad.line}: {bad.detail}")
    table = pa.concat_tables([part.table for part in parts])
    for column in types or ():
        if column not in table.column_names:
            raise InvalidInput(f"{name} has no column {column!r}, which is declared.", pointer="/sample")
    columns = {}
    for column in table.column_names:
        values = table[column].combine_chunks()
        spec = _spec(column, values, reader.cells, (types or {}).get(column))
        converted = convert(spec, values, reader.cells)
        if converted.wrong:
            at = min(converted.wrong)
            raise InvalidInput(f"{name}, row {at}: {about(column, converted.wrong[at])}", pointer="/sample")
        whole = spec.datatype in RANGES and converted.values.dtype.kind == "f"
        columns[column] = [
            None
            if gone
            else time_of(value, zoned=spec.zoned)
            if spec.datatype == TIMESTAMP
            else bool(value)
            if spec.datatype == "BOOL"
            else int(value)
            if whole
            else value
            for value, gone in zip(converted.values.tolist(), converted.missing.tolist(), strict=True)
        ]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _spec(column: str, values: Any, cells: Cells, declared: str | None) -> TensorSpec:
    """Return the declared type of a column, or the one that follows from its values, which also say whether timestamps have an offset."""
    if declared is None or declared == TIMESTAMP:
        spec = infer(column, values, cells)
        if declared in (None, spec.datatype):
            return spec
    return TensorSpec(column, str(declared), (-1,), nullable=True)


def _opened(file: IO[bytes], name: str, options: TableOptions) -> Reader:
    reader, _ = open_table(file, name, None, options)
    try:
        reader.look_through()
    except InvalidFile as error:
        raise InvalidFile(f"{name}: {error.detail}") from None
    return reader
