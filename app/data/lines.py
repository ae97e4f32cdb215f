"""JSONL: one object per line, or one list: then the columns are `0`, `1`, … A value remains bytes until a column takes it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, Final

import msgspec
import numpy as np
import orjson
import pyarrow as pa

from app.core.errors import InvalidFile
from app.core.fields import TOO_DEEP, not_json
from app.core.tables import TableOptions
from app.data import line_index
from app.data.cells import Cells, Form
from app.data.line_index import LINES
from app.data.row_batch import INVALID, BadRow, RowBatch, text_of_lines
from app.data.text import LOOK, TextReader, after_bom, changed

_MOST_NAMES: Final = 10_000
_WHOLE: Final = frozenset(b"-0123456789")
JSON: Final = pa.binary()
"""The type of a column that holds JSON values as they are written."""
_ESCAPE: Final = re.compile(rb"\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|(?P<half>\\u[dD][89a-fA-F]\w\w)|\\.")
"""An escape of JSON. Half of a surrogate pair fits the grammar of JSON, and is not text in Unicode."""
Row = dict[str, msgspec.Raw]
_OBJECT: Final = msgspec.json.Decoder(Row)
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])


class JsonReader(TextReader):
    """Reads JSONL. The column names of the first lines are known when the file is opened, all others after `survey`."""

    def __init__(self, file: IO[bytes], options: TableOptions | None = None) -> None:
        """Open a file."""
        self._file, self.options, self.cells = file, options or TableOptions(), Cells(Form.JSON)
        self._expected: tuple[str, ...] = ()
        start = after_bom(file)
        self._begin = start, 0
        file.seek(start)
        look = file.read(LOOK)
        whole = look[: look.rfind(b"\n") + 1] if b"\n" in look else look
        names: dict[str, None] = {}
        first = True
        for line, record in line_index.split(whole, 0, LINES):
            row = _parsed(record)
            if isinstance(row, str) and first and not _names(record):
                raise InvalidFile(f"Line {line + 1}: {row}")
            names |= dict.fromkeys(_names(record) if isinstance(row, str) else row)
            first = False
            _check_names(names, line)
        self.columns = dict.fromkeys(names, JSON)

    def survey(self) -> dict[str, pa.DataType]:
        """Return every column of the file, with the narrowest type that holds all of its values: text if they are of several kinds."""
        kinds: dict[str, set[str]] = {}
        for _, _, data, line in self.blocks(0, self.rows):
            for _, record in line_index.split(data, line, LINES):
                row = _parsed(record)
                if isinstance(row, str):
                    for name in _names(record):
                        kinds.setdefault(name, set())
                    continue
                for name, value in row.items():
                    kinds.setdefault(name, set()).add(_kind(value))
            _check_names(kinds, line)
        self.columns = dict.fromkeys(kinds, JSON)
        return {name: _type(column_kinds) for name, column_kinds in kinds.items()}

    def has(self, names: Sequence[str]) -> bool:
        """Return whether the first lines have all of these columns."""
        return all(name in self.columns for name in names)

    def expect(self, columns: Sequence[str]) -> None:
        """Set the columns that every batch has when all columns are read, also if none of its rows has them."""
        self._expected = tuple(columns)

    def read(self, first: int, count: int, columns: Sequence[str] | None, most: int) -> Iterator[RowBatch]:
        """Yield rows, as `Reader.read` describes."""
        for low, high, data, line in self.blocks(first, count):
            yield self._slice(data, line, low, high, columns)

    def _slice(self, data: bytes, line: int, low: int, high: int, columns: Sequence[str] | None) -> RowBatch:
        records = line_index.split(data, line, LINES)
        if len(records) != high - low:
            raise changed(line)
        bad, good, values = list[BadRow](), list[int](), list[Row]()
        for row, (at, record) in enumerate(records, low):
            parsed = _parsed(record)
            if isinstance(parsed, str):
                bad.append(BadRow(row, INVALID, parsed, at + 1))
            else:
                good.append(row)
                values.append(parsed)
        if columns is None:
            columns = list(dict.fromkeys([*self._expected, *(name for row in values for name in row)]))
        arrays = [pa.array((bytes(row[name]) if name in row else None for row in values), JSON, size=len(values)) for name in columns]
        return RowBatch(pa.table(arrays, list(columns)), np.array(good, np.int64), bad, text_of_lines(data, line, low, LINES), self.cells)


def _parsed(record: bytes) -> Row | str:
    """Return the values of a line as raw JSON, or the error in it."""
    try:
        return _OBJECT.decode(record)
    except msgspec.ValidationError:
        pass
    except msgspec.DecodeError as error:
        return f"it is {not_json(record, _precise(record, error))}"
    except RecursionError:
        return TOO_DEEP
    try:
        return {str(at): value for at, value in enumerate(_LIST.decode(record))}
    except msgspec.MsgspecError:
        return f"it is {record[:20].decode(errors='replace')!r}, where an object or a list is expected"


def _precise(record: bytes, error: Exception) -> Exception:
    """Return the error of orjson for half of a surrogate pair, which msgspec describes as data that are cut off."""
    try:
        orjson.loads(record)
    except orjson.JSONDecodeError as other:
        return other if "surrogate" in other.msg else error
    return error


def _names(record: bytes) -> list[str]:
    """The columns of a row that is refused, if only halves of surrogate pairs are wrong with it."""
    row = _parsed(_ESCAPE.sub(lambda match: rb"\ufffd" if match["half"] else match[0], record))
    return [] if isinstance(row, str) else list(row)


def _kind(value: Any) -> str:
    text = bytes(value)
    if text[0] not in _WHOLE:
        return {b"n": "null", b"t": "bool", b"f": "bool", b'"': "string"}.get(text[:1], "json")
    if text.lstrip(b"-").isdigit():
        # A number that no numeric type holds exactly remains text.
        return "int" if len(text) < 16 else "long" if len(text) < 19 else "json"
    return "float" if math.isfinite(float(text)) else "json"


def _type(kinds: set[str]) -> pa.DataType:
    present = kinds - {"null"}
    if present <= {"int", "long"} and present:
        return pa.int64()
    if present <= {"int", "float"} and present:
        return pa.float64()
    return pa.bool_() if present == {"bool"} else pa.string()


def _check_names(names: Mapping[str, Any], line: int) -> None:
    if len(names) > _MOST_NAMES:
        raise InvalidFile(f"Line {line + 1}: the rows have more than {_MOST_NAMES} different columns.")
