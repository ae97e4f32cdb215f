"""Predict the rows of a file of captured rows again, and compare the answers."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.core import shadows
from app.core.errors import InvalidFile, InvalidOutput
from app.core.models import Manifest, TensorSpec
from app.core.shadows import Comparison
from app.core.tensors import Tensor
from app.data.features import class_names
from app.data.inputs import from_table
from app.runtime.arrays import Array, to_tensor

_MEDIA_TYPE: Final = "application/vnd.apache.parquet"
Predict = Callable[[Sequence[Tensor], tuple[str, ...]], list[Tensor]]


def rows_between(content: bytes, since: float, until: float, most: int) -> pa.Table:
    """Return the first rows of a file that were answered in a period, in seconds since 1970."""
    table = pq.read_table(pa.BufferReader(content))
    times = table["time"].cast(pa.int64())
    wanted = pc.and_(pc.greater_equal(times, int(since * 1e6)), pc.less(times, int(until * 1e6)))
    return table.filter(wanted).slice(0, most)


def compare(table: pa.Table, manifest: Manifest, predict: Predict) -> Comparison:
    """Predict captured rows again, and compare what is captured of the outputs.

    Args:
        table: The rows.
        manifest: The version that predicts.
        predict: Calls it with inputs and the names of outputs.

    Raises:
        InvalidFile: The inputs or outputs were not captured, or the version does not take them.
        CeleriacError: The version cannot answer the rows.
    """
    captured = {spec.name: names for spec in manifest.outputs if (names := _names(manifest, spec, table.column_names))}
    if not captured:
        raise InvalidFile("The outputs of these rows are not captured, or the version has none of them.")
    before = [_tensor(spec, table, captured[spec.name]) for spec in manifest.outputs if spec.name in captured]
    return shadows.compare(before, predict(_inputs(table, manifest), tuple(captured)))


def _names(manifest: Manifest, spec: TensorSpec, there: Sequence[str]) -> list[str]:
    """Return the columns that hold an output, or an empty list."""
    classes = [f"outputs.{name}" for name in class_names(manifest, spec.name, len(manifest.classes))]
    for names in ([f"outputs.{spec.name}"], classes):
        if names and set(names) <= set(there):
            return names
    return []


def _inputs(table: pa.Table, manifest: Manifest) -> list[Tensor]:
    names = [name for name in table.column_names if name.startswith("inputs.")]
    if not names:
        raise InvalidFile("The inputs of these rows are not captured.")
    tensors = {spec.name: tensor for spec in manifest.inputs if (tensor := _listed(spec, table)) is not None}
    others = tuple(spec for spec in manifest.inputs if spec.name not in tensors)
    if others:
        file = io.BytesIO()
        columns = table.select([name for name in names if name.removeprefix("inputs.") not in tensors])
        pq.write_table(columns.rename_columns([name.removeprefix("inputs.") for name in columns.column_names]), file)
        described = replace(manifest, inputs=others, golden=None, profile=None, capture=None)
        taken = [name for spec in others for name in spec.columns or (spec.name,)]
        tensors |= {tensor.name: tensor for tensor in from_table(file.getvalue(), _MEDIA_TYPE, {}, taken, described)}
    return [tensors[spec.name] for spec in manifest.inputs]


def _listed(spec: TensorSpec, table: pa.Table) -> Tensor | None:
    """Return an input that was captured as a list in each row, or None."""
    name = f"inputs.{spec.name}"
    if name not in table.column_names or not pa.types.is_list(table[name].type):
        return None
    return _tensor(spec, table, [name])


def _tensor(spec: TensorSpec, table: pa.Table, names: Sequence[str]) -> Tensor:
    """Return the tensor that columns hold: its values, lists of them, or one column for each value of a row."""
    columns = [_flat(table[name].combine_chunks()) for name in names]
    values = np.column_stack(columns) if len(columns) > 1 else columns[0]
    try:
        return to_tensor(spec, values.reshape(table.num_rows, *spec.shape[1:]), table.num_rows)
    except (ValueError, InvalidOutput):
        raise InvalidFile(f"{spec.name!r} was captured with another type or shape than the version has.") from None


def _flat(column: Any) -> Array:
    values: Array = (column.flatten() if pa.types.is_list(column.type) else column).to_numpy(zero_copy_only=False)
    return values
