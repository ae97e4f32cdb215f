"""Table that a training learns from, completely in memory: numbers as float, categories as text."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, Final, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from app.core.errors import InvalidFile, InvalidInput
from app.core.models import TensorSpec
from app.core.tables import TableOptions
from app.core.trainers import Kind
from app.core.values import about
from app.data.cells import ARROW, Cells, Column, convert
from app.data.delimited import INDEX
from app.data.inference import infer
from app.data.lines import JsonReader
from app.data.tables import open_table
from app.runtime.arrays import Array
from app.store import sources

_SHOWN: Final = 20
_ROWS: Final = 1 << 16
_INDEX: Final = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True, slots=True)
class Dataset:
    """Rows and target of a training. `sha256` is that of the file."""

    rows: pd.DataFrame
    target: Array
    sha256: str

    @property
    def columns(self) -> list[str]:
        """Return the names of the columns."""
        return [str(name) for name in self.rows]


def load(named: str, target: str, columns: Sequence[str], kind: Kind, options: TableOptions | None = None) -> Dataset:
    """Read an upload, a path or a URL in any format that a batch reads. Raises InvalidInput or FileNotFound."""
    source = sources.parse(named, "/dataset")
    with sources.reading(source, "/dataset") as file:
        return read(file, source.name, target, columns, kind, options)


def read(file: IO[bytes], name: str, target: str, columns: Sequence[str], kind: Kind, options: TableOptions | None = None) -> Dataset:
    """Read a seekable file. Raises InvalidInput with the reason."""
    before = _stamp(file)
    # Read twice from one open file, so that the digest is that of the training data.
    digest = hashlib.file_digest(cast(Any, file), "sha256").hexdigest()
    file.seek(0)
    failure = None
    try:
        table, cells = _table(file, name, options or TableOptions())
    except InvalidInput as error:
        failure = error
    if _stamp(file) != before:
        raise InvalidInput(f"{name} was changed while it was read. Train again when it is complete.", pointer="/dataset")
    if failure is not None:
        raise failure
    return choose(table, name, target, columns, kind, digest, cells)


def choose(table: pa.Table, name: str, target: str, columns: Sequence[str], kind: Kind, digest: str, cells: Cells = ARROW) -> Dataset:
    """Select the target and the columns to learn from. Raises InvalidInput."""
    names = table.column_names
    if target not in names:
        raise InvalidInput(f"{name} has no column {target!r}. Columns: {_listed(names)}.", pointer="/target")
    for column in columns:
        if column not in names:
            raise InvalidInput(f"{name} has no column {column!r}. Columns: {_listed(names)}.", pointer="/columns")
    # An index is not a feature: pandas writes it without a name, or as __index_level_0__.
    taken = list(columns) or [column for column in names if column != target and column != INDEX and not _INDEX.fullmatch(column)]
    if not taken:
        raise InvalidInput(f"{name} has no column other than the target {target!r}.", pointer="/dataset")
    if not table.num_rows:
        raise InvalidInput(f"{name} has no rows.", pointer="/dataset")
    features = {column: _feature(table[column].combine_chunks(), column, cells) for column in taken}
    # pandas would make text a type of its own, and callers' rows come as objects.
    rows = pd.DataFrame({column: pd.Series(values, dtype=values.dtype) for column, values in features.items()})
    return Dataset(rows, _target(table[target].combine_chunks(), target, kind, cells), digest)


def _stamp(file: IO[bytes]) -> tuple[int, int]:
    """Return a stamp that changes when the file does. A remote store gives each reader one version."""
    try:
        status = os.fstat(file.fileno())
    except (OSError, AttributeError):
        return 0, 0
    return status.st_mtime_ns, status.st_size


def _table(file: IO[bytes], name: str, options: TableOptions) -> tuple[pa.Table, Cells]:
    """Return all columns of the file. Raises InvalidInput also for an unreadable row, because a training must not use only part of a file."""
    try:
        reader, _ = open_table(file, name, None, options)
        reader.look_through()
        if isinstance(reader, JsonReader):  # rows may differ in their columns
            reader.survey()
        parts = list(reader.read(0, reader.rows, list(reader.columns), _ROWS)) if reader.rows else []
    except InvalidFile as error:
        raise InvalidInput(error.detail if error.detail.startswith(name) else f"{name}: {error.detail}", pointer="/dataset") from None
    bad = next((row for part in parts for row in part.bad), None)
    if bad is not None:
        raise InvalidInput(f"{name}, line {bad.line}: {bad.detail}", pointer="/dataset")
    schema = pa.schema(list(reader.columns.items()))
    return (pa.concat_tables([part.table for part in parts]) if parts else schema.empty_table()), reader.cells


def _feature(column: Any, name: str, cells: Cells) -> Array:
    """Return numbers and Boolean values as float, text as objects with NaN for missing values. Raises InvalidInput."""
    spec = infer(name, column, cells)
    if spec.datatype == "TIMESTAMP":
        detail = (
            f"Column {name!r} holds dates or times, which trainers do not take. Convert it to numbers or text, or omit it with columns."
        )
        raise InvalidInput(detail, pointer="/columns")
    converted = _converted(spec, column, name, cells, "/columns")
    if spec.datatype == "BYTES":
        texts: Array = converted.values.astype(object)
        texts[converted.missing] = np.nan
        return texts
    return _floats(converted)


def _target(column: Any, name: str, kind: Kind, cells: Cells) -> Array:
    spec = infer(name, column, cells)
    text, number = spec.datatype == "BYTES", spec.datatype not in ("BYTES", "TIMESTAMP")
    if not number and (kind is Kind.REGRESSOR or not text):
        wanted = "a regressor learns numbers" if kind is Kind.REGRESSOR else "classes are text or whole numbers"
        raise InvalidInput(f"Target {name!r} holds {'text' if text else 'dates or times'}, but {wanted}.", pointer="/target")
    converted = _converted(spec, column, name, cells, "/target")
    if converted.missing.any():
        row = int(np.flatnonzero(converted.missing)[0]) + 1
        detail = f"Target {name!r} has no value in {converted.missing.sum()} rows, the first of which is row {row}. Remove these rows."
        raise InvalidInput(detail, pointer="/target")
    if text:
        return converted.values.astype(str)
    if kind is Kind.REGRESSOR or spec.datatype in ("INT64", "UINT64"):
        return _floats(converted) if kind is Kind.REGRESSOR else converted.values
    values = _floats(converted)
    if (values != np.floor(values)).any():
        raise InvalidInput(f"Target {name!r} holds fractions, but classes are text or whole numbers. Use a regressor.", pointer="/target")
    return values.astype(np.int64)


def _converted(spec: TensorSpec, column: Any, name: str, cells: Cells, pointer: str) -> Column:
    """Convert a column. Raises InvalidInput for the first value that does not fit, such as infinity or a list."""
    converted = convert(spec, column, cells)
    if converted.wrong:
        at = min(converted.wrong)
        raise InvalidInput(
            f"{about(name, converted.wrong[at])[:-1]} (row {at + 1}). Remove the value, or omit the column with columns.", pointer=pointer
        )
    return converted


def _floats(column: Column) -> Array:
    values = column.values.astype(np.float64)
    values[column.missing] = np.nan
    return values


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:_SHOWN])) or "none"
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
