"""Predict the rows of a file of captured rows again, and compare the answers."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.core.errors import InvalidFile
from app.core.models import Manifest, TensorSpec
from app.core.shadows import Comparison
from app.core.tensors import Tensor
from app.data.features import class_names
from app.data.inputs import from_table
from app.runtime.arrays import Array, to_array, to_tensor

_MEDIA_TYPE: Final = "application/vnd.apache.parquet"
_RELATIVE, _ABSOLUTE = 1e-6, 1e-9
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
    outputs = predict(_inputs(table, manifest), tuple(captured))
    comparison, equal = Comparison(table.num_rows), np.ones(table.num_rows, bool)
    for output in outputs:
        after = to_array(output).reshape(table.num_rows, -1)
        before = np.column_stack(
            [_values(table[name], after.shape[1] if len(captured[output.name]) == 1 else 1) for name in captured[output.name]]
        )
        if before.shape != after.shape:
            equal[:] = False
            continue
        equal &= _agree(before, after, comparison).all(axis=1)
    comparison.agreed = int(equal.sum())
    return comparison


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
    lists = table[name].combine_chunks()
    values = lists.flatten().to_numpy(zero_copy_only=False)
    try:
        return to_tensor(spec, values.reshape(table.num_rows, *(size if size != -1 else -1 for size in spec.shape[1:])), table.num_rows)
    except ValueError:
        raise InvalidFile(f"Input {spec.name!r} was captured with another shape.") from None


def _values(column: Any, width: int) -> Array:
    column = column.combine_chunks()
    if pa.types.is_list(column.type):
        flat: Array = column.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(column), -1) if len(column) and len(flat) % len(column) == 0 else flat.reshape(-1, max(1, width))
    values: Array = column.to_numpy(zero_copy_only=False)
    return values.reshape(-1, 1)


def _agree(before: Array, after: Array, comparison: Comparison) -> Any:
    if before.dtype.kind == "f" and after.dtype.kind in "fiu":
        difference = np.abs(before - after)
        finite = difference[np.isfinite(difference)]
        comparison.largest = max(comparison.largest, float(finite.max()) if finite.size else 0.0)
        return np.isclose(before, after, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True)
    if before.dtype.kind in "iub" and after.dtype.kind in "iub" and before.size:
        comparison.largest = max(comparison.largest, float(np.abs(before.astype(np.float64) - after.astype(np.float64)).max()))
    texts = [np.array([str(value)[:64] for value in side.ravel().tolist()], object).reshape(side.shape) for side in (before, after)]
    if before.shape[1] == 1:
        comparison.answers.update(Counter(zip(texts[0].ravel().tolist(), texts[1].ravel().tolist(), strict=True)))
    return texts[0] == texts[1]
