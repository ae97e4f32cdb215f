from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pytest

from app.core.errors import CeleriacError, InvalidFile
from app.core.models import Manifest, TensorSpec
from app.core.tensors import Tensor, decode
from app.data.columns import bind
from app.data.features import to_columns, to_inputs
from app.data.row_batch import Reader, RowBatch
from app.data.tables import open_table


def manifest(*inputs: TensorSpec, classes: tuple[str, ...] = ()) -> Manifest:
    return Manifest("m", "1", "joblib", "model.joblib", "", inputs, (TensorSpec("predict", "INT64", (-1,)),), classes=classes)


NAMED = manifest(TensorSpec("input", "FP64", (-1, 2), ("a", "b")))
NAMELESS = manifest(TensorSpec("input", "FP64", (-1, 2)))
MIXED = manifest(TensorSpec("age", "INT64", (-1,)), TensorSpec("colour", "BYTES", (-1,), nullable=True))


def csv(head: str) -> Reader:
    return open_table(io.BytesIO(f"{head}\n".encode()), "x.csv")[0]


@pytest.mark.parametrize(
    ("model", "head", "columns", "keep", "inputs", "kept"),
    [
        (NAMED, "b,id,a", None, None, [("a", "b")], ["id"]),
        (NAMED, "b,id,a", None, [], [("a", "b")], []),
        (NAMED, "x,id,a", {"b": "x"}, None, [("a", "x")], ["id"]),
        (NAMED, "p,q,r", ["r", "p"], ["q", "p"], [("r", "p")], ["q", "p"]),
        (NAMELESS, "p,q", None, None, [("p", "q")], []),
        (NAMELESS, "id,p,q", None, ["id"], [("p", "q")], ["id"]),
        (MIXED, "colour,age,id", None, None, [("age",), ("colour",)], ["id"]),
    ],
)
def test_columns_are_found_by_name_or_by_place(
    model: Manifest, head: str, columns: object, keep: list[str], inputs: object, kept: object
) -> None:
    binding = bind(model, csv(head), columns, keep)  # type: ignore[arg-type]
    assert (list(binding.inputs), list(binding.keep)) == (inputs, kept)


@pytest.mark.parametrize(
    ("model", "head", "columns", "keep", "message"),
    [
        (NAMED, "a,id", None, None, "The file lacks 'b', which 'm' takes; it has 'a', 'id'"),
        (NAMED, "a,b", {"c": "a"}, None, "'m' takes no column 'c'"),
        (NAMED, "a,b", ["a"], None, "'m' takes 2 columns, and these are 1"),
        (NAMED, "a,b", None, ["z"], "The file has no column 'z'"),
        (NAMELESS, "id,p,q", None, None, "'m' takes 2 columns, and these are 3: 'id', 'p', 'q'. Name those"),
    ],
)
def test_columns_that_do_not_fit_are_named(model: Manifest, head: str, columns: object, keep: list[str], message: str) -> None:
    with pytest.raises(CeleriacError) as caught:
        bind(model, csv(head), columns, keep)  # type: ignore[arg-type]
    assert message in caught.value.detail


def test_a_column_of_another_type_is_refused() -> None:
    file = io.BytesIO()
    pa.parquet.write_table(pa.table({"a": [[1]], "b": [1]}), file)
    with pytest.raises(InvalidFile, match=r"'a' holds list.*, and the model takes FP64"):
        bind(NAMED, open_table(file, "x.parquet")[0])


def test_rows_that_the_model_cannot_take_become_bad_rows() -> None:
    table = pa.table({"age": [1.0, None, 2.5, 4.0], "colour": ["red", "blue", None, None], "id": [7, 8, 9, 10]})
    binding = bind(MIXED, csv("age,colour,id"))
    inputs, batch = to_inputs(MIXED, binding, RowBatch(table, np.arange(100, 104), line_of=lambda row: row + 2))
    assert [decode(tensor.data, tensor.datatype) for tensor in inputs] == [[1, 4], ["red", None]]
    assert batch.table["id"].to_pylist() == [7, 10]
    assert batch.rows.tolist() == [100, 103]
    assert [(bad.row, bad.line, bad.detail) for bad in batch.bad] == [
        (101, 103, "'age' is missing, and the model takes no missing values"),
        (102, 104, "Column 'age': 2.5 is not a whole number."),
    ]


def test_no_row_may_be_left() -> None:
    inputs, batch = to_inputs(NAMED, bind(NAMED, csv("a,b")), RowBatch(pa.table({"a": [None], "b": [1.0]}), np.arange(1)))
    assert (inputs[0].shape, batch.count, len(batch.bad)) == ((0, 2), 1, 1)


def test_answers_become_columns() -> None:
    flat = Tensor("predict", "BYTES", (2,), b"\x01\0\0\0a\x01\0\0\0b")
    wide = Tensor("predict_proba", "FP64", (2, 2), np.array([[0.25, 0.75], [1, 0]]).tobytes())
    model = manifest(*NAMED.inputs, classes=("no", "yes"))
    assert to_columns(model, flat)["predict"].to_pylist() == ["a", "b"]
    assert {name: column.to_pylist() for name, column in to_columns(model, wide).items()} == {
        "predict_proba_no": [0.25, 1.0],
        "predict_proba_yes": [0.75, 0.0],
    }
