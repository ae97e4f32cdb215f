"""Captured jobs as Parquet: one row for each row of a job, and one column for each feature and output, typed by the signature.

Columns are `job`, `row`, `owner`, `version` and `time`, then `inputs.NAME` and `outputs.NAME`. Tensors of several dimensions without names are lists.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.core.captured_jobs import CapturedJob, CapturedVersion
from app.core.models import Manifest
from app.core.stacking import concatenate
from app.core.tensors import Tensor, size_of
from app.data.features import class_names
from app.runtime.arrays import Array, to_array

_TIME: Final = pa.timestamp("us", tz="UTC")


class Files(Protocol):
    """Where the files go."""

    def write(self, model: str, version: str, hour: datetime, rows: int, expires_at: int, content: bytes) -> None:
        """Write the rows of an hour."""
        ...


def write(captured: CapturedVersion, files: Files) -> None:
    """Write the captured jobs of a version, one file for each hour in which they were answered. Raises the errors of `files`."""
    manifest, hours = captured.manifest, dict[datetime, list[CapturedJob]]()
    assert manifest.capture is not None
    for job in captured.jobs:
        hour = datetime.fromtimestamp(job.answered_at, UTC).replace(minute=0, second=0, microsecond=0)
        hours.setdefault(hour, []).append(job)
    for hour, jobs in hours.items():
        expires_at = int(hour.timestamp()) + 3600 + manifest.capture.keep_s
        files.write(*manifest.key, hour, sum(job.rows for job in jobs), expires_at, encode(manifest, jobs))


def encode(manifest: Manifest, jobs: Sequence[CapturedJob]) -> bytes:
    """Return a Parquet file of jobs of a version, without the columns that its manifest redacts."""
    alike: dict[tuple[Any, ...], list[CapturedJob]] = {}
    for job in jobs:
        layout = tuple((tensor.name, tensor.datatype, tensor.shape[1:]) for tensor in (*job.inputs, *job.outputs))
        alike.setdefault((len(job.inputs), *layout), []).append(job)
    tables = [_table(manifest, same) for same in alike.values()]
    return _parquet(pa.concat_tables(tables, promote_options="permissive"))


def without_owner(content: bytes, owner: str) -> tuple[bytes | None, int]:
    """Return a file without the rows of an owner, None if no row is left, and how many rows were removed."""
    table = pq.read_table(pa.BufferReader(content))
    kept = table.filter(pc.not_equal(table["owner"], owner))
    return (_parquet(kept) if kept.num_rows else None), table.num_rows - kept.num_rows


def _parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def _table(manifest: Manifest, jobs: Sequence[CapturedJob]) -> pa.Table:
    """Return the rows of jobs whose tensors have the same names, types and shapes."""
    rows = np.array([job.rows for job in jobs])
    times = (np.array([job.answered_at for job in jobs]) * 1e6).astype(np.int64)
    columns: dict[str, Any] = {
        "job": pa.array(np.repeat([job.id for job in jobs], rows)),
        "row": pa.array(np.concatenate([np.arange(count, dtype=np.int32) for count in rows])),
        "owner": pa.array(np.repeat([job.owner for job in jobs], rows)),
        "version": pa.array([manifest.version] * int(rows.sum())),
        "time": pa.array(np.repeat(times, rows)).cast(_TIME),
    }
    specs = {spec.name: spec for spec in manifest.inputs}
    for tensor in concatenate([job.inputs for job in jobs]):
        columns |= _columns("inputs", tensor, manifest, specs[tensor.name].columns if tensor.name in specs else ())
    for tensor in concatenate([job.outputs for job in jobs]):
        columns |= _columns("outputs", tensor, manifest, class_names(manifest, tensor.name, size_of(tensor.shape[1:])))
    return pa.table(columns)


def _columns(side: str, tensor: Tensor, manifest: Manifest, names: Sequence[str]) -> dict[str, Any]:
    """Return a column for each name if the tensor has as many values in a row, else one column of the whole tensor."""
    assert manifest.capture is not None
    values = to_array(tensor)
    if values.ndim == 1:
        return {f"{side}.{tensor.name}": _array(values)}
    flat = values.reshape(len(values), -1)
    if len(names) == flat.shape[1]:
        kept = [(at, name) for at, name in enumerate(names) if name not in manifest.capture.redact]
        return {f"{side}.{name}": _array(flat[:, at]) for at, name in kept}
    if set(names) & set(manifest.capture.redact):
        return {}  # it is not clear which values they are
    offsets = np.arange(len(flat) + 1, dtype=np.int32) * flat.shape[1]
    return {f"{side}.{tensor.name}": pa.ListArray.from_arrays(pa.array(offsets), _array(flat.ravel()))}


def _array(values: Array) -> Any:
    """Return the values of a column. NaN in text and truths means a missing value."""
    if values.dtype != object:
        return pa.array(np.ascontiguousarray(values))
    listed: Iterable[Any] = values.tolist()
    if any(isinstance(value, bytes) for value in listed):
        return pa.array([None if value != value else value for value in listed], pa.binary())
    return pa.array(listed, from_pandas=True)
