"""CSV: every cell as text. Arrow parses the file; the column that takes a cell decides what it means."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from app.core.errors import InvalidFile
from app.core.tables import UTF8, TableOptions
from app.core.values import NUMBER, about
from app.data import line_index
from app.data.cells import Cells, Form, texts_that_mean_missing
from app.data.line_index import Lexicon
from app.data.row_batch import INVALID, BadRow, RowBatch, text_of_lines
from app.data.text import LOOK, TextReader, after_bom, changed

_QUOTED: Final = re.compile(r'"[^"]*"')
_DELIMITERS: Final = ",;\t|"
csv.field_size_limit(LOOK)  # a name may be as long as the line
_TORN: Final = "text follows a closing quote: write each quote inside a quoted value twice"
INDEX: Final = ""
"""The name of the first column of a file that pandas wrote with its index: it has none."""


class CsvReader(TextReader):
    """Reads CSV. The names of the columns are known when the file is opened."""

    def __init__(self, file: IO[bytes], options: TableOptions | None = None) -> None:
        """Open a file."""
        self._floats: Sequence[str] = ()
        self._file, self.options = file, options or TableOptions()
        self.cells = Cells(Form.TEXT, self.options.decimal, self.options.na_values)
        start = after_bom(file)
        file.seek(start)
        look = file.read(LOOK)
        self.columns = {}
        self._names, self._begin = list[str](), (start, 0)
        self._encoding = self.options.encoding
        self._delimiter = self.options.delimiter or self._guessed(look)
        self._lexicon = Lexicon(self._delimiter.encode(), self.options.quote.encode(), returns=True)
        if not look.strip() and len(look) < LOOK:
            self._begin = (start + len(look), line_index.lines_in(look, self._lexicon))
            return  # no names, and no rows
        head, begin, line = self._first_record(look)
        if self.options.header is not False and line_index.after_quotes(head, self._lexicon):
            raise InvalidFile(f"Line 1: {_TORN}.")
        cells = self._parsed_line(head)
        if self.options.header is False:
            self._names = [str(at) for at in range(len(cells))]
        else:
            self._names, self._begin = self._named(cells), (start + begin, line)
        self.columns = dict.fromkeys(self._names, pa.string())

    def read(self, first: int, count: int, columns: Sequence[str] | None, most: int) -> Iterator[RowBatch]:
        """Yield rows, as `Reader.read` describes."""
        columns = list(self.columns) if columns is None else columns
        for low, high, data, line in self.blocks(first, count):
            yield self._slice(data, line, low, high, columns)

    def _slice(self, data: bytes, line: int, low: int, high: int, columns: Sequence[str]) -> RowBatch:
        lines, bad = text_of_lines(data, line, low, self._lexicon), list[BadRow]()

        def refuse(row: Any) -> str:
            at = low + row.number - 1
            problem = f"it has {_count(row.actual_columns, 'value')}, and the first line has {_count(row.expected_columns, 'column')}"
            hint = " (is a quote not closed?)" if "\n" in row.text else ""
            bad.append(BadRow(at, INVALID, problem + hint, lines(at)))
            return "skip"

        table = self._numbers(data, list(columns), refuse)
        if table is None:
            bad.clear()
            table = self._arrow(data, list(columns), refuse)
        if table.num_rows + len(bad) != high - low:
            raise changed(line)
        rows = np.arange(low, high)
        if bad:
            rows = np.delete(rows, [bad_row.row - low for bad_row in bad])
        return self._without_torn(RowBatch(table.select(list(columns)), rows, bad, lines, self.cells), data, low)

    def _without_torn(self, batch: RowBatch, data: bytes, low: int) -> RowBatch:
        """The batch without rows in which text follows a closing quote. Arrow would join the two."""
        torn = line_index.after_quotes(data, self._lexicon)
        if not torn:
            return batch
        wrong = np.isin(batch.rows, [low + at for at in torn])
        bad = [BadRow(row, INVALID, self._torn(torn[row - low]), batch.line_of(row)) for row in batch.rows[wrong].tolist()]
        batch = batch.without(wrong, bad)
        batch.bad.sort(key=lambda bad_row: bad_row.row)
        return batch

    def _torn(self, before: bytes) -> str:
        """Return the error for a record by what is before the text that follows a quote. Its width is right."""
        return about(self._names[len(self._parsed_line(before)) - 1], _TORN)

    def expect(self, numbers: Collection[str]) -> None:
        """Set the columns that are declared as floating-point numbers: Arrow can parse these directly."""
        self._floats = [name for name in numbers if name in self.columns]

    def _numbers(self, data: bytes, columns: list[str], refuse: Any) -> pa.Table | None:
        """Read the table with numbers parsed by Arrow; None if Arrow may have misread one of them."""
        wanted = set(columns)
        floats = [name for name in self._floats if name in wanted]
        if not floats:
            return None
        try:
            table = self._arrow(data, columns, refuse, floats)
        except InvalidFile:
            return None
        return table if all(pc.all(pc.is_finite(table[name])).as_py() is not False for name in floats) else None

    def _arrow(self, data: bytes, columns: list[str], refuse: Any, floats: Sequence[str] = ()) -> pa.Table:
        # Given no column to read, Arrow would read all of them.
        names, wanted = self._names, columns or self._names[:1]
        types = dict.fromkeys(wanted, pa.string()) | dict.fromkeys(floats, pa.float64())
        try:
            return arrow_csv.read_csv(
                pa.BufferReader(data),
                arrow_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names, encoding=self.options.encoding),
                arrow_csv.ParseOptions(
                    delimiter=self._delimiter, quote_char=self.options.quote or False, newlines_in_values=True, invalid_row_handler=refuse
                ),
                arrow_csv.ConvertOptions(
                    column_types=types,
                    include_columns=wanted,
                    strings_can_be_null=False,
                    null_values=texts_that_mean_missing("FP64", self.cells),
                    decimal_point=self.options.decimal,
                ),
            )
        except pa.ArrowInvalid as error:
            raise InvalidFile(f"The file cannot be read as CSV: {str(error).partition(chr(10))[0]}") from None

    def _guessed(self, look: bytes) -> str:
        """The most frequent of the usual delimiters in the first line, outside quotes; the decimal comma is not a delimiter."""
        line = re.split(rb"[\r\n]", look, maxsplit=1)[0].decode("latin-1")
        text = _QUOTED.sub("", line) if self.options.quote == '"' else line
        usual = [delimiter for delimiter in _DELIMITERS if delimiter not in (self.options.decimal, self.options.quote)]
        best = max(usual, key=text.count)
        # Numbers with a decimal comma may be quoted, as pandas writes them.
        return "," if best not in text and "," in text else best

    def _first_record(self, look: bytes) -> tuple[bytes, int, int]:
        """The first record, and the offset and line after it. Raises InvalidFile."""
        [(_, head), *_] = line_index.split(look, 0, self._lexicon) or [(0, b"")]
        if not look[: len(head)].strip() or not look.startswith(head):
            raise InvalidFile("Line 1 is blank, where the names of the columns are expected.")
        if len(head) >= LOOK - 2:
            raise InvalidFile(f"Line 1 is longer than {LOOK} bytes.")
        try:
            head.decode(self.options.encoding)
        except UnicodeDecodeError as error:
            name = "UTF-8" if self.options.encoding == UTF8 else self.options.encoding
            raise InvalidFile(
                f"Line 1: the byte {head[error.start]:#x} is not {name}. Save the file as UTF-8, or name its encoding."
            ) from None
        end = len(head) + (2 if look[len(head) : len(head) + 2] == b"\r\n" else 1)
        return head, min(end, len(look)), line_index.lines_in(look[:end], self._lexicon)

    def _parsed_line(self, head: bytes) -> list[str]:
        lines = io.StringIO(head.decode(self.options.encoding), newline="")
        if self.options.quote:
            return next(csv.reader(lines, delimiter=self._delimiter, quotechar=self.options.quote))
        return next(csv.reader(lines, delimiter=self._delimiter, quoting=csv.QUOTE_NONE))

    def _named(self, cells: list[str]) -> list[str]:
        names = [name.strip() for name in cells]
        for name, count in Counter(names).items():
            if count > 1 and name:
                raise InvalidFile(f"Line 1: two columns are called {name!r}. Give each column a name of its own.")
        if "" in names[1:] or names == [""]:
            at = names.index("", 1) + 1 if len(names) > 1 else 1
            raise InvalidFile(f"Line 1: column {at} has no name. Give each column a name of its own.")
        if any("\n" in name or "\r" in name for name in names):
            raise InvalidFile("Line 1: the name of a column holds a line break.")
        if self.options.header is None and all(NUMBER.fullmatch(name) for name in names):
            problem = "Line 1 holds numbers, where the names of the columns are expected"
            raise InvalidFile(f"{problem}. Set header to false (--no-header) if it is a row, or to true (--header) if these are names.")
        return names


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
