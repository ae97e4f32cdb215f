"""Convert the values of a column to the datatype that is declared for it, for every file format.

Arrow converts whole columns. If one of the values does not fit, each is read by the rules of `app.core.values`, so that the two agree and
the error names the wrong value. Values that Arrow reads differently from these rules (`0x1F`, `inf`) are detected first.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from app.core.errors import InvalidTensor
from app.core.models import TensorSpec
from app.core.tables import MISSING_NUMBERS
from app.core.tensors import FLOATS, TIMESTAMP, from_b64, is_binary
from app.core.values import NO_TIME, RANGES, Unfit, read, shown
from app.data.json_column import load_values

Array = NDArray[Any]
Bools = NDArray[np.bool_]
_WHOLE_IN_FLOATS: Final = 1 << 53


class Form(Enum):
    """How a column's values are written."""

    ARROW = "arrow"
    """As values of Arrow's types: Parquet and NPY."""
    TEXT = "text"
    """As the text of a CSV cell."""
    JSON = "json"
    """As the bytes of a JSON value, null if the row has no such member."""


@dataclass(frozen=True, slots=True)
class Cells:
    """How to read the cells of a file; see `TableOptions`."""

    form: Form
    decimal: str = "."
    na_values: tuple[str, ...] = ()


ARROW: Final = Cells(Form.ARROW)


@dataclass(slots=True)
class Column:
    """Values as they are stored in a tensor (BYTES as objects), which of them are missing, and what is wrong with the others that do not fit."""

    values: Array
    missing: Bools
    wrong: dict[int, str] = field(default_factory=dict)


def convert(spec: TensorSpec, column: Any, cells: Cells) -> Column:
    """Convert an Arrow array to the declared datatype. Whole numbers become FP64 if some are missing."""
    if cells.form is Form.JSON:
        return _from_json(spec, column)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if cells.form is not Form.TEXT or not _is_text(column.type):
        return _from_arrow(spec, column)
    converted = _from_arrow(spec, _normalized_text(spec, column, cells))
    if cells.decimal == "," and spec.datatype in (*FLOATS, *RANGES):
        converted.wrong = {
            at: f"{shown(column[at].as_py())} is not a number with a decimal comma that fits into {spec.datatype}" for at in converted.wrong
        }
    return converted


def texts_that_mean_missing(datatype: str, cells: Cells) -> tuple[str, ...]:
    """Return the CSV cells that mean a missing value: those of the options, and the empty cell for text or the usual ones for other datatypes."""
    return (*cells.na_values, "") if datatype == "BYTES" else (*cells.na_values, *MISSING_NUMBERS)


def comma_as_point(column: Any) -> Any:
    """Replace decimal commas by points. A point in such a number becomes a character that no number contains."""
    return pc.replace_substring(pc.replace_substring(column, ".", "?"), ",", ".")


def _normalized_text(spec: TensorSpec, column: Any, cells: Cells) -> Any:
    """Replace texts that mean a missing value by null, and decimal commas by points."""
    plain = column if spec.datatype == "BYTES" else pc.utf8_trim_whitespace(column)
    missing = pa.array(texts_that_mean_missing(spec.datatype, cells))
    column = pc.if_else(pc.is_in(plain, value_set=missing), None, plain)
    return comma_as_point(column) if cells.decimal == "," and (spec.datatype in FLOATS or spec.datatype in RANGES) else column


def _from_arrow(spec: TensorSpec, column: Any) -> Column:
    missing = np.asarray(column.is_null(nan_is_null=spec.datatype != "BYTES" and pa.types.is_floating(column.type)))
    if spec.datatype == "BYTES" and _is_text(column.type):
        return Column(column.to_numpy(zero_copy_only=False), missing)
    try:
        values = _cast(spec.datatype, column, zoned=spec.zoned)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, Unfit):
        return _one_by_one(spec, column.to_pylist(), missing)
    return _whole_or_floats(spec, Column(values, missing))


