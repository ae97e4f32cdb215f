"""A table costs in proportion to its size, also if the size comes from the number of its columns."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from typing import Final

import numpy as np
import pytest

from app.core.models import Manifest, TensorSpec
from app.core.tables import TableOptions
from app.data.columns import bind
from app.data.delimited import CsvReader
from app.data.tables import open_table

pytestmark = pytest.mark.slow
COLUMNS: Final = 2_500
FACTOR: Final = 4
"""How many times as many columns the wide table has: 10,000, as many as a JSONL file may have. Quadratic work costs 16 times as much."""
TOLERANCE: Final = 1.7
TRIES: Final = 3
ROUNDS: Final = 3
"""Quadratic work is above the tolerance in every round. Other processes on the machine are not."""


@pytest.fixture(autouse=True)
def untraced() -> Iterator[None]:
    """Measuring coverage would be most of the cost."""
    trace = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(trace)


def table(kind: str, columns: int) -> bytes:
    """Two rows of ones."""
    if kind == "npy":
        file = io.BytesIO()
        np.save(file, np.ones((2, columns)))
        return file.getvalue()
    names, ones = [str(at) for at in range(columns)], ["1"] * columns
    if kind == "jsonl":
        return (("{" + ",".join(f'"{name}":1' for name in names) + "}\n") * 2).encode()
    return "\n".join([",".join(names), *[",".join(ones)] * 2]).encode()


def cpu_s(kind: str, columns: int) -> float:
    """The least CPU time of reading a table. The model takes half of the columns, and the others are carried along."""
    taken = tuple(str(at) for at in range(columns // 2))
    manifest = Manifest("m", "1", "joblib", "m.joblib", "", (TensorSpec("input", "FP64", (-1, len(taken)), taken),), ())
    content, least = table(kind, columns), float("inf")
    for _ in range(TRIES):
        began = time.process_time()
        reader, _ = open_table(io.BytesIO(content), f"x.{kind}", None, TableOptions(header=True))
        reader.look_through()
        binding = bind(manifest, reader, taken)
        if isinstance(reader, CsvReader):
            reader.expect(binding.floats(manifest))
        batches = list(reader.read(0, reader.rows, binding.columns, 4))
        least = min(least, time.process_time() - began)
        assert sum(batch.table.num_rows for batch in batches) == 2
        assert {batch.table.num_columns for batch in batches} == {columns}
    return least


@pytest.mark.parametrize("kind", ["csv", "jsonl", "npy"])
def test_many_columns_cost_in_proportion(kind: str) -> None:
    assert any(cpu_s(kind, COLUMNS * FACTOR) < cpu_s(kind, COLUMNS) * FACTOR * TOLERANCE for _ in range(ROUNDS))
