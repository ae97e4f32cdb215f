"""The rows of a small table as records of JSON values, for a sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import IO, Any, Final

import pyarrow as pa

from app.core.errors import InvalidFile, InvalidInput
from app.core.models import TensorSpec
from app.core.tables import TableOptions
from app.core.tensors import TIMESTAMP
from app.core.values import RANGES, about, timestamp_text
from app.data.cells import convert
from app.data.inference import infer
from app.data.lines import JsonReader
from app.data.row_batch import Reader
from app.data.tables import open_table

_ROWS: Final = 1 << 15


def inferred(
    file: IO[bytes],
    name: str,
    options: TableOptions,
    times: Callable[[int], Any] = timestamp_text,
    types: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Return records whose types follow from whole columns, unless `types` declares the datatype of a column.

    `times` makes a timestamp of microseconds. Raises InvalidFile for the first bad row, InvalidInput for a column that does not exist.
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
        declared = (types or {}).get(column)
        spec = TensorSpec(column, declared, (-1,), nullable=True) if declared else infer(column, values, reader.cells)
        converted = convert(spec, values, reader.cells)
        if converted.wrong:
            at = min(converted.wrong)
            raise InvalidInput(f"{name}, row {at}: {about(column, converted.wrong[at])}", pointer="/sample")
        whole = spec.datatype in RANGES and converted.values.dtype.kind == "f"
        columns[column] = [
            None
            if gone
            else times(value)
            if spec.datatype == TIMESTAMP
            else bool(value)
            if spec.datatype == "BOOL"
            else int(value)
            if whole
            else value
            for value, gone in zip(converted.values.tolist(), converted.missing.tolist(), strict=True)
        ]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _opened(file: IO[bytes], name: str, options: TableOptions) -> Reader:
    reader, _ = open_table(file, name, None, options)
    try:
        reader.look_through()
    except InvalidFile as error:
        raise InvalidFile(f"{name}: {error.detail}") from None
    return reader
