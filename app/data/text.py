"""CSV and JSONL. A block is read at once by Arrow; where that fails, row by row, so that each bad row is told with its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.json as arrow_json

from app.core.errors import InvalidFile
from app.core.fields import TOO_DEEP, too_deep
from app.data import records
from app.data.records import Index
from app.data.slices import BadRow, Slice

_BOM: Final = b"\xef\xbb\xbf"
_LOOK: Final = 1 << 20
_INVALID: Final = "invalid_row"
_NULLS: Final = frozenset(arrow_csv.ConvertOptions().null_values)


class _TextReader:
    """What both have in common. How many rows there are is known when they were looked through."""

    typed = False
    step = 1
    rows = 0
    quoted: bool
    columns: Mapping[str, pa.DataType]
    _file: IO[bytes]
    _begin: tuple[int, int]
    """Offset and line of the first row."""
    _index: Index | None = None

    def look_through(self, resume: Index | None = None, enough: Callable[[], bool] = records.never) -> Index:
        index = records.index(self._file, *self._begin, quoted=self.quoted, resume=resume, enough=enough)
        self.locate(index)
        return index

    def locate(self, index: Index) -> None:
        self._index, self.rows = index, index.records

    def expect(self, types: Mapping[str, pa.DataType]) -> None:
        self.columns = {**self.columns, **types}

    def read(self, first: int, count: int, columns: Sequence[str], most: int) -> Iterator[Slice]:
        index = self._index
        assert index is not None, "rows are read by an index"
        for at in index.blocks(first, count) if count else ():
            begin, line, _ = index.entries[at].tolist()
            data = records.block(self._file, index, at)
            end = int(index.entries[at + 1, 0])
            low, high = max(first, begin), min(first + count, end)
            if low >= high:
                continue  # blank lines alone
            if (low, high) != (begin, end):
                data, skipped = self._cut(data, low - begin, high - begin)
                line += skipped
            found = self._fast(data, columns)
            if found is None or found.num_rows != high - low:
                yield self._slow(data, line, columns, low, high - low)
            else:
                yield Slice(found.select(list(columns)), np.arange(low, high), line_of=_Lines(data, line, low, quoted=self.quoted))

    def _cut(self, data: bytes, low: int, high: int) -> tuple[bytes, int]:
        """The records from `low` to `high`, and the lines before them."""
        stops, _ = records.ends(data, quoted=self.quoted)
        starts = np.concatenate(([0], stops + 1))
        stops = np.append(stops, len(data))
        there = np.flatnonzero(records.filled(data, starts, stops))
        begin, end = int(starts[there[low]]), int(stops[there[high - 1]])
        return data[begin:end] + b"\n", data.count(b"\n", 0, begin)

    def _slow(self, data: bytes, line: int, columns: Sequence[str], first: int, count: int) -> Slice:
        found = records.split(data, line, quoted=self.quoted)
        if len(found) != count:
            raise InvalidFile(f"line {line + 1}: there are {len(found)} records where {count} were: the file was changed meanwhile")
        bad: list[BadRow] = []
        good: list[int] = []
        values: list[list[Any]] = []
        for at, (line, record) in enumerate(found):
            row = self._values(record, columns)
            if isinstance(row, str):
                bad.append(BadRow(first + at, _INVALID, row, line + 1))
            else:
                good.append(first + at)
                values.append(row)
        arrays = [pa.array((row[at] for row in values), self.columns[name], size=len(values)) for at, name in enumerate(columns)]
        return Slice(pa.table(arrays, list(columns)), np.array(good, np.int64), bad)

    def _fast(self, data: bytes, columns: Sequence[str]) -> pa.Table | None:
        raise NotImplementedError

    def _values(self, record: bytes, columns: Sequence[str]) -> list[Any] | str:
        """One row's values, or what is wrong with it."""
        raise NotImplementedError


class _Lines:
    """Tells the line of a row; looks for it only when it is asked."""

    def __init__(self, data: bytes, line: int, first: int, *, quoted: bool) -> None:
        self._where, self._first, self._quoted = (data, line), first, quoted
        self._known: list[int] = []

    def __call__(self, row: int) -> int:
        self._known = self._known or [line + 1 for line, _ in records.split(*self._where, quoted=self._quoted)]
        return self._known[row - self._first]


