"""Converting inputs that a request gives by column, or as a data frame, to the tensors that a model declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.core.errors import InvalidInput, shown
from app.core.inputs import from_rows
from app.core.models import Manifest
from app.core.nested_lists import counted
from app.core.tensors import Tensor, is_binary


def from_columns(manifest: Manifest, columns: Any, pointer: str = "/inputs") -> list[Tensor]:
    """Convert `{column: [value of each row, …], …}`, or the values of the only input, to the model's tensors.

    Raises InvalidInput or InvalidTensor that names the field.

    Example:
        from_columns(manifest, {"height": [1, 3], "width": [2, 4]})
    """
    if not isinstance(columns, dict) or is_binary(columns):
        return from_rows(manifest, columns, pointer)
    only = manifest.inputs[0].name
    if len(manifest.inputs) == 1 and columns.keys() == {only}:
        return from_rows(manifest, columns[only], f"{pointer}/{only}")
    rows = None
    for name, values in columns.items():
        where = f"{pointer}/{name}"
        if not isinstance(values, list):
            raise InvalidInput(f"Column {shown(name)} must be a list with a value for each row, not {shown(values)}.", pointer=where)
        rows = len(values) if rows is None else rows
        if len(values) != rows:
            raise InvalidInput(f"Column {shown(name)} has {counted(len(values), 'value')}, and the first one has {rows}.", pointer=where)
    return from_rows(manifest, [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)], pointer)


def from_frame(manifest: Manifest, columns: Sequence[Any], rows: Sequence[Any], pointer: str) -> list[Tensor]:
    """Convert the columns and the rows of a data frame to the model's tensors.

    Columns match by name. They match by position if they are numbers, as pandas numbers them, or if the model has no names.

    Raises InvalidInput or InvalidTensor that names the row and the column.
    """
    if not all(isinstance(name, str | int) for name in columns):
        raise InvalidInput(f"The names of columns must be strings or integers, not {shown(columns)}.", pointer=f"{pointer}/columns")
    if len(set(columns)) != len(columns):
        raise InvalidInput("Two columns have the same name. Give each column a name of its own.", pointer=f"{pointer}/columns")
    for index, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            raise InvalidInput(
                f"Row {index} must be a list of {counted(len(columns), 'value')}, one for each column.", pointer=f"{pointer}/data/{index}"
            )
    numbered = all(isinstance(name, int) for name in columns)
    nameless = len(manifest.inputs) == 1 and len(manifest.inputs[0].shape) > 1 and not manifest.inputs[0].columns
    if numbered or nameless:
        return from_rows(manifest, list(rows), f"{pointer}/data")
    return from_rows(manifest, [dict(zip(map(str, columns), row, strict=True)) for row in rows], f"{pointer}/data")
