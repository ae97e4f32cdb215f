"""Rows to predict, from a file or standard input. JSON is read here; tables are sent to the server, which reads them as it reads batches."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final, TypeVar

from celeriac_cli.errors import CLIError, Exit

Rows = TypeVar("Rows", list[Any], bytes)
_TABLES: Final = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet", ".pq", ".npy")


def content(source: str) -> tuple[str, bytes]:
    """The name of a source in messages, and its bytes. Raises CLIError."""
    try:
        if source != "-":
            return source, Path(source).read_bytes()
        return "Standard input", sys.stdin.buffer.read() if hasattr(sys.stdin, "buffer") else sys.stdin.read().encode()
    except OSError as error:
        raise CLIError(f"{source} cannot be read: {error.strerror}.", Exit.NOT_FOUND) from None


def is_json(source: str, data: bytes) -> bool:
    """Whether the data is one JSON document rather than a table."""
    suffix = Path(source).suffix.lower()
    return suffix == ".json" or (suffix not in _TABLES and data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{"))


def filled(name: str, rows: Rows) -> Rows:
    """The rows, or the bytes of a table. Raises CLIError if there are none."""
    if not rows:
        raise CLIError(f"{name} contains no rows.", Exit.USAGE)
    return rows


def json_rows(data: bytes, name: str, single: bool | None) -> list[Any]:
    """A list of rows, one record, or an object with `inputs`, as the API takes it. Raises CLIError that says what is wrong.

    `single`: whether the model takes one value per row, so that a plain list holds rows; None if that is unknown.
    """
    try:
        document = json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise CLIError(f"{name} is not UTF-8 (byte {error.start}). Save it as UTF-8.", Exit.USAGE) from None
    except (ValueError, RecursionError) as error:
        raise CLIError(f"{name} is not valid JSON: {error}", Exit.USAGE) from None
    if isinstance(document, dict):
        document = document.get("inputs", [document])
    if not isinstance(document, list):
        raise CLIError(f'{name} must hold a list of rows, as in [[5.1, 3.5]] or [{{"column": 5.1}}].', Exit.USAGE)
    if document and not isinstance(document[0], list | dict):
        # A plain list: one row, unless each value is a row.
        rows = all(isinstance(value, str) for value in document) if single is None else single
        return document if rows else [document]
    return document


def one_value_per_row(manifest: dict[str, Any] | None) -> bool | None:
    """Whether a model takes one value per row; None if that is unknown."""
    inputs = (manifest or {}).get("inputs")
    return len(inputs) == 1 and len(inputs[0]["shape"]) == 1 if inputs else None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON: write null for a missing value")