def _cast(datatype: str, column: Any, *, zoned: bool) -> Array:
    """Convert a whole column. Raises ArrowInvalid or Unfit if a value may not fit: then the values are read one by one."""
    kind = column.type
    if datatype == "BYTES":
        raise Unfit("not text")
    if pa.types.is_null(kind):
        return np.zeros(len(column), dtype=_STORED[datatype])
    if datatype == TIMESTAMP:
        if pa.types.is_date(kind) and zoned:
            raise Unfit("a date has no offset")
        if pa.types.is_timestamp(kind) and (kind.tz is not None) != zoned:
            raise Unfit("an offset is missing or too many")
        if not (_is_text(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
            raise Unfit("no timestamps")
        times = column.cast(pa.timestamp("us", "UTC" if zoned else None))
        return _in_calendar(np.asarray(times.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)))
    if datatype == "BOOL":
        if _is_text(kind):
            column = pc.if_else(
                pc.is_in(pc.ascii_lower(column), value_set=_TRUTHS), pc.equal(pc.ascii_lower(column), "true"), _refuse(column)
            )
        if not pa.types.is_boolean(column.type):
            raise Unfit("no truth values")
        return np.asarray(pc.fill_null(column, fill_value=False).to_numpy(zero_copy_only=False), np.uint8)
    if _is_text(kind):
        # Arrow reads 0x1F as a whole number.
        if pc.any(pc.match_substring(column, "x", ignore_case=True)).as_py():
            raise Unfit("no number")
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)):
        raise Unfit("no number")
    if datatype in RANGES:
        return _whole(datatype, column)
    if pa.types.is_decimal(kind):
        column = column.cast(pa.string())  # Arrow's own cast to a float rounds twice
    values: Array = np.asarray(column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False))
    with np.errstate(over="ignore"):
        values = values.astype(_STORED[datatype])
    if np.isinf(values).any() or (_is_text(kind) and np.isnan(values).sum() > column.null_count):
        raise Unfit("infinite")
    return values


