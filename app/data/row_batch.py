"""Row batches: some rows of a table, good rows as columns, bad rows with line and reason."""

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
        """Return the entry of an error file."""
        return {"row": self.row, "line": self.line, "code": self.code, "detail": self.detail}


INVALID: Final = "invalid_row"


def _unknown(row: int) -> int | None:
    return None


def text_of_lines(data: bytes, line: int, first: int, lexicon: Lexicon) -> Callable[[int], int]:
    """Return a function that returns the line of a row in a block. It searches the block only when it is called."""
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
        """The number of the first row, good or bad. A batch has at least one row and no gaps."""
        return min(map(int, [*self.rows[:1], *(bad.row for bad in self.bad)]))

    @property
    def count(self) -> int:
        """The number of rows, good and bad."""
        return len(self.rows) + len(self.bad)

    def cut(self, count: int) -> tuple[RowBatch, RowBatch | None]:
        """Split off the first `count` rows. The second part is None if no rows remain."""
        if count >= self.count:
            return self, None
        end = self.first + count
        at = int(np.searchsorted(self.rows, end))
        before, after = [bad for bad in self.bad if bad.row < end], [bad for bad in self.bad if bad.row >= end]
        return (
            RowBatch(self.table.slice(0, at), self.rows[:at], before, self.line_of, self.cells),
            RowBatch(self.table.slice(at), self.rows[at:], after, self.line_of, self.cells),
        )

    def without(self, wrong: NDArray[np.bool_], bad: Sequence[BadRow]) -> RowBatch:
        """The rows that are not wrong; `bad` says what the others are."""
        right = ~wrong
        return RowBatch(self.table.filter(pa.array(right)), self.rows[right], [*self.bad, *bad], self.line_of, self.cells)


class Reader(Protocol):
    """An open table. `step`: number of rows whose multiples are cheap to start reading at; 1 if every row is."""

    columns: Mapping[str, pa.DataType]
    typed: bool
    """Whether the file declares the types of its columns. Otherwise the model that takes a column decides."""
    cells: Cells
    rows: int
    step: int

    def look_through(self, resume: Index | None = None, enough: Callable[[], bool] = never) -> Index | None:
        """Find the rows, in one pass, if the format does not contain their location.

        The pass stops once `enough()` is True: then the index is not `whole`, and the next call continues from it as `resume`.
        """
        ...

    def locate(self, index: Index) -> None:
        """Use rows that `look_through` found."""
        ...

    def read(self, first: int, count: int, columns: Sequence[str] | None, most: int) -> Iterator[RowBatch]:
        """Yield the rows from `first`, about `most` per batch, with these columns only; None means all columns."""
        ...
