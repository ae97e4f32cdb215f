"""A column whose values are the bytes of JSON, as readers of JSONL return it."""

from __future__ import annotations

from typing import Any

import orjson
import pyarrow as pa


def load_values(texts: list[bytes]) -> tuple[list[Any], dict[int, str]]:
    """Return the JSON values, None for each that is invalid, and the errors by index."""
    try:
        return orjson.loads(b"[" + b",".join(texts) + b"]"), {}
    except orjson.JSONDecodeError:
        values, broken = list[Any](), dict[int, str]()
    for at, text in enumerate(texts):
        try:
            values.append(orjson.loads(text))
        except orjson.JSONDecodeError as error:
            values.append(None)
            broken[at] = f"{text[:100].decode(errors='replace')} cannot be read: {error.msg}"
    return values, broken


def json_values(column: Any) -> list[Any]:
    """The Python values of a column of JSON, None also for those that cannot be read."""
    return load_values(column.fill_null(b"null").to_pylist())[0]


def from_json(column: Any, kind: pa.DataType) -> Any:
    """JSON values as an Arrow type that holds all of them: text as it is, other values as text if the type is text."""
    if pa.types.is_string(kind):
        return pa.array((_as_text(value) for value in column.to_pylist()), kind, size=len(column))
    values, _ = load_values(column.fill_null(b"null").to_pylist())
    return pa.array(values, kind)


def _as_text(value: bytes | None) -> str | None:
    if value is None or value == b"null":
        return None
    return str(orjson.loads(value)) if value[:1] == b'"' else value.decode()
