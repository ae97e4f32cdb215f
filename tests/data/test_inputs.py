"""The rows of a table in a request, as the inputs of a model."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.core.errors import InvalidFile, InvalidInput
from app.core.models import Manifest, TensorSpec
from app.data.inputs import from_table
from app.runtime.arrays import to_array

CSV, JSONL, PARQUET, BYTES = "text/csv", "application/jsonl", "application/vnd.apache.parquet", "application/octet-stream"


def manifest(*inputs: TensorSpec, **reading: Any) -> Manifest:
    return Manifest("m", "1", "joblib", "m.joblib", "", inputs, (), reading=reading)


IRIS = manifest(TensorSpec("input-0", "FP64", (-1, 2), nullable=True, columns=("a", "b")))
PEOPLE = manifest(
    TensorSpec("age", "INT64", (-1,), nullable=True),
    TensorSpec("city", "BYTES", (-1,), nullable=True),
    TensorSpec("since", "TIMESTAMP", (-1,), nullable=True),
)
IMAGE = manifest(TensorSpec("pixels", "FP64", (-1, 2, 2)))
NAN = float("nan")


def read(of: Manifest, content: str | bytes, media_type: str = CSV, columns: list[str] | None = None, **options: Any) -> list[Any]:
    data = content if isinstance(content, bytes) else content.encode()
    return [to_array(tensor).tolist() for tensor in from_table(data, media_type, options, columns, of)]


@pytest.mark.parametrize(
    ("of", "text", "expected"),
    [
        (IRIS, "b,a,note\n2,1,x\n4,,y\n", [[[1.0, 2.0], [NAN, 4.0]]]),
        (IRIS, ",a,b\n0,1,2\n", [[[1.0, 2.0]]]),
        (PEOPLE, "city,since,age\n007,2024-01-02,30.0\n", [[30], ["007"], [pd.Timestamp("2024-01-02").to_pydatetime()]]),
        (IMAGE, "a,b,c,d\n1,2,3,4\n", [[[[1.0, 2.0], [3.0, 4.0]]]]),
    ],
)
def test_a_model_takes_its_columns_by_name_or_by_place(of: Manifest, text: str, expected: list[Any]) -> None:
    np.testing.assert_equal(read(of, text), expected)


def test_columns_say_which_the_model_takes() -> None:
    assert read(IRIS, "x,y,z\n1,2,3\n", columns=["z", "x"]) == [[[3.0, 1.0]]]


def test_every_format_holds_the_same_rows() -> None:
    frame = pd.DataFrame({"a": [1.0, 3.0], "b": [2.0, 4.0]})
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(frame))
    tables = [
        (frame.to_csv(index=False).encode(), CSV),
        (frame.to_json(orient="records", lines=True).encode(), JSONL),
        (frame.to_parquet(index=False), PARQUET),
        (file.getvalue(), BYTES),
    ]
    for content, media_type in tables:
        assert read(IRIS, content, media_type) == read(IRIS, content, BYTES) == [[[1.0, 2.0], [3.0, 4.0]]]


def test_the_content_type_decides_between_csv_and_jsonl() -> None:
    assert read(manifest(TensorSpec("[a]", "INT64", (-1,))), "[a]\n1\n") == [[1]]


def test_options_of_the_request_replace_those_that_the_model_was_trained_with() -> None:
    trained = manifest(*IRIS.inputs, delimiter=";", decimal=",")
    assert read(trained, "a;b\n1,5;2\n") == [[[1.5, 2.0]]]
    assert read(trained, "a;b\n1.5;2\n", decimal=".") == [[[1.5, 2.0]]]


def test_a_missing_whole_number_far_down_does_not_change_the_rows_above() -> None:
    rows = 12_000  # of 400 bytes: files are read in blocks of 4 MiB
    lines = [f"{at},{'x' * 400},\n" for at in range(rows)]
    lines[-1] = f",{'x' * 400},\n"
    [ages, *_] = read(PEOPLE, "age,city,since\n" + "".join(lines))
    np.testing.assert_equal(ages, [*map(float, range(rows - 1)), NAN])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a,c\n1,2\n", "The file lacks 'b', which 'm' takes; it has 'a', 'c'"),
        ("a,b\n1,2\n3\n", "The table: Line 3: it has 1 value, and the first line has 2 columns"),
        ("a,b\n1,2\n3,ten\nx,y\n", "The table: Line 3: Column 'b': 'ten' is not a number."),
        ("a,b\n", "The table: It has no rows"),
        ("", "The table: It has no rows"),
        ("1,2\n", "The table: Line 1 holds numbers, where the names of the columns are expected. Set header to false"),
        ("a,b\n\xff,1\n", "The table"),
    ],
)
def test_a_table_is_refused_as_a_whole_with_the_place(text: str, sentence: str) -> None:
    with pytest.raises(InvalidFile) as refused:
        read(IRIS, text.encode("latin-1"))
    assert refused.value.detail.startswith(sentence)


def test_a_row_of_a_format_without_lines_is_counted() -> None:
    with pytest.raises(InvalidFile, match="The table: Row 1: Column 'b'"):
        read(IRIS, pd.DataFrame({"a": [1, 2], "b": ["1", "ten"]}).to_parquet(), PARQUET)


def test_another_format_than_the_content_type_says_is_refused() -> None:
    with pytest.raises(
        InvalidFile, match=r"The table is parquet, and its content type is text/csv\. Send application/vnd\.apache\.parquet"
    ):
        read(IRIS, pd.DataFrame({"a": [1], "b": [2]}).to_parquet())


def test_an_option_that_is_wrong_is_named() -> None:
    with pytest.raises(InvalidInput, match="Encoding 'klingon' is not supported") as refused:
        read(IRIS, "a,b\n1,2\n", encoding="klingon")
    assert refused.value.pointer == "/encoding"
