"""Rows to predict, as a person has them: a table of any format or JSON, from a file or from standard input."""

from __future__ import annotations

import io
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.cli.errors import CLIError, Exit
from app.core.errors import CeleriacError
from app.core.tables import TableOptions

if TYPE_CHECKING:
    from app.core.models import Manifest

_TABLES: Final = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet", ".pq", ".npy")


def read(source: str, manifest: Manifest | None = None, options: TableOptions | None = None, *, sample: bool = False) -> list[Any]:
    """The rows of a file, or of standard input (`-`), where the first character tells JSON from CSV.

    With a manifest a table is read as a batch reads it, else its types follow from whole columns. Timestamps are text, or datetimes of a
    `sample`. Raises CLIError that says what is wrong and in which line.
    """
    name = "Standard input" if source == "-" else source
    try:
        data = _input() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise CLIError(f"{source} cannot be read: {error.strerror}", Exit.NOT_FOUND) from None
    suffix = Path(source).suffix.lower()
    if suffix == ".json" or (suffix not in _TABLES and data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{")):
        rows = _from_json(data, name, manifest)
    else:
        rows = _from_table(data, name, manifest, options or TableOptions(), sample=sample)
    if not rows:
        raise CLIError(f"{name} contains no rows.", Exit.USAGE)
    return rows


def _input() -> bytes:
    return sys.stdin.buffer.read() if hasattr(sys.stdin, "buffer") else sys.stdin.read().encode()


def _from_json(data: bytes, name: str, manifest: Manifest | None) -> list[Any]:
    """A list of rows, one record, or an object with `inputs`, as the API takes it."""
    try:
        found = json.loads(data.decode("utf-8-sig"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise CLIError(f"{name} is not UTF-8 (byte {error.start}): save it as UTF-8", Exit.USAGE) from None
    except (ValueError, RecursionError) as error:
        raise CLIError(f"{name} is not valid JSON: {error}", Exit.USAGE) from None
    if isinstance(found, dict):
        found = found.get("inputs", [found])
    if not isinstance(found, list):
        raise CLIError(f'{name} must hold a list of rows, as in [[5.1, 3.5]] or [{{"column": 5.1}}]', Exit.USAGE)
    if found and not isinstance(found[0], list | dict) and not _one_a_row(found, manifest):
        found = [found]
    return found


def _one_a_row(values: list[Any], manifest: Manifest | None) -> bool:
    """Is each value of a plain list a row? If the model takes one value a row, or, where no model says so, if it is text."""
    if manifest is not None:
        return len(manifest.inputs) == 1 and len(manifest.inputs[0].shape) == 1
    return all(isinstance(value, str) for value in values)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON: write null for a missing value")


def _from_table(data: bytes, name: str, manifest: Manifest | None, options: TableOptions, *, sample: bool) -> list[Any]:
    from app.data import rows

    try:
        if manifest is not None:
            options = TableOptions.from_dict({**manifest.reading, **options.as_dict()})
            return rows.declared(io.BytesIO(data), name, manifest, options)
        if sample:
            return rows.inferred(io.BytesIO(data), name, options, lambda time: datetime(1970, 1, 1) + timedelta(microseconds=time))
        return rows.inferred(io.BytesIO(data), name, options)
    except CeleriacError as error:
        raise CLIError(error.detail, Exit.USAGE) from None
