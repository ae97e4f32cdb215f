from __future__ import annotations

from typing import Any

import pytest

from app.core.columnar_inputs import from_columns, from_frame
from app.core.errors import CeleriacError
from tests.core.test_inputs import MIXED, NARROW, TABLE, TEXTS, values

RECORDS: list[dict[str, Any]] = [{"age": 1.5, "city": "Oulu", "n": 1}, {"age": None, "city": "Vaasa", "n": 2}]


def test_columns_by_name_mean_the_same_as_records() -> None:
    columns = {name: [record[name] for record in RECORDS] for name in ("n", "city", "age")}
    assert values(from_columns(MIXED, columns))[1:] == [["Oulu", "Vaasa"], [1, 2]]
    assert values(from_columns(TABLE, {"width": [2, 4], "height": [1, 3]})) == [[1.0, 2.0, 3.0, 4.0]]


@pytest.mark.parametrize("columns", [[[1, 2], [3, 4]], {"input": [[1, 2], [3, 4]]}])
def test_the_only_input_needs_no_name(columns: Any) -> None:
    assert values(from_columns(TABLE, columns)) == values(from_columns(NARROW, columns)) == [[1.0, 2.0, 3.0, 4.0]]


def test_a_frame_matches_by_name_or_by_the_numbers_of_pandas() -> None:
    assert values(from_frame(TABLE, ["width", "height"], [[2, 1]], "")) == [[1.0, 2.0]]
    assert values(from_frame(TABLE, [0, 1], [[2, 1]], "")) == [[2.0, 1.0]]
    assert values(from_frame(TEXTS, [0], [["a"], ["b"]], "")) == [["a", "b"]]
    assert values(from_frame(NARROW, ["any", "name"], [[2, 1]], "")) == [[2.0, 1.0]]
    rows = [[record["city"], record["n"], record["age"]] for record in RECORDS]
    assert values(from_frame(MIXED, ["city", "n", "age"], rows, ""))[1:] == [["Oulu", "Vaasa"], [1, 2]]


@pytest.mark.parametrize(
    ("columns", "pointer", "message"),
    [
        ({"height": [1], "width": 2}, "/inputs/width", "Column 'width' must be a list with a value for each row, not 2."),
        ({"height": [1], "width": [2, 3]}, "/inputs/width", "Column 'width' has 2 values, and the first one has 1."),
        ({"height": [1], "weight": [2]}, "/inputs/0/weight", "Row 0 has a column 'weight' that the model does not know"),
        ({}, "/inputs", "inputs must be a list of at least one row"),
        (7, "/inputs", "inputs must be a list of at least one row"),
    ],
)
def test_a_wrong_column_is_named(columns: Any, pointer: str, message: str) -> None:
    with pytest.raises(CeleriacError) as caught:
        from_columns(TABLE, columns)
    assert (caught.value.pointer, caught.value.detail[: len(message)]) == (pointer, message)


@pytest.mark.parametrize(
    ("columns", "rows", "pointer", "message"),
    [
        (["height", "height"], [[1, 2]], "/f/columns", "Two columns have the same name."),
        ([["height", "cm"], ["width", "cm"]], [[1, 2]], "/f/columns", "The names of columns must be strings or integers"),
        (["height", "width"], [[1, 2], [3]], "/f/data/1", "Row 1 must be a list of 2 values, one for each column."),
        (["height", "weight"], [[1, 2]], "/f/data/0/weight", "Row 0 has a column 'weight' that the model does not know"),
        (["height", "width"], [[1, "x"]], "/f/data/0/width", ""),
    ],
)
def test_what_is_wrong_with_a_frame_is_named(columns: Any, rows: Any, pointer: str, message: str) -> None:
    with pytest.raises(CeleriacError) as caught:
        from_frame(TABLE, columns, rows, "/f")
    assert (caught.value.pointer, caught.value.detail[: len(message)]) == (pointer, message)
