"""Rows to predict, as a person has them: CSV or JSON, from a file or from standard input."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from pathlib import Path
from typing import Any, Final

from app.cli.exits import Exit, Trouble

_MISSING: Final = frozenset({"", "na", "nan", "null", "none"})


def read(source: str) -> list[Any]:
    """The rows of a `.csv` or `.json` file, or of standard input (`-`), where the first character tells which it is.

    Lists of values, or records where a CSV has a line of names. Raises Trouble that says what is wrong and in which line.
    """
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Trouble(f"{source} cannot be read: {error.strerror}", Exit.NOT_FOUND) from None
    except UnicodeDecodeError as error:
        raise Trouble(f"{source} is not UTF-8 (byte {error.start}): save it as UTF-8", Exit.USAGE) from None
    is_json = source.endswith(".json") or (not source.endswith(".csv") and text.lstrip()[:1] in ("[", "{"))
    rows = from_json(text, source) if is_json else from_csv(text, source)
    if not rows:
        raise Trouble(f"{source} holds no rows", Exit.USAGE)
    return rows


def from_json(text: str, source: str) -> list[Any]:
    """A list of rows, one record, or an object with `inputs`, as the API takes it."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise Trouble(f"{source} is not valid JSON: {error}", Exit.USAGE) from None
    if isinstance(data, dict):
        data = data.get("inputs", [data])
    if not isinstance(data, list):
        raise Trouble(f'{source} must hold a list of rows, as in [[5.1, 3.5]] or [{{"column": 5.1}}]', Exit.USAGE)
    if data and not isinstance(data[0], list | dict):
        data = [data]
    return data


def from_csv(text: str, source: str) -> list[Any]:
    """Records by the names of the first line, or lists where the first line holds numbers too. An empty cell is a missing value."""
    lines = [(line, row) for line, row in _csv_lines(text, source) if row]
    if not lines:
        return []
    width = len(lines[0][1])
    for line, row in lines:
        if len(row) != width:
            raise Trouble(f"{source}, line {line}: {len(row)} values, where the first line has {width}", Exit.USAGE)
    names = lines[0][1] if not any(_number(value) is not None for value in lines[0][1]) else None
    body = [row for _, row in lines[1 if names else 0 :]]
    columns = [_column(values) for values in zip(*body, strict=True)]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return [dict(zip(names, row, strict=True)) for row in rows] if names else rows


def _csv_lines(text: str, source: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text), dialect=_dialect(text), strict=True)
    try:
        return [(reader.line_num, [value.strip() for value in row]) for row in reader]
    except csv.Error as error:
        raise Trouble(f"{source}, line {reader.line_num}: {error}", Exit.USAGE) from None


def _dialect(text: str) -> type[csv.Dialect]:
    class Found(csv.excel):
        # The sniffer of the library guesses from the data and is often wrong; the first line is enough.
        delimiter = max(",;\t", key=text.partition("\n")[0].count)

    return Found


def _column(values: tuple[str, ...]) -> list[Any]:
    """A column is of one kind: numbers, truths or words. One word among numbers makes words of all."""
    present = [value for value in values if value.lower() not in _MISSING]
    if all(_number(value) is not None for value in present):
        return [None if value.lower() in _MISSING else _number(value) for value in values]
    if all(value.lower() in ("true", "false") for value in present):
        return [None if value.lower() in _MISSING else value.lower() == "true" for value in values]
    return [value or None for value in values]


def _number(text: str) -> int | float | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None