class CsvReader(_TextReader):
    """Columns are named by the first line. All are text, as it stands there, but for those that are expected to be something else."""

    quoted = True

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        head, *where = _first_record(file)
        self._begin = (where[0], where[1])
        self._delimiter = max(",;\t", key=head.count)
        self._names = next(csv.reader([head], delimiter=self._delimiter))
        self._names = [name.strip() for name in self._names]
        twice = {name for name in self._names if self._names.count(name) > 1}
        if twice or "" in self._names:
            told = f"two columns are called {min(twice)!r}" if twice - {""} else "a column has no name"
            raise InvalidFile(f"line 1: {told}: give each column a name of its own")
        if "\n" in head:
            raise InvalidFile("line 1: the name of a column holds a line break")
        if all(map(_is_number, self._names)):
            raise InvalidFile("line 1: it holds numbers, where the names of the columns are wanted")
        self.columns = dict.fromkeys(self._names, pa.string())

    def _fast(self, data: bytes, columns: Sequence[str]) -> pa.Table | None:
        try:
            return arrow_csv.read_csv(
                pa.BufferReader(data),
                arrow_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=self._names),
                arrow_csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True),
                arrow_csv.ConvertOptions(column_types=self.columns, include_columns=list(columns), strings_can_be_null=False),
            )
        except pa.ArrowInvalid:
            return None

    def _values(self, record: bytes, columns: Sequence[str]) -> list[Any] | str:
        cells = next(csv.reader(io.StringIO(record.decode(), newline=""), delimiter=self._delimiter))
        if len(cells) != len(self._names):
            hint = " (is a quote not closed?)" if b"\n" in record else ""
            return f"{len(cells)} values, where the first line names {len(self._names)} columns{hint}"
        given, found = dict(zip(self._names, cells, strict=True)), list[Any]()
        for name in columns:
            kind, text = self.columns[name], given[name]
            if kind == pa.string():
                found.append(text)
                continue
            try:
                found.append(None if text.strip() in _NULLS else pa.scalar(text.strip()).cast(kind).as_py())
            except pa.ArrowInvalid:
                return f"{name!r} is {text[:100]!r}, which is no number that fits into {kind}"
        return found


class JsonReader(_TextReader):
    """An object a line, or a list: then the columns are `0`, `1`, … Their types are those of the first lines, where no other is expected."""

    quoted = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._begin = file, (_after_bom(file), 0)
        file.seek(self._begin[0])
        look = file.read(_LOOK)
        whole = look[: look.rfind(b"\n") + 1] if b"\n" in look else look
        rows: list[dict[str, Any] | list[Any]] = []
        for line, record in records.split(whole, 0, quoted=False):
            row = _parsed(record)
            if isinstance(row, str):
                if not rows:
                    raise InvalidFile(f"line {line + 1}: {row}")
                continue
            rows.append(row)
        if not rows:
            raise InvalidFile("the file holds no rows")
        self._listed = isinstance(rows[0], list)
        given = [_record(row) for row in rows]
        names = dict.fromkeys(name for row in given for name in row)
        self.columns = {name: _inferred([row.get(name) for row in given]) for name in names}

    def _fast(self, data: bytes, columns: Sequence[str]) -> pa.Table | None:
        if self._listed:
            return None
        schema = pa.schema([(name, self.columns[name]) for name in columns])
        try:
            return arrow_json.read_json(
                pa.BufferReader(data),
                arrow_json.ReadOptions(use_threads=False, block_size=len(data) + 1),
                arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
            )
        except pa.ArrowInvalid:
            return None

    def _values(self, record: bytes, columns: Sequence[str]) -> list[Any] | str:
        row = _parsed(record)
        if isinstance(row, str):
            return row
        given, found = _record(row), list[Any]()
        for name in columns:
            value, kind = given.get(name), self.columns[name]
            try:
                if isinstance(value, bool) and not pa.types.is_boolean(kind):
                    raise pa.ArrowInvalid("a truth value")
                found.append(pa.scalar(value, kind).as_py())
            except (pa.ArrowException, OverflowError):
                return f"{name!r} is {str(value)[:100]!r}, where {kind} is wanted"
        return found


def _first_record(file: IO[bytes]) -> tuple[str, int, int]:
    """The first line's text, where the next begins, and its line. Raises InvalidFile."""
    start = _after_bom(file)
    file.seek(start)
    look = file.read(_LOOK)
    stops, _ = records.ends(look, quoted=True)
    end = int(stops[0]) if len(stops) else len(look)
    try:
        head = look[:end].removesuffix(b"\r").decode()
    except UnicodeDecodeError as error:
        raise InvalidFile(f"line 1: the byte {look[error.start]:#x} is not UTF-8: save the file as UTF-8") from None
    if not head.strip():
        raise InvalidFile("line 1: it is blank, where the names of the columns are wanted")
    return head, start + min(end + 1, len(look)), look.count(b"\n", 0, end + 1)


def _after_bom(file: IO[bytes]) -> int:
    file.seek(0)
    return len(_BOM) if file.read(len(_BOM)) == _BOM else 0


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parsed(record: bytes) -> dict[str, Any] | list[Any] | str:
    try:
        found = orjson.loads(record)
    except orjson.JSONDecodeError as error:
        return f"it is not JSON: {error}"
    if too_deep(found):
        return TOO_DEEP
    return found if isinstance(found, dict | list) else f"it is {type(found).__name__}, where an object or a list is wanted"


def _record(row: dict[str, Any] | list[Any]) -> dict[str, Any]:
    return row if isinstance(row, dict) else {str(at): value for at, value in enumerate(row)}


def _inferred(values: list[Any]) -> pa.DataType:
    try:
        kind = pa.array(values).type
    except pa.ArrowException:
        return pa.string()
    return pa.string() if pa.types.is_null(kind) else kind
