"""Row batches: some rows of a table, the good ones as columns, the bad ones with line and reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from app.data import line_index
from app.data.cells import ARROW, Cells
from app.data.line_index import Index, Lexicon, never


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be predicted. `row` counts from 0; `line` from 1, where the format has lines."""

    row: int
    code: str
    detail: str
    line: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """As it stands in an error file."""
        return {"row": self.row, "line": self.line, "code": self.code, "detail": self.detail}


INVALID: Final = "invalid_row"


def _unknown(row: int) -> int | None:
    return None


def text_of_lines(data: bytes, line: int, first: int, lexicon: Lexicon) -> Callable[[int], int]:
    """Finds the line of a row in a block; looks for it only when a row is bad."""
    lines: list[int] = []

    def find(row: int) -> int:
        if not lines:
            lines.extend(line + 1 for line, _ in line_index.split(data, line, lexicon))
        return lines[row - first]

    return find


@dataclass(slots=True)
class RowBatch:
    """Good rows as a table with their numbers in the file, and bad rows. `line_of` returns the line of a row; `cells` says how values are written."""

    table: pa.Table
    rows: NDArray[np.int64]
    bad: list[BadRow] = field(default_factory=list)
    line_of: Callable[[int], int | None] = _unknown
    cells: Cells = ARROW

    @property
    def first(self) -> int:
        """The number of the first row, good or bad. A slice has at least one, and none is left out."""
        return min(map(int, [*self.rows[:1], *(bad.row for bad in self.bad)]))

    @property
    def count(self) -> int:
        """The number of rows, good and bad."""
        return len(self.rows) + len(self.bad)

    def cut(self, count: int) -> tuple[RowBatch, RowBatch | None]:
        """The first so many rows, and the others if there are any."""
        if count >= self.count:
            return self, None
        end = self.first + count
        at = int(np.searchsorted(self.rows, end))
        here, there = [bad for bad in self.bad if bad.row < end], [bad for bad in self.bad if bad.row >= end]
        return (
            RowBatch(self.table.slice(0, at), self.rows[:at], here, self.line_of, self.cells),
            RowBatch(self.table.slice(at), self.rows[at:], there, self.line_of, self.cells),
        )

    def without(self, wrong: NDArray[np.bool_], bad: Sequence[BadRow]) -> RowBatch:
        """The rows that are not wrong; `bad` says what the others are."""
        right = ~wrong
        return RowBatch(self.table.filter(pa.array(right)), self.rows[right], [*self.bad, *bad], self.line_of, self.cells)


class Reader(Protocol):
    """An open table. `step`: reading from a multiple of so many rows costs nothing extra; 1 where any row is as good."""

    columns: Mapping[str, pa.DataType]
    typed: bool
    """Does the file say the types of its columns? Else they are what takes them."""
    cells: Cells
    rows: int
    step: int

    def look_through(self, resume: Index | None = None, enough: Callable[[], bool] = never) -> Index | None:
        """Find the rows, in one pass, if the format does not say where they are.

        The pass stops once `enough()` is True: then the index is not `whole`, and the next call continues from it as `resume`.
        """
        ...

    def locate(self, index: Index) -> None:
        """What `look_through` has found, now or earlier."""
        ...

    def read(self, first: int, count: int, columns: Sequence[str] | None, most: int) -> Iterator[RowBatch]:
        """The rows from `first`, about `most` at once, with these columns only; with all of them for None."""
        ...
