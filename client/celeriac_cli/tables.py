"""Tables as rows of JSON values: CSV as it is written, and the columns that a model takes."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf, isinf, prod
from typing import Any, Final

from celeriac_cli.errors import CLIError, Exit

_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_WHOLE: Final = re.compile(r"[+-]?\d+", re.ASCII)
_TRUTHS: Final = {"true": True, "false": False}
_MISSING: Final = frozenset(
    ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-NaN", "-nan", "NAN", "NULL", "Null", "null", "None", "none")
)
"""Cells that mean a missing number, truth value or timestamp. In a column of text only the empty cell is missing."""
_DELIMITERS: Final = ",;\t|"
_QUOTED: Final = re.compile(r'"[^"]*"')
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How a CSV file is written.

    Attributes:
        delimiter: what separates values; None if the first line decides.
        decimal: `.` or `,`.
        quote: the quote; "" if a quote is a character like any other.
        encoding: `utf-8` or a single-byte encoding.
        na_values: texts that mean a missing value in every column.
        header: True: the first line names the columns. False: it is a row. None: it names them, and numbers are refused.
    """

    delimiter: str | None = None
    decimal: str = "."
    quote: str = '"'
    encoding: str = "utf-8"
    na_values: tuple[str, ...] = ()
    header: bool | None = None

    def __post_init__(self) -> None:
        """Raise CLIError that names an invalid option."""
        if self.decimal not in (".", ","):
            raise CLIError(f"decimal is {self.decimal!r}. Use . or a comma.", Exit.USAGE)
        for name, value in (("delimiter", self.delimiter), ("quote", self.quote)):
            if value and (len(value) != 1 or not value.isascii() or value in "\r\n\0" or value.isalnum()):
                raise CLIError(f"{name} is {value!r}. Use one ASCII character that is not a letter or a digit.", Exit.USAGE)
        given = [value for value in (self.delimiter, self.decimal, self.quote) if value]
        if len(set(given)) < len(given):
            raise CLIError("delimiter, decimal and quote must differ from each other", Exit.USAGE)
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            message = f"Encoding {self.encoding!r} is not supported. Use utf-8 or a single-byte encoding such as latin-1 or cp1252."
            raise CLIError(message, Exit.USAGE) from None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a file. `columns` is empty if the file has no names; `lines` holds the line of each row, if it has lines.

    `decode` turns the cells of one column into JSON values; its second argument is the datatype that the model takes, or None.
    """

    columns: tuple[str, ...]
    cells: list[Any]
    lines: list[int] = field(default_factory=list)
    decode: Callable[[list[Any], str | None], list[Any]] = lambda cells, datatype: cells

    def rows(self, name: str, manifest: dict[str, Any] | None) -> list[Any]:
        """The rows in the order of the model's inputs; records without a manifest. Raises CLIError that names a missing column."""
        if not self.columns:
            return self.cells
        if manifest is None:
            values = [self._column(name, at, None) for at in range(len(self.columns))]
            return [dict(zip(self.columns, row, strict=True)) for row in zip(*values, strict=True)]
        inputs = manifest["inputs"]
        taken = self._taken(name, manifest)
        widths = [prod(spec["shape"][1:]) for spec in inputs]
        if len(widths) == 1 and widths[0] < 0:
            widths = [len(taken)]
        if sum(widths) != len(taken):
            message = f"{name}: {manifest['name']!r} takes {sum(widths)} columns, and these are {len(taken)}: {_listed(taken)}"
            raise CLIError(message, Exit.USAGE)
        left = iter(taken)
        groups = []
        for spec, width in zip(inputs, widths, strict=True):
            columns = [self._column(name, self.columns.index(next(left)), spec["datatype"]) for _ in range(width)]
            groups.append([_shaped(list(row), spec["shape"][1:]) for row in zip(*columns, strict=True)])
        return groups[0] if len(groups) == 1 else [list(row) for row in zip(*groups, strict=True)]

    def _taken(self, name: str, manifest: dict[str, Any]) -> list[str]:
        """The columns that the model takes: by name if model and file have names, otherwise by place."""
        first, *more = manifest["inputs"]
        named = more or (len(first["shape"]) == 1 and first["name"] in self.columns)
        names = [spec["name"] for spec in manifest["inputs"]] if named else list(first.get("columns") or ())
        if not names or self.columns == tuple(str(at) for at in range(len(self.columns))):
            return [column for column in self.columns if column]  # pandas writes its index under an empty name
        missing = [column for column in names if column not in self.columns]
        if missing:
            message = f"{name} lacks {_listed(missing)}, which {manifest['name']!r} takes; it has {_listed(self.columns)}"
            raise CLIError(f"{message}: rename them", Exit.USAGE)
        return names

    def _column(self, name: str, at: int, datatype: str | None) -> list[Any]:
        try:
            return self.decode([row[at] for row in self.cells], datatype)
        except ValueError as error:
            raise CLIError(f"{name}: Column {self.columns[at]!r}: {error}.", Exit.USAGE) from None


