"""Parquet and NPY: formats that contain the location of their rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.core.errors import InvalidFile
from app.core.tables import TableOptions
from app.data.cells import ARROW
from app.data.line_index import CHANGED, Index, never
from app.data.row_batch import RowBatch

_BUFFER: Final = 1 << 16
_WIDEST: Final = 1 << 20
"""Values of a row of NPY, each of which is a column."""
_WIDEST_EMPTY: Final = 1 << 16
"""The same of a file without rows, whose size bounds nothing."""


class _Located:
    """What both formats have in common: the rows need no search."""

    typed = True
    cells = ARROW
    columns: Mapping[str, pa.DataType]

    def look_through(self, resume: Index | None = None, enough: Callable[[], bool] = never) -> Index | None:
        return None

    def locate(self, index: Index) -> None: ...


class ParquetReader(_Located):
    """Reads Parquet. Raises InvalidFile if the footer cannot be read, for example in a truncated file."""

    def __init__(self, file: IO[bytes], options: TableOptions | None = None) -> None:
        """Open a file."""
        try:
            # Pages are read when they are needed: a row group of a million rows is never completely in memory.
            self._file = pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER)
        except (pa.ArrowException, OSError) as error:
            raise InvalidFile(f"The Parquet file is cut off or damaged: {_first_line(error)}") from None
        self.columns = {field.name: field.type for field in self._file.schema_arrow}
        if len(self.columns) < len(self._file.schema_arrow):
            raise InvalidFile("Two columns of the Parquet file have the same name. Give each column a name of its own.")
        about = self._file.metadata
        self.rows = int(about.num_rows)
        self._groups = [about.row_group(at).num_rows for at in range(about.num_row_groups)]
        alike = set(self._groups[:-1])
        self.step = alike.pop() if len(alike) == 1 else 1

    def read(self, first: int, count: int, columns: Sequence[str] | None, most: int) -> Iterator[RowBatch]:
        """Yield rows, as `Reader.read` describes."""
        begins = np.cumsum([0, *self._groups])
        low = int(np.searchsorted(begins, first, side="right")) - 1
        high = int(np.searchsorted(begins, first + count, side="left"))
        at = int(begins[low])
        try:
            groups = list(range(low, high))
            for batch in self._file.iter_batches(
                most, row_groups=groups, columns=None if columns is None else list(columns), use_threads=False
            ):
                begin, end = max(first - at, 0), min(first + count - at, batch.num_rows)
                if begin < end:
                    yield RowBatch(pa.table(batch).slice(begin, end - begin), np.arange(at + begin, at + end))
                at += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise InvalidFile(f"The Parquet file is damaged near row {at}: {_first_line(error)}") from None


class ArrayReader(_Located):
    """A two-dimensional array, or one of more dimensions with its rows flattened; its columns are `0`, `1` and so on."""

    step: int = 1

    def __init__(self, file: IO[bytes], options: TableOptions | None = None) -> None:
        """Open a file."""
        self._file = file
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, column_major, dtype = read(file)
        except (ValueError, EOFError) as error:
            raise InvalidFile(f"The NPY file is damaged: {error}") from None
        if column_major and len(shape) > 1:
            raise InvalidFile("The NPY file is stored in column-major order. Save np.ascontiguousarray(array).")
        if dtype.kind not in "biuf" or dtype.itemsize > 8 or not shape or min(shape) < 0 or (0 in shape[1:] and shape[0]):
            raise InvalidFile(f"The NPY file holds {dtype} values in the shape {list(shape)}: rows of numbers are expected.")
        self._begin, self._dtype, self.rows = file.tell(), dtype, int(shape[0])
        self._width = math.prod(shape[1:])
        if self._width > (_WIDEST if self.rows else _WIDEST_EMPTY):
            raise InvalidFile(f"The NPY file has rows of {self._width} values, more than {_WIDEST}: its shape is {list(shape)}.")
        kind = pa.from_numpy_dtype(dtype.newbyteorder("="))
        self.columns = {str(at): kind for at in range(self._width)}
        have, want = file.seek(0, 2) - self._begin, self.rows * self._width * dtype.itemsize
        if have < want:
            raise InvalidFile(f"The NPY file is cut off: {have} bytes of data, and its shape {list(shape)} needs {want}.")

    def read(self, first: int, count: int, columns: Sequence[str] | None, most: int) -> Iterator[RowBatch]:
        """Yield rows, as `Reader.read` describes."""
        columns = list(self.columns) if columns is None else columns
        chosen, line = [int(name) for name in columns], self._width * self._dtype.itemsize
        for at in range(first, first + count, most):
            size = min(most, first + count - at)
            self._file.seek(self._begin + at * line)
            data = self._file.read(size * line)
            if len(data) != size * line:
                raise InvalidFile(CHANGED)
            values = np.frombuffer(data, self._dtype).reshape(size, self._width)
            arrays = [values[:, at].astype(self._dtype.newbyteorder("="), copy=False) for at in chosen]
            yield RowBatch(pa.table(arrays, list(columns)), np.arange(at, at + size))


def _first_line(error: Any) -> str:
    return str(error).partition("\n")[0]
