"""One value of a table or a request, read as the datatype that its column declares. The rules are the same for every format.

A number column takes numbers, numbers written as text, and true and false as 1 and 0. A column of whole numbers takes 30.0 as 30.
A BOOL column takes true and false, also as text or as 1 and 0. A TIMESTAMP column takes ISO 8601 text. A BYTES column takes text only.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_TIMESTAMP: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d(?::\d\d(?::\d\d)?)?)(?:\.(\d{1,9}))?)?\s?([Zz]|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_TRUTHS: Final = {"true": True, "false": False}
_EPOCH: Final = datetime(1970, 1, 1)
_MOST_DIGITS: Final = 400
"""Digits of a number written as text; more are refused before any arithmetic."""
_SHOWN: Final = 100
NO_TIME: Final = -(1 << 63)
"""The timestamp that means a missing value; NumPy's NaT."""
RANGES: Final = {f"{sign}INT{bits}": _range for bits in (8, 16, 32, 64) for sign, _range in (
    ("", (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)), ("U", (0, (1 << bits) - 1)),
)}  # fmt: skip
"""The least and the greatest value of each datatype of whole numbers."""


class Unfit(ValueError):
    """A value that its column cannot take; the message is the rest of a sentence about the column."""


def read(value: Any, datatype: str, *, zoned: bool | None = None) -> Any:
    """A value that is not missing, as the Python value to store. Raises Unfit.

    `zoned`: timestamps must have an offset from UTC (True), must have none (False), or may have one (None).
    """
    if datatype == "TIMESTAMP":
        return timestamp(value, zoned=zoned)
    if datatype == "BYTES":
        if not isinstance(value, str | bytes):
            raise Unfit(f"expects text, got {shown(value)}")
        return value
    if datatype == "BOOL":
        return _truth(value)
    return _whole(value, datatype) if datatype in RANGES else _real(value, datatype)


def about(column: str, reason: str, what: str = "Column") -> str:
    """A sentence: what is wrong with a value of this column."""
    reason = reason.removesuffix(".")
    return f"{what} {column!r} {reason}." if reason.startswith("expects ") else f"{what} {column!r}: {reason}."


def shown(value: Any) -> str:
    """A value as an error message shows it, cut off where it is long."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | Decimal):
        return f"the number {str(value)[:_SHOWN]}"
    kinds = {list: "a list", dict: "an object", type(None): "null"}
    return kinds.get(type(value)) or repr(str(value)[:_SHOWN])


def timestamp(value: Any, *, zoned: bool | None = None) -> int:
    """Microseconds since 1970: of UTC if the text has an offset, else of the wall clock. Raises Unfit."""
    offset: str | None
    if getattr(value, "nanosecond", 0):
        raise Unfit(f"{shown(value)} is finer than a microsecond")
    if isinstance(value, datetime):
        time, offset = value, "Z" if value.tzinfo else None
    elif isinstance(value, date):
        time, offset = datetime(value.year, value.month, value.day), None
    else:
        time, offset = _parsed(value)
    if zoned is False and offset:
        raise Unfit(f"{shown(value)} has an offset from UTC, and this column has none: remove it")
    if zoned and not offset:
        raise Unfit(f"{shown(value)} has no offset from UTC: add one, for example Z")
    if time.tzinfo is not None:
        time = time.astimezone(UTC).replace(tzinfo=None)
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def time_of(microseconds: int, *, zoned: bool = False) -> datetime:
    """The inverse of `timestamp`: a time of UTC if it is zoned, else of the wall clock."""
    time = _EPOCH + timedelta(microseconds=microseconds)
    return time.replace(tzinfo=UTC) if zoned else time


def timestamp_text(microseconds: int) -> str:
    """The inverse of `timestamp`, as RFC 3339 text without an offset."""
    return time_of(microseconds).isoformat()


def has_offset(value: Any) -> bool:
    """Whether a value is a timestamp with an offset from UTC."""
    try:
        timestamp(value, zoned=True)
    except Unfit:
        return False
    return True


def _parsed(value: Any) -> tuple[datetime, str | None]:
    matched = _TIMESTAMP.fullmatch(value.strip()) if isinstance(value, str) else None
    if matched is None:
        raise Unfit(f"expects a date or time such as 2026-01-31 or 2026-01-31T12:30:00Z, got {shown(value)}")
    day, clock, fraction, offset = matched.groups()
    if fraction and fraction[6:].strip("0"):
        raise Unfit(f"{shown(value)} is finer than a microsecond")
    text = f"{day}T{clock or '00:00'}" + (offset.upper() if offset else "")
    try:
        time = datetime.fromisoformat(text)
        time = time.replace(microsecond=int((fraction or "0")[:6].ljust(6, "0")))
        if time.tzinfo:
            time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unfit(f"{shown(value)} is not a date of the calendar") from None
    return time, offset


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        truth = _TRUTHS.get(value.strip().lower())
        if truth is not None:
            return truth
        value = _number(value) if NUMBER.fullmatch(value.strip()) else value
    if isinstance(value, int | float | Decimal) and value in (0, 1):
        return bool(value)
    raise Unfit(f"expects true or false, got {shown(value)}")


def _whole(value: Any, datatype: str) -> int:
    number = _number(value)
    if isinstance(number, float) and not number.is_integer():
        raise Unfit(f"{shown(value)[len('the number ') :] if isinstance(value, float) else shown(value)} is not a whole number")
    if isinstance(number, Decimal):
        # The exponent first: 1e999999999 as a whole number would fill the memory.
        if number and number.adjusted() > 40:
            raise Unfit(f"{shown(value)} does not fit into {datatype}")
        if number != number.to_integral_value():
            raise Unfit(f"{shown(value)} is not a whole number")
    whole = int(number)
    least, most = RANGES[datatype]
    if not least <= whole <= most:
        raise Unfit(f"{shown(value)} does not fit into {datatype}")
    return whole


def _real(value: Any, datatype: str) -> float:
    number = _number(value)
    try:
        real = float(number)
    except OverflowError:
        raise Unfit(f"{shown(value)} does not fit into {datatype}") from None
    if real in (float("inf"), float("-inf")) and not isinstance(value, float):
        raise Unfit(f"{shown(value)} does not fit into {datatype}")
    return real


def _number(value: Any) -> int | float | Decimal:
    if isinstance(value, int | float | Decimal):  # true and false are 1 and 0
        return value
    if not isinstance(value, str):
        raise Unfit(f"expects a number, got {shown(value)}")
    text = value.strip()
    if text.lower() in _TRUTHS:
        return int(_TRUTHS[text.lower()])
    if not NUMBER.fullmatch(text):
        raise Unfit(f"{shown(value)} is not a number")
    if len(text) > _MOST_DIGITS:
        raise Unfit(f"{shown(value)} has more than {_MOST_DIGITS} digits")
    return Decimal(text)
