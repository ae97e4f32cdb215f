"""Rows to predict, from a file or standard input: JSON, JSON lines, CSV, Parquet or NPY."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.tables import Table, TableOptions, read_csv

_TABLES: Final = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet", ".pq", ".npy")


def read(source: str, manifest: dict[str, Any] | None = None, options: TableOptions | None = None) -> list[Any]:
    """Read the rows of a file or of standard input (`-`), where the first character distinguishes JSON from CSV.

    Args:
        source: path of a file, or `-`.
        manifest: what the model takes, as the API shows a version. It selects the columns of a table and decides which of them hold
            text. Without it, all columns are taken, and a column whose values are all numbers holds numbers.
        options: how CSV is written.

    Raises CLIError that says what is wrong and in which line.
    """
    name, data = content(source)
    if is_json(source, data):
        return filled(name, json_rows(data, name, one_value_per_row(manifest)))
    try:
        table = _table(data, name, Path(source).suffix.lower(), options or TableOptions())
    except (ValueError, OSError) as error:
        raise CLIError(f"{name} cannot be read: {error}", Exit.USAGE) from None
    return filled(name, table.rows(name, manifest))


def content(source: str) -> tuple[str, bytes]:
    """The name of a source in messages, and its bytes. Raises CLIError."""
    try:
        if source != "-":
            return source, Path(source).read_bytes()
        return "Standard input", sys.stdin.buffer.read() if hasattr(sys.stdin, "buffer") else sys.stdin.read().encode()
    except OSError as error:
        raise CLIError(f"{source} cannot be read: {error.strerror}", Exit.NOT_FOUND) from None


def is_json(source: str, data: bytes) -> bool:
    """Whether the data is one JSON document rather than a table."""
    suffix = Path(source).suffix.lower()
    return suffix == ".json" or (suffix not in _TABLES and data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{"))


def filled(name: str, rows: list[Any]) -> list[Any]:
    """The rows. Raises CLIError if there are none."""
    if not rows:
        raise CLIError(f"{name} contains no rows.", Exit.USAGE)
    return rows


def json_rows(data: bytes, name: str, single: bool | None) -> list[Any]:
    """A list of rows, one record, or an object with `inputs`, as the API takes it.

    `single`: whether the model takes one value per row, so that a plain list holds rows; None if that is unknown.
    """
    try:
        document = json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise CLIError(f"{name} is not UTF-8 (byte {error.start}): save it as UTF-8", Exit.USAGE) from None
    except (ValueError, RecursionError) as error:
        raise CLIError(f"{name} is not valid JSON: {error}", Exit.USAGE) from None
    if isinstance(document, dict):
        document = document.get("inputs", [document])
    if not isinstance(document, list):
        raise CLIError(f'{name} must hold a list of rows, as in [[5.1, 3.5]] or [{{"column": 5.1}}]', Exit.USAGE)
    if document and not isinstance(document[0], list | dict):
        # A plain list: one row, unless each value is a row.
        rows = all(isinstance(value, str) for value in document) if single is None else single
        return document if rows else [document]
    return document


def one_value_per_row(manifest: dict[str, Any] | None) -> bool | None:
    """Whether a model takes one value per row; None if that is unknown."""
    inputs = (manifest or {}).get("inputs")
    return len(inputs) == 1 and len(inputs[0]["shape"]) == 1 if inputs else None


def _table(data: bytes, name: str, suffix: str, options: TableOptions) -> Table:
    if suffix in (".jsonl", ".ndjson"):
        return _json_lines(data, name)
    if suffix in (".parquet", ".pq"):
        return _parquet(data, name)
    if suffix == ".npy":
        return _npy(data, name)
    return read_csv(data, name, options)


def _json_lines(data: bytes, name: str) -> Table:
    cells: list[Any] = []
    lines: list[int] = []
    for number, line in enumerate(data.decode("utf-8-sig").splitlines(), start=1):
        if line.strip():
            try:
                cells.append(json.loads(line, parse_constant=_refuse_constant))
            except ValueError as error:
                raise CLIError(f"{name}, line {number}: not valid JSON ({error})", Exit.USAGE) from None
            lines.append(number)
    if not all(isinstance(row, dict) for row in cells):
        return Table((), cells, lines)
    columns = tuple(dict.fromkeys(key for row in cells for key in row))
    return Table(columns, [[row.get(key) for key in columns] for row in cells], lines)


def _parquet(data: bytes, name: str) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise _needs(name, "pyarrow") from None
    table = pq.read_table(pa.BufferReader(data))
    return Table(tuple(table.column_names), [list(row.values()) for row in table.to_pylist()])


def _npy(data: bytes, name: str) -> Table:
    try:
        import numpy as np
    except ImportError:
        raise _needs(name, "numpy") from None
    import io

    array = np.load(io.BytesIO(data), allow_pickle=False)
    if array.dtype.names:
        return Table(tuple(array.dtype.names), [list(row) for row in array.tolist()])
    return Table((), array.tolist())


def _needs(name: str, library: str) -> CLIError:
    install = f"Reading {name} needs {library}. Install it with pip install {library}"
    return CLIError(f"{install}, or use `celeriac batch run`, which sends the file to the server.", Exit.REFUSED)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON: write null for a missing value")
