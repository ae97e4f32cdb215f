"""Text tables, whose rows are records: one pass locates them, then they are read block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import IO, Final

import pyarrow as pa

from app.core.errors import InvalidFile
from app.core.tables import UTF8
from app.data import line_index
from app.data.line_index import LINES, Index, Lexicon

LOOK: Final = 1 << 20
"""Bytes at the start of a file that must contain the names of its columns."""
_BOM: Final = b"\xef\xbb\xbf"


class TextReader:
    """What CSV and JSONL have in common. The number of rows is known after `look_through`."""

    typed = False
    step = 1
    rows = 0
    columns: Mapping[str, pa.DataType]
    _file: IO[bytes]
    _begin: tuple[int, int]
    """Offset and line of the first record."""
    _lexicon: Lexicon = LINES
    _encoding = UTF8
    _index: Index | None = None

    def look_through(self, resume: Index | None = None, enough: Callable[[], bool] = line_index.never) -> Index:
        """Find the rows, as `Reader.look_through` describes."""
        index = line_index.index(self._file, *self._begin, self._lexicon, self._encoding, resume=resume, enough=enough)
        self.locate(index)
        return index

    def locate(self, index: Index) -> None:
        """Use rows that `look_through` found."""
        self._index, self.rows = index, index.records

    def blocks(self, first: int, count: int) -> Iterator[tuple[int, int, bytes, int]]:
        """Yield blocks: the first record, the end, the bytes and the line of the first record."""
        index = self._index
        assert index is not None, "rows are read by an index"
        for at in index.blocks(first, count) if count else ():
            begin, line, *_ = index.entries[at].tolist()
            data = line_index.block(self._file, index, at)
            end = int(index.entries[at + 1, 0])
            low, high = max(first, begin), min(first + count, end)
            if low >= high:
                continue  # blank lines alone
            if (low, high) != (begin, end):
                data, skipped = line_index.cut(data, low - begin, high - begin, self._lexicon)
                line += skipped
            yield low, high, data, line


def after_bom(file: IO[bytes]) -> int:
    """The offset after a byte order mark."""
    file.seek(0)
    return len(_BOM) if file.read(len(_BOM)) == _BOM else 0


def changed(line: int) -> InvalidFile:
    """Return the error for a block whose records have changed since it was indexed."""
    return InvalidFile(f"Line {line + 1}: {line_index.CHANGED}")
