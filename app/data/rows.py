"""The rows of a small table as JSON types: for a request, or for a sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa

from app.core.errors import InvalidFile, InvalidInput
from app.core.models import Manifest, TensorSpec
from app.core.tables import TableOptions
from app.core.tensors import TIMESTAMP, Tensor, as_json, decode, size_of
from app.core.values import NO_TIME, RANGES, about, timestamp_text
from app.data.cells import convert
from app.data.columns import bind
from app.data.features import to_inputs
from app.data.inference import infer
from app.data.lines import JsonReader
from app.data.row_batch import Reader
from app.data.tables import open_table

_ROWS: Final = 1 << 15


def declared(file: IO[bytes], name: str, manifest: Manifest, options: TableOptions) -> list[Any]:
    """The rows as lists in the order of the model's inputs, or as single values if it takes one. Raises InvalidFile or InvalidInput for the first bad row."""
    reader = _opened(file, name, options)
    if not reader.rows:
        return []
    if isinstance(reader, JsonReader):
        reader.survey()
    binding = bind(manifest, reader, None, None)
    found: list[Any] = []
    for part in reader.read(0, reader.rows, binding.columns, _ROWS):
        inputs, good = to_inputs(manifest, binding, part)
        if good.bad:
            first = min(good.bad, key=lambda bad: bad.row)
            raise InvalidFile(f"{name}, {f'line {first.line}' if first.line else f'row {first.row}'}: {first.detail}")
        columns = [_values(spec, tensor) for spec, tensor in zip(manifest.inputs, inputs, strict=True)]
        found += columns[0] if len(columns) == 1 else map(list, zip(*columns, strict=True))
    return found


def inferred(
    file: IO[bytes],
    name: str,
    options: TableOptions,
    times: Callable[[int], Any] = timestamp_text,
    types: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Records whose types follow from whole columns, unless `types` declares the datatype of a column.

    `times` makes a timestamp of microseconds. Raises InvalidFile for the first bad row, InvalidInput for a column that is not there.
    """
    reader = _opened(file, name, options)
    if not reader.rows:
        return []
    if isinstance(reader, JsonReader):
        reader.survey()
    parts = list(reader.read(0, reader.rows, list(reader.columns), _ROWS))
    bad = next((one for part in parts for one in part.bad), None)
    if bad is not None:
        raise InvalidFile(f"{name}, line {bad.line}: {bad.detail}")
    table = pa.concat_tables([part.table for part in parts])
    for column in types or ():
        if column not in table.column_names:
            raise InvalidInput(f"{name} has no column {column!r}, which is declared", pointer="/sample")
    columns = {}
    for column in table.column_names:
        values = table[column].combine_chunks()
        declared = (types or {}).get(column)
        spec = TensorSpec(column, declared, (-1,), nullable=True) if declared else infer(column, values, reader.cells)
        found = convert(spec, values, reader.cells)
        if found.wrong:
            at = min(found.wrong)
            raise InvalidInput(f"{name}, row {at}: {about(column, found.wrong[at])}", pointer="/sample")
        whole = spec.datatype in RANGES and found.values.dtype.kind == "f"
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
            for value, gone in zip(found.values.tolist(), found.missing.tolist(), strict=True)
        ]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _opened(file: IO[bytes], name: str, options: TableOptions) -> Reader:
    reader, _ = open_table(file, name, None, options)
    try:
        reader.look_through()
    except InvalidFile as error:
        raise InvalidFile(f"{name}: {error.detail}") from None
    return reader


def _values(spec: TensorSpec, tensor: Tensor) -> list[Any]:
    """One value a row, or a nested list."""
    if tensor.datatype == TIMESTAMP:
        zone = "Z" if spec.zoned else ""
        times = np.frombuffer(tensor.data, "<i8").tolist()
        flat: list[Any] = [None if time == NO_TIME else timestamp_text(time) + zone for time in times]
    else:
        flat = [None if value != value else as_json(value) for value in decode(tensor.data, tensor.datatype)]
    return _nested(flat, tensor.shape)


def _nested(flat: list[Any], shape: tuple[int, ...]) -> list[Any]:
    if len(shape) == 1:
        return flat
    step = size_of(shape[1:])
    return [_nested(flat[at : at + step], shape[1:]) for at in range(0, shape[0] * step, step)]
