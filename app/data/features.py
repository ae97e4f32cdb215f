"""Convert columns to the tensors that a model takes, and its outputs to columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from app.core.models import Manifest, TensorSpec
from app.core.tensors import Tensor, encode
from app.core.values import RANGES, about
from app.data.cells import Array, Column, convert
from app.data.columns import Binding
from app.data.json_column import from_json
from app.data.row_batch import INVALID, BadRow, RowBatch
from app.runtime.arrays import to_array


def to_inputs(manifest: Manifest, binding: Binding, batch: RowBatch) -> tuple[list[Tensor], RowBatch]:
    """Return the inputs of the rows that the model can take, and the batch with those rows only; the others become its bad rows."""
    wrong, bad = np.zeros(batch.table.num_rows, bool), list[BadRow]()
    inputs = []
    for spec, names in zip(manifest.inputs, binding.inputs, strict=True):
        columns = []
        for name in names:
            column = convert(spec, batch.table[name].combine_chunks(), batch.cells)
            why = dict.fromkeys(_refused(spec, column), f"{name!r} is missing, and the model takes no missing values")
            why |= {at: about(name, reason) for at, reason in column.wrong.items()}
            for at in sorted(why):
                if not wrong[at]:
                    row = int(batch.rows[at])
                    bad.append(BadRow(row, INVALID, why[at], batch.line_of(row)))
                    wrong[at] = True
            columns.append(column.values)
        inputs.append(columns)
    if bad:
        batch = batch.without(wrong, bad)
        inputs = [[values[~wrong] for values in columns] for columns in inputs]
    return [_tensor(spec, columns) for spec, columns in zip(manifest.inputs, inputs, strict=True)], batch


def _refused(spec: TensorSpec, column: Column) -> list[int]:
    """The missing values of an input that takes none."""
    return [] if spec.nullable else np.flatnonzero(column.missing).tolist()


def carried(table: pa.Table, binding: Binding, types: Mapping[str, str]) -> dict[str, Any]:
    """The columns that the model does not read, unchanged; columns of JSONL are converted to the types in `types`."""
    taken = set(binding.taken)
    names = [name for name in table.column_names if name not in taken] if binding.rest else binding.keep
    return {
        name: from_json(table[name].combine_chunks(), pa.type_for_alias(types[name])) if name in types else table[name] for name in names
    }


def to_columns(manifest: Manifest, output: Tensor) -> dict[str, Any]:
    """Return one column with the name of the method, or one for each class or position."""
    values = to_array(output)
    if values.ndim == 1:
        return {output.name: pa.array(values)}
    flat = values.reshape(len(values), -1)
    names = class_names(manifest, output.name, flat.shape[1]) or [f"{output.name}_{at}" for at in range(flat.shape[1])]
    return {name: pa.array(np.ascontiguousarray(flat[:, at])) for at, name in enumerate(names)}


def class_names(manifest: Manifest, method: str, width: int) -> list[str]:
    """Return the name of each column of an output whose columns are classes; [] for another output."""
    of_classes = method in ("predict_proba", "decision_function") and len(manifest.classes) == width
    return [f"{method}_{name}" for name in manifest.classes] if of_classes else []


def _tensor(spec: TensorSpec, columns: list[Array]) -> Tensor:
    rows = len(columns[0])
    shape = (rows, *((len(columns),) if -1 in spec.shape[1:] else spec.shape[1:]))
    if spec.datatype == "BYTES":
        values: list[Any] = np.column_stack(columns).ravel().tolist()
        return Tensor(spec.name, "BYTES", shape, encode(values, "BYTES", nullable=True))
    floats = spec.datatype in RANGES and any(values.dtype.kind == "f" for values in columns)  # some are missing
    dtype = np.float64 if floats else columns[0].dtype
    array = np.ascontiguousarray(np.column_stack(columns) if len(columns) > 1 else columns[0], dtype)
    # An empty view cannot be cast.
    return Tensor(spec.name, "FP64" if floats else spec.datatype, shape, memoryview(array.view("u1").data).cast("B") if array.size else b"")
