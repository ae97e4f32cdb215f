from __future__ import annotations

import pytest

from app.core.chunk_size import ChunkSize

MOST = 1 << 15


@pytest.mark.parametrize("call_s", [1e-5, 1e-3, 0.02, 1.0])
@pytest.mark.parametrize("row_s", [1e-7, 1e-4, 0.01, 1.0])
def test_calls_are_short_and_most_of_their_time_goes_into_rows(call_s: float, row_s: float) -> None:
    pace = ChunkSize(MOST)
    for _ in range(30):
        pace.took(pace.rows, call_s + pace.rows * row_s)
    took = call_s + pace.rows * row_s
    assert took <= max(0.015, 4 * (call_s + row_s)) * 1.01
    assert pace.rows * row_s >= took / 2 or pace.rows == MOST


@pytest.mark.parametrize(("call_s", "row_s"), [(1e-3, 0.01), (0.02, 1e-4), (1e-5, 1e-7)])
def test_what_was_learned_of_other_rows_is_forgotten(call_s: float, row_s: float) -> None:
    pace = ChunkSize(MOST, rows=10_000, call_s=1e-3)
    for _ in range(30):
        pace.took(pace.rows, call_s + pace.rows * row_s)
    assert pace.rows * row_s >= (call_s + pace.rows * row_s) / 5 or pace.rows == MOST
    assert call_s + pace.rows * row_s <= 0.1


def test_a_stall_is_forgotten() -> None:
    pace = ChunkSize(MOST, 100, 0.001)
    pace.took(100, 10.0)
    for _ in range(10):
        pace.took(pace.rows, 0.001 + pace.rows * 1e-4)
    assert pace.rows > 50


def test_the_bound_holds() -> None:
    pace = ChunkSize(7)
    for _ in range(5):
        pace.took(pace.rows, 1e-6)
    assert pace.rows == 7
