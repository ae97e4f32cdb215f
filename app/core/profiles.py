"""The reference profile of a version: what the rows looked like that it was made for, and what it predicted for them.

A column is a feature of an input, or of an output. Its values are counted in bins, and live traffic is counted in the same bins. The counts
of one column are its lanes: missing values first, then the bins, then what is in none of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, Final, Self

MIN_ROWS: Final = 100
"""Rows that a profile is made of at least: fewer say too little about a distribution."""
MAX_ROWS: Final = 10_000
"""Rows that it is made of at most. Of more, evenly spaced ones are taken."""
MAX_COLUMNS: Final = 100
"""Columns that a profile has at most. Further ones are left out."""
MAX_CATEGORIES: Final = 50
"""Categories of a column at most. Text with more different values is left out, because it may identify people."""


@dataclass(frozen=True, slots=True)
class Window:
    """A period whose live rows are compared with a profile, in buckets of which the last one may not have ended."""

    name: str
    bucket_s: int
    buckets: int

    @property
    def kept_s(self) -> int:
        """Seconds that a bucket is kept: this window and the one before it."""
        return (2 * self.buckets + 1) * self.bucket_s


WINDOWS: Final = (Window("1h", 300, 12), Window("24h", 3600, 24), Window("7d", 86400, 7))
"""The shortest first."""


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """The values of one column.

    Attributes:
        tensor: Name of the input or output.
        at: Position in a row of the tensor.
        name: Name of the column: that of the feature or class if it has one.
        missing: How many values were missing.
        counts: How many were in each bin; of categories, one more for all others.
        edges: Of numbers: the quantiles between which the bins are, from the smallest value to the largest one.
        categories: Of discrete values: the value of each bin, in ascending order.
        mean: Of numbers, as are `std`, `min` and `max`.
    """

    tensor: str
    at: int
    name: str
    missing: int
    counts: tuple[int, ...]
    edges: tuple[float, ...] = ()
    categories: tuple[Any, ...] = ()
    mean: float | None = None
    std: float | None = None
    min: float | None = None
    max: float | None = None

    @property
    def width(self) -> int:
        """The number of lanes."""
        return len(self.edges or self.categories) + 2

    @property
    def lanes(self) -> tuple[int, ...]:
        """The counts as lanes. Of numbers: missing, below the smallest one, the bins, above the largest one."""
        return (self.missing, 0, *self.counts, 0) if self.edges else (self.missing, *self.counts)

    @property
    def rows(self) -> int:
        """The number of values, missing ones included."""
        return self.missing + sum(self.counts)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Raises TypeError for an unknown or missing field, ValueError if the counts do not match the bins."""
        column = cls(**{**data, **{name: tuple(data.get(name) or ()) for name in ("counts", "edges", "categories")}})
        if len(column.lanes) != column.width or bool(column.edges) == bool(column.categories):
            raise ValueError(f"The profile of column {column.name!r} does not have one count for each bin.")
        return column


@dataclass(frozen=True)
class Profile:
    """The columns of the inputs and of the outputs of a version."""

    inputs: tuple[ColumnProfile, ...]
    outputs: tuple[ColumnProfile, ...]

    @cached_property
    def columns(self) -> tuple[ColumnProfile, ...]:
        """All columns, in the order of their lanes."""
        return self.inputs + self.outputs

    @cached_property
    def width(self) -> int:
        """The number of lanes of all columns."""
        return sum(column.width for column in self.columns)

    @cached_property
    def tensors(self) -> frozenset[str]:
        """The names of the inputs and outputs that have columns."""
        return frozenset(column.tensor for column in self.columns)

    @cached_property
    def digest(self) -> str:
        """A short name of the bins. Counts of different bins must not be added."""
        bins = [(column.tensor, column.at, column.edges, column.categories) for column in self.columns]
        return f"{zlib.crc32(repr(bins).encode()):08x}"

    def split(self, lanes: Sequence[int]) -> Iterator[tuple[ColumnProfile, Sequence[int]]]:
        """Yield each column with its part of the lanes."""
        ends = list(accumulate(column.width for column in self.columns))
        for column, end in zip(self.columns, ends, strict=True):
            yield column, lanes[end - column.width : end]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Raises TypeError, KeyError or ValueError if it is not a profile."""
        inputs, outputs = (tuple(ColumnProfile.from_dict(column) for column in data[side]) for side in ("inputs", "outputs"))
        return cls(inputs, outputs)
