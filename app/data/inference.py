"""Infer the datatype of an undeclared column from all of its values, by the same rules for every text format.

Cells of CSV: true and false make BOOL, whole numbers INT64, numbers FP64, dates and times TIMESTAMP, anything else BYTES. Missing values
are ignored. Which texts mean a missing value depends on the datatype that is tried: `NA` is missing among numbers, and text among names.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from app.core.models import TensorSpec
from app.core.values import NUMBER
from app.data.cells import Cells, Form, comma_as_point, convert, texts_that_mean_missing
from app.data.json_column import json_values

_NUMBER: Final = f"^(?:{NUMBER.pattern})$"
_TRUTH: Final = "^(?i:true|false)$"
_TIMES: Final = ("datetime64[us]", "datetime64[us, UTC]")


def infer(name: str, column: Any, cells: Cells) -> TensorSpec:
    """Return the declaration of a column, with missing values permitted. Columns of Parquet have types; nested ones become BYTES and do not fit."""
    datatype, dtype = _of_arrow(column.type), ""
    if cells.form is Form.JSON:
        values = json_values(column)
        kinds = {type(value) for value in values} - {type(None)}
        text = kinds == {str} and _fits(name, column, cells, _TIMES[0])
        datatype = "TIMESTAMP" if text else _of_json(kinds)
        if datatype == "INT64" and convert(TensorSpec(name, datatype, (-1,)), column, cells).wrong:
            datatype = "FP64"
        dtype = _TIMES[0] if text else ""
    elif cells.form is Form.TEXT:
        datatype, dtype = _of_text(name, column, cells)
    elif datatype == "TIMESTAMP":
        dtype = f"datetime64[us{', UTC' if getattr(column.type, 'tz', None) else ''}]"
    return TensorSpec(name, datatype, (-1,), nullable=True, dtype=dtype or ("object" if datatype == "BYTES" else ""))


def _of_text(name: str, column: Any, cells: Cells) -> tuple[str, str]:
    texts = pc.unique(pc.utf8_trim_whitespace(column))
    given = texts.filter(pc.invert(pc.is_in(texts, value_set=pa.array(texts_that_mean_missing("FP64", cells)))))
    if not len(given):
        return "FP64", ""
    if _all(given, _TRUTH):
        return "BOOL", ""
    numbers = comma_as_point(given) if cells.decimal == "," else given
    if _all(numbers, _NUMBER):
        whole = convert(TensorSpec(name, "INT64", (-1,)), given, cells)
        return ("FP64" if whole.wrong or _all(numbers, r"[.eE]", every=False) else "INT64"), ""
    for dtype in _TIMES:
        if _fits(name, given, cells, dtype):
            return "TIMESTAMP", dtype
    return "BYTES", ""


def _fits(name: str, column: Any, cells: Cells, dtype: str) -> bool:
    return not convert(TensorSpec(name, "TIMESTAMP", (-1,), nullable=True, dtype=dtype), column, cells).wrong


def _all(texts: Any, pattern: str, *, every: bool = True) -> bool:
    matches = pc.match_substring_regex(texts, pattern)
    return bool((pc.all if every else pc.any)(matches).as_py())


def _of_json(kinds: set[type]) -> str:
    if kinds == {bool}:
        return "BOOL"
    if kinds <= {int, float}:
        return "INT64" if kinds == {int} else "FP64"
    return "BYTES"


def _of_arrow(kind: Any) -> str:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    types = pa.types
    if types.is_boolean(kind):
        return "BOOL"
    if types.is_integer(kind):
        return "UINT64" if types.is_uint64(kind) else "INT64"
    if types.is_floating(kind) or types.is_decimal(kind) or types.is_null(kind):
        return "FP64"
    return "TIMESTAMP" if types.is_timestamp(kind) or types.is_date(kind) else "BYTES"
