"""Rows of lists, NumPy arrays, pandas and polars objects as JSON, and tables. None of these libraries is imported here."""

from __future__ import annotations

import base64
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any, Final

_Row = Any
_TABLES: Final = {
    ".csv": "text/csv",
    ".tsv": "text/csv",
    ".txt": "text/csv",
    ".jsonl": "application/jsonl",
    ".ndjson": "application/jsonl",
    ".parquet": "application/vnd.apache.parquet",
    ".pq": "application/vnd.apache.parquet",
}


def rows_of(data: Any) -> list[_Row]:
    """The rows of `data` as JSON values: records for data frames, lists for arrays, elements for sequences.

    Raises TypeError for data that has no rows.
    """
    if hasattr(data, "to_dicts"):  # polars
        return [_json(row) for row in data.to_dicts()]
    if hasattr(data, "columns") and hasattr(data, "to_dict"):  # pandas.DataFrame
        return [_json(row) for row in data.to_dict(orient="records")]
    if hasattr(data, "tolist") and getattr(data, "ndim", 1) > 0:  # numpy.ndarray, pandas.Series
        return [_json(row) for row in data.tolist()]
    if hasattr(data, "to_list"):  # polars.Series
        return [_json(row) for row in data.to_list()]
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return [_json(row) for row in data]
    raise TypeError(f"Expected a list of rows, an array or a data frame, got {type(data).__name__}.")


def table_type(name: str) -> str:
    """The media type of a table file, by the suffix of its name. `application/octet-stream` leaves the format to the server."""
    return _TABLES.get(PurePath(name).suffix.lower(), "application/octet-stream")


def chunks_of(rows: list[_Row], size: int) -> Iterator[list[_Row]]:
    """The rows in lists of at most `size`."""
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


def joined(results: list[Any]) -> Any:
    """The results of consecutive chunks as one: a list, or a dict of lists for a model with several outputs."""
    if results and isinstance(results[0], dict):
        return {name: [value for result in results for value in result[name]] for name in results[0]}
    return [value for result in results for value in result]


def like(data: Any, results: Any) -> Any:
    """The results in the form of the data: a pandas Series or DataFrame with its index, otherwise unchanged."""
    index = getattr(data, "index", None)
    if index is None or callable(index):  # a list has a method of that name
        return results
    pd = sys.modules["pandas"]  # the data is pandas' own
    if isinstance(results, dict):
        return pd.DataFrame({name: list(values) for name, values in results.items()}, index=index)
    if results and isinstance(results[0], dict):
        return pd.DataFrame(results, index=index)
    return pd.Series(results, index=index)


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return {"b64": base64.b64encode(value).decode()}
    if hasattr(value, "isoformat"):  # dates; a missing one (pandas.NaT) has no year
        return value.isoformat() if value == value else None
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return _json(value.tolist())
    if isinstance(value, float) and math.isnan(value):
        return None
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if type(value).__name__ == "NAType":  # pandas.NA
        return None
    return str(value)
