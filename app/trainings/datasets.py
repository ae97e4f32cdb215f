"""The table that a training learns from, whole in memory: numbers as float, categories as text."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, Final, cast

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv, parquet

from app.core.errors import InvalidInput
from app.core.trainers import Kind
from app.runtime.arrays import Array
from app.store import sources

_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Dataset:
    """`sha256` is of the file."""

    rows: pd.DataFrame
    target: Array
    sha256: str

    @property
    def columns(self) -> list[str]:
        return [str(name) for name in self.rows]


def load(named: str, target: str, columns: Sequence[str], kind: Kind) -> Dataset:
    """The file of an upload, a path or a URL: CSV or, by its content, Parquet. Raises InvalidInput or FileNotFound."""
    source = sources.parse(named, "/dataset")
    with sources.reading(source, "/dataset") as file:
        return read(file, source.name, target, columns, kind)


def read(file: IO[bytes], name: str, target: str, columns: Sequence[str], kind: Kind) -> Dataset:
    """The file, which may be sought in. Raises InvalidInput that names what is wrong."""
    before = _stamp(file)
    # Read twice from one open file, so that what was hashed is what is learned from.
    digest = hashlib.file_digest(cast(Any, file), "sha256").hexdigest()
    file.seek(0)
    table = _table(file, name)
    if _stamp(file) != before:
        raise InvalidInput(f"{name} was changed while it was read: train again when it is whole", pointer="/dataset")
    return choose(table, name, target, columns, kind, digest)


def choose(table: pa.Table, name: str, target: str, columns: Sequence[str], kind: Kind, digest: str) -> Dataset:
    """The target and the columns to learn from. Raises InvalidInput."""
    there = table.column_names
    twice = sorted({column for column in there if there.count(column) > 1})
    if twice:
        raise InvalidInput(f"{name} has more than one column {twice[0]!r}: rename one", pointer="/dataset")
    if target not in there:
        raise InvalidInput(f"{name} has no column {target!r}; it has {_listed(there)}", pointer="/target")
    for column in columns:
        if column not in there:
            raise InvalidInput(f"{name} has no column {column!r}; it has {_listed(there)}", pointer="/columns")
    taken = list(columns) or [column for column in there if column != target]
    if not taken:
        raise InvalidInput(f"{name} has no column beside the target {target!r}", pointer="/dataset")
    if not table.num_rows:
        raise InvalidInput(f"{name} has no rows", pointer="/dataset")
    features = {column: _feature(table.column(column), column) for column in taken}
    # pandas would make text a type of its own, and callers' rows come as objects.
    rows = pd.DataFrame({column: pd.Series(values, dtype=values.dtype) for column, values in features.items()})
    return Dataset(rows, _target(table.column(target), target, kind), digest)


def _stamp(file: IO[bytes]) -> tuple[int, int]:
    """Changes when the file does; a remote store gives each reader one version."""
    try:
        found = os.fstat(file.fileno())
    except (OSError, AttributeError):
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _table(file: IO[bytes], name: str) -> pa.Table:
    # Not by `app.data`, which reads what a model's signature says: here the types are yet to be found out.
    head = file.read(4)
    file.seek(0)
    if not head:
        raise InvalidInput(f"{name} is empty", pointer="/dataset")
    if b"\0" in head:
        raise InvalidInput(f"{name} is neither Parquet nor text in UTF-8: save it as CSV in UTF-8", pointer="/dataset")
    try:
        if head == b"PAR1":
            return parquet.read_table(file)
        table = csv.read_csv(file, convert_options=csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False))
    except pa.ArrowMemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        kind = "Parquet" if head == b"PAR1" else "CSV in UTF-8"
        raise InvalidInput(f"{name} cannot be read as {kind}: {str(error)[:500]}", pointer="/dataset") from None
    try:
        names = table.column_names
    except UnicodeDecodeError:
        raise InvalidInput(f"the names of the columns of {name} are not UTF-8: save the file in UTF-8", pointer="/dataset") from None
    for title, column in zip(names, table.columns, strict=True):
        if pa.types.is_binary(column.type):
            raise InvalidInput(f"the column {title!r} of {name} is not UTF-8: save the file in UTF-8", pointer="/dataset")
    return table


def _feature(column: pa.ChunkedArray, name: str) -> Array:
    column = _plain(column)
    if _is_number(column.type):
        numbers = _numbers(column)
        if np.isinf(numbers).any():
            row = int(np.flatnonzero(np.isinf(numbers))[0]) + 1
            raise InvalidInput(
                f"the column {name!r} is infinite in row {row}: leave the value out, or make it a number", pointer="/dataset"
            )
        return numbers
    if _is_text(column.type):
        found: Array = column.to_numpy(zero_copy_only=False).astype(object)
        found[pd.isna(found)] = np.nan
        return found
    told = f"the column {name!r} holds {column.type}, which no trainer takes: make it a number or text, or leave it out by columns"
    raise InvalidInput(told, pointer="/columns")


def _target(column: pa.ChunkedArray, name: str, kind: Kind) -> Array:
    column = _plain(column)
    text, number = _is_text(column.type), _is_number(column.type)
    if not number and (kind is Kind.REGRESSOR or not text):
        wanted = "a regressor learns numbers" if kind is Kind.REGRESSOR else "classes are text or whole numbers"
        raise InvalidInput(f"the target {name!r} holds {column.type}, and {wanted}", pointer="/target")
    found = np.array(column.to_pylist(), dtype=object) if text else _numbers(column)
    missing = pd.isna(found) if text else ~np.isfinite(found)
    if missing.any():
        row = int(np.flatnonzero(missing)[0]) + 1
        told = f"the target {name!r} has no value in {missing.sum()} rows, the first is row {row}: leave these rows out"
        raise InvalidInput(told, pointer="/target")
    if text:
        return found.astype(str)
    if kind is Kind.REGRESSOR:
        return found
    if (found != np.floor(found)).any():
        raise InvalidInput(
            f"the target {name!r} holds fractions, and classes are text or whole numbers: name a regressor", pointer="/target"
        )
    return found.astype(np.int64)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _numbers(column: pa.ChunkedArray) -> Array:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    found: Any = column.cast(pa.float64(), safe=False).to_numpy()
    return np.asarray(found, dtype=np.float64)


def _is_number(kind: Any) -> bool:
    types = pa.types
    return bool(
        types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind) or types.is_null(kind)
    )


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:_SHOWN]))
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