def _whole(datatype: str, column: Any) -> Array:
    target = pa.from_numpy_dtype(_STORED[datatype])
    kind = column.type
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), None, column)
    try:
        if pa.types.is_boolean(kind):
            column = column.cast(pa.uint8())
        return np.asarray(column.cast(target).fill_null(0).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:
        if not _is_text(kind):
            raise
    # 30.0 is 30; above 2**53 a float may differ from the number in the file.
    floats = column.cast(pa.float64())
    if pc.any(pc.greater_equal(pc.abs(floats), _WHOLE_IN_FLOATS)).as_py():
        raise Unfit("too large")
    return np.asarray(floats.cast(target).fill_null(0).to_numpy(zero_copy_only=False))


def _from_json(spec: TensorSpec, column: Any) -> Column:
    values, broken = load_values(column.fill_null(b"null").to_pylist())
    missing = np.fromiter((value is None for value in values), bool, len(values))
    if broken:
        missing[list(broken)] = False
        return _one_by_one(spec, values, missing, broken)
    if spec.datatype == "BYTES":
        values = [_bytes(value) if is_binary(value) else value for value in values]
    if spec.datatype == "BYTES" and all(value is None or type(value) is str for value in values):
        return Column(np.array(values, dtype=object), missing)
    try:
        if spec.datatype in FLOATS or spec.datatype in RANGES:
            filled: list[Any] = [0 if value is None else value for value in values] if missing.any() else values
            if all(type(value) in (int, float, bool) for value in filled):
                numbers = _cast(spec.datatype, pa.array(_one_kind(filled)), zoned=False)
                return _whole_or_floats(spec, Column(numbers, missing))
    except (pa.ArrowException, Unfit, OverflowError):
        pass
    return _one_by_one(spec, values, missing)


def _one_kind(values: list[Any]) -> list[Any]:
    """Convert numbers to one kind, as Arrow requires. Raises Unfit if a whole number has no exact float."""
    if {type(value) for value in values} <= {int}:
        return values
    if any(type(value) is int and abs(value) > _WHOLE_IN_FLOATS for value in values):
        raise Unfit("too large")
    return [float(value) for value in values]


def _one_by_one(spec: TensorSpec, values: list[Any], missing: Bools, broken: dict[int, str] | None = None) -> Column:
    stored, wrong = list[Any](), dict(broken or {})
    zoned = spec.zoned if spec.datatype == TIMESTAMP else None
    narrow = _STORED[spec.datatype] if spec.datatype in FLOATS else None
    for at, value in enumerate(values):
        parsed: Any = None
        if not missing[at] and at not in wrong:
            try:
                parsed = read(value, spec.datatype, zoned=zoned)
                if narrow is not None:
                    with np.errstate(over="ignore"):
                        infinite = np.isinf(narrow.type(parsed))
                    if infinite:
                        raise Unfit(f"{shown(value)} does not fit into {spec.datatype}")
            except Unfit as error:
                wrong[at] = str(error)
        stored.append(_EMPTY[spec.datatype] if parsed is None else parsed)
    return _whole_or_floats(spec, Column(_array(stored, spec.datatype), missing, wrong))


def _array(values: list[Any], datatype: str) -> Array:
    array = np.empty(len(values), _STORED[datatype])
    # A number that is too large for FP16 or FP32 becomes infinite, which is refused afterwards.
    with np.errstate(over="ignore"):
        array[:] = values
    return array


def _bytes(value: dict[str, Any]) -> Any:
    """Decode a base64 value. Invalid base64 is returned unchanged and does not fit later."""
    with suppress(InvalidTensor):
        return from_b64(value)
    return value


def _whole_or_floats(spec: TensorSpec, column: Column) -> Column:
    """Store missing values as the datatype represents them."""
    if not column.missing.any() or spec.datatype == "BYTES" or (spec.datatype in RANGES and not spec.nullable):
        return column
    values = column.values.astype(np.float64) if spec.datatype in RANGES else column.values.copy()
    values[column.missing] = np.nan if spec.datatype in RANGES or spec.datatype in FLOATS else _EMPTY[spec.datatype]
    return Column(values, column.missing, column.wrong)


def _in_calendar(times: Array) -> Array:
    if len(times) and (times.min() < _FIRST_TIME or times.max() > _LAST_TIME):
        raise Unfit("not a date of the calendar")
    return times


def _refuse(column: Any) -> Any:
    """Return null. Raises Unfit if a value is neither null nor a truth value: then the values are read one by one."""
    readable = pc.or_(column.is_null(), pc.fill_null(pc.is_in(pc.ascii_lower(column), value_set=_TRUTHS), fill_value=False))
    if not pc.all(readable).as_py():
        raise Unfit("no truth value")
    return pa.scalar(None, pa.bool_())


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


_TRUTHS: Final = pa.array(["true", "false"])
_STORED: Final[dict[str, np.dtype[Any]]] = {
    "BOOL": np.dtype("u1"), "BYTES": np.dtype(object), "TIMESTAMP": np.dtype("<i8"), "FP16": np.dtype("<f2"), "FP32": np.dtype("<f4"), "FP64": np.dtype("<f8"),
} | {name: np.dtype(f"{'u' if name[0] == 'U' else 'i'}{int(name.rpartition('T')[2]) // 8}") for name in RANGES}  # fmt: skip
"""What a column is stored as until it is a tensor; DTYPES of the runtime, but for truth values and timestamps, which may be missing."""
_EMPTY: Final[dict[str, Any]] = {
    "BOOL": 2,
    "BYTES": None,
    "TIMESTAMP": NO_TIME,
    **dict.fromkeys(RANGES, 0),
    **dict.fromkeys(FLOATS, np.nan),
}
_FIRST_TIME: Final = -62_135_596_800_000_000
_LAST_TIME: Final = 253_402_300_799_999_999