def read_csv(data: bytes, name: str, options: TableOptions) -> Table:
    """A table of CSV. Raises CLIError that names the line."""
    try:
        text = data.decode("utf-8-sig" if options.encoding.lower() in ("utf-8", "utf8") else options.encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        encoding = "UTF-8" if options.encoding == "utf-8" else options.encoding
        message = f"{name}, line {line}: the byte {data[error.start]:#x} is not {encoding}: save the file as UTF-8, or name its encoding"
        raise CLIError(message, Exit.USAGE) from None
    records = list(_records(text, name, options))
    if not records:
        return Table((), [])
    line, first = records[0]
    if options.header is False:
        columns = tuple(str(at) for at in range(len(first)))
    else:
        columns = _named(first, f"{name}, line {line}", options)
        records = records[1:]
    for line, cells in records:
        if len(cells) != len(columns):
            count = "1 value" if len(cells) == 1 else f"{len(cells)} values"
            message = f"{name}, line {line}: it has {count}, and the first line has {len(columns)} columns"
            raise CLIError(message, Exit.USAGE)

    def decode(cells: list[str], datatype: str | None) -> list[Any]:
        return _decoded(cells, datatype, options)

    return Table(columns, [cells for _, cells in records], [line for line, _ in records], decode)


def _records(text: str, name: str, options: TableOptions) -> Iterator[tuple[int, list[str]]]:
    """Line and cells of each record. Blank lines are skipped."""
    delimiter = options.delimiter or _guessed(text, options)
    quoting: dict[str, Any] = {"quotechar": options.quote} if options.quote else {"quoting": csv.QUOTE_NONE}
    csv.field_size_limit(1 << 30)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, **quoting)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise CLIError(f"{name}, line {line}: {error} (is a quote not closed?)", Exit.USAGE) from None


def _guessed(text: str, options: TableOptions) -> str:
    """The most frequent of the usual delimiters in the first line, outside quotes."""
    line = re.split(r"[\r\n]", text, maxsplit=1)[0]
    line = _QUOTED.sub("", line) if options.quote == '"' else line
    return max((delimiter for delimiter in _DELIMITERS if delimiter not in (options.decimal, options.quote)), key=line.count)


def _named(cells: list[str], place: str, options: TableOptions) -> tuple[str, ...]:
    names = tuple(cell.strip() for cell in cells)
    for name, count in Counter(names).items():
        if count > 1 and name:
            raise CLIError(f"{place}: two columns are called {name!r}: give each column a name of its own", Exit.USAGE)
    if "" in names[1:] or names == ("",):
        raise CLIError(f"{place}: a column has no name: give each column a name of its own", Exit.USAGE)
    if options.header is None and all(_NUMBER.fullmatch(name) for name in names):
        message = f"{place}: it holds numbers, where the names of the columns are expected"
        raise CLIError(f"{message}: set header to false if it is a row, or to true if these are names", Exit.USAGE)
    return names


def _decoded(cells: list[str], datatype: str | None, options: TableOptions) -> list[Any]:
    """Cells as JSON values. If the datatype is known, text: the server reads it by the rules that a batch follows.

    Raises ValueError for a number with a decimal point if the options declare a comma.
    """
    if datatype == "BYTES":
        return [None if cell == "" or cell in options.na_values else cell for cell in cells]
    texts = [None if cell.strip() in _MISSING or cell in options.na_values else cell for cell in cells]
    if datatype is not None:
        number = datatype not in ("BOOL", "TIMESTAMP") and options.decimal == ","
        return [_with_point(text) if number and text is not None else text for text in texts]
    values = [text if text is None else _value(text, options.decimal) for text in texts]
    return _decoded(cells, "BYTES", options) if any(isinstance(value, str) for value in values) else values


def _with_point(text: str) -> str:
    number = text.strip()
    if "." in number and _NUMBER.fullmatch(number):
        raise ValueError(f"{text!r} is not a number with a decimal comma")
    return number.replace(",", ".", 1)


def _value(cell: str, decimal: str) -> Any:
    text = cell.strip()
    if text.lower() in _TRUTHS:
        return _TRUTHS[text.lower()]
    number = text.replace(",", ".") if decimal == "," and "." not in text else text
    if _WHOLE.fullmatch(number):
        return int(number) if len(number) < 4000 else cell
    value = float(number) if _NUMBER.fullmatch(number) else inf
    return cell if isinf(value) else value


def _shaped(values: list[Any], shape: Sequence[int]) -> Any:
    """The values of one row as nested lists of a shape; the one value if the shape is empty."""
    if not shape:
        return values[0]
    if len(shape) == 1:
        return values
    step = prod(shape[1:])
    return [_shaped(values[at : at + step], shape[1:]) for at in range(0, len(values), step)]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
