from __future__ import annotations

import json
from typing import Any

import pytest

from app.core.errors import CeleriacError, InvalidTensor
from app.core.inputs import from_rows, from_tensors
from app.core.models import Manifest, TensorSpec
from app.core.tensors import Tensor, decode, encode


def manifest(*inputs: TensorSpec) -> Manifest:
    return Manifest("m", "1", "joblib", "model.joblib", "", inputs, (TensorSpec("predict", "INT64", (-1,)),))


TABLE = manifest(TensorSpec("input", "FP64", (-1, 2), ("height", "width")))
NARROW = manifest(TensorSpec("input", "FP32", (-1, 2)))
TEXTS = manifest(TensorSpec("text", "BYTES", (-1,)))
MIXED = manifest(
    TensorSpec("age", "FP64", (-1,), nullable=True), TensorSpec("city", "BYTES", (-1,), nullable=True), TensorSpec("n", "INT64", (-1,))
)


def values(tensors: list[Tensor]) -> list[list[Any]]:
    return [decode(one.data, one.datatype) for one in tensors]


def test_rows_and_records_mean_the_same() -> None:
    rows = from_rows(TABLE, [[1, 2], [3, 4]])
    records = from_rows(TABLE, [{"width": 2, "height": 1}, {"height": 3, "width": 4}])
    assert values(rows) == values(records) == [[1.0, 2.0, 3.0, 4.0]]


def test_records_of_mixed_columns_become_a_tensor_a_column() -> None:
    found = from_rows(MIXED, [{"age": None, "city": "Oulu", "n": 1}, {"n": 2, "age": 3.5, "city": None}])
    assert [(one.name, one.shape) for one in found] == [("age", (2,)), ("city", (2,)), ("n", (2,))]
    assert values(found)[1:] == [["Oulu", None], [1, 2]]


def test_bytes_that_are_no_text_are_written_in_base64() -> None:
    image = manifest(TensorSpec("image", "BYTES", (-1,)))
    assert values(from_rows(image, [{"b64": "iVBORw=="}, "text"])) == [[b"\x89PNG", "text"]]
    assert values(from_rows(image, [{"image": {"b64": "iVBORw=="}}])) == [[b"\x89PNG"]]
    with pytest.raises(CeleriacError, match="in base64") as caught:
        from_rows(image, ["text", {"b64": "ä"}])
    assert caught.value.pointer == "/inputs/1"


def test_a_record_may_hold_lists_where_an_input_takes_them() -> None:
    model = manifest(TensorSpec("id", "INT64", (-1,)), TensorSpec("pixels", "FP64", (-1, 2, 2)))
    found = from_rows(model, [{"id": 1, "pixels": [[1, 2], [3, 4]]}, {"id": 2, "pixels": [[5, 6], [7, 8]]}])
    assert [one.shape for one in found] == [(2,), (2, 2, 2)]
    assert values(found)[1] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    with pytest.raises(
        CeleriacError, match=r"^Column 'pixels' takes lists of the shape \[2, 2\] per row, for example .*, not the shape \[2\]\.$"
    ):
        from_rows(model, [{"id": 1, "pixels": [1, 2]}])


def test_a_column_that_may_be_missing_may_be_left_out() -> None:
    assert values(from_rows(MIXED, [{"n": 2, "age": 1.0}])) == [[1.0], [None], [2]]


@pytest.mark.parametrize(
    ("datatype", "shape", "sentence"),
    [
        ("FP64", (-1,), "takes one value per row, for example [1, 2], not"),
        ("BYTES", (-1,), 'takes one text per row, for example ["a", "b"], not'),
        ("FP64", (-1, 1), "takes 1 value per row, for example [[1], [1]], not"),
        ("INT64", (-1, 3), "takes 3 values per row, for example [[1, 2, 3], [1, 2, 3]], not"),
        ("FP32", (-1, 64), "takes 64 values per row, for example [[1, 2, …], …], not"),
        ("BYTES", (-1, 2), 'takes 2 texts per row, for example [["a", "b"], ["a", "b"]], not'),
        ("BOOL", (-1, 1), "takes 1 value per row, for example [[true], [true]], not"),
        ("TIMESTAMP", (-1,), 'takes one value per row, for example ["2026-01-31", "2026-02-01"], not'),
        ("FP64", (-1, -1), "takes a list of values per row, for example [[1, 2], [1, 2]], not"),
        ("UINT8", (-1, 28, 28), "takes lists of the shape [28, 28] per row, for example [[[1, 2, …], …], …], not"),
        ("FP32", (-1, -1, 3), "takes lists of the shape [-1, 3], where -1 is any size, per row, for example [[[1, 2, 3], [1, 2, 3]], "),
    ],
)
def test_a_wrong_shape_is_reported_in_words_with_an_example(datatype: str, shape: tuple[int, ...], sentence: str) -> None:
    model = manifest(TensorSpec("x", datatype, shape))
    with pytest.raises(InvalidTensor) as caught:
        from_rows(model, [[[[[1]]]]])
    assert caught.value.detail.startswith(f"Input 'x' {sentence}")
    assert caught.value.detail.endswith(", not the shape [1, 1, 1, 1, 1].")
    # The example is one that the model takes, unless it is shortened.
    example = caught.value.detail.partition("for example ")[2].rpartition(", not")[0]
    if "…" not in example:
        from_rows(model, json.loads(example))


@pytest.mark.parametrize(
    ("model", "rows", "code", "pointer", "words"),
    [
        (TABLE, "no list", "invalid_input", "/inputs", "at least one row"),
        (TABLE, [], "invalid_input", "/inputs", "at least one row"),
        (TABLE, [[1, 2], [3]], "invalid_tensor", "/inputs/1", "Row 1 differs from row 0, which has 2 values"),
        (TABLE, [[1], [2, 3]], "invalid_tensor", "/inputs/1", r"Row 1 differs from row 0, which has 1 value\.$"),
        (TABLE, [[1, 2, 3]], "invalid_tensor", "/inputs", r"takes 2 values per row, for example .* not the shape \[1, 3\]"),
        (TABLE, [[]], "invalid_tensor", "/inputs", r"\[1, 0\]"),
        (TABLE, [[1, [2]]], "invalid_tensor", "/inputs", "mixed"),
        (TABLE, [[[1, 2]]], "invalid_tensor", "/inputs", r"\[1, 1, 2\]"),
        (TABLE, [[1, 2], [3, "x"]], "invalid_tensor", "/inputs/1/1", "Column 'width': 'x' is not a number."),
        (TABLE, [[1, 2], [None, 3]], "invalid_tensor", "/inputs/1/0", "Column 'height': A value is null"),
        (TABLE, [{"width": 1, "height": "tall"}], "invalid_tensor", "/inputs/0/height", "Column 'height': 'tall' is not a number."),
        (NARROW, [[1, 2], [3, 1e300]], "invalid_tensor", "/inputs/1/1", "300 does not fit into FP32"),
        (TABLE, [{"height": 1}], "invalid_input", "/inputs/0", "lacks the column 'width'"),
        (TABLE, [{"height": 1, "width": 2, "depth": 3}], "unknown_field", "/inputs/0/depth", "'depth'"),
        (TABLE, [{"height": 1, "width": 2}, [1, 2]], "invalid_input", "/inputs/1", "must be a record"),
        (MIXED, [[1.0, "Oulu"]], "invalid_input", "/inputs/0", "3 values"),
        (MIXED, [{"n": None}], "invalid_tensor", "/inputs/0/n", "no missing values"),
        (MIXED, [{"n": 1, "city": 7}], "invalid_tensor", "/inputs/0/city", "Column 'city' expects text, got the number 7."),
        (TEXTS, [[1]], "invalid_tensor", "/inputs/0", "Input 'text' expects text, got the number 1."),
        (NARROW, [["x", 1]], "invalid_tensor", "/inputs/0/0", "Input 'input': 'x' is not a number."),
        (MIXED, [{"n": [1]}], "invalid_tensor", "/inputs/0/n", "a list or a record"),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_name(model: Manifest, rows: Any, code: str, pointer: str, words: str) -> None:
    with pytest.raises(CeleriacError, match=words) as caught:
        from_rows(model, rows)
    assert (caught.value.code, caught.value.pointer) == (code, pointer)


def tensor(name: str = "input", datatype: str = "FP64", shape: tuple[int, ...] = (1, 2), data: list[Any] | None = None) -> Tensor:
    return Tensor(name, datatype, shape, encode([1, 2] if data is None else data, datatype, nullable=True))


def test_the_only_input_may_have_any_name() -> None:
    assert values(from_tensors(TABLE, [tensor("input-0")])) == [[1.0, 2.0]]


def test_whole_numbers_are_widened_to_floats() -> None:
    assert values(from_tensors(TABLE, [tensor(datatype="INT32")])) == [[1.0, 2.0]]


def test_a_column_may_come_as_a_matrix_of_width_one() -> None:
    found = from_tensors(
        MIXED,
        [
            tensor("n", "INT64", (1, 1), [5]),
            tensor("age", "FP32", (1, 1), [2.5]),
            tensor("city", "BYTES", (1, 1), ["Oulu"]),
        ],
    )
    assert [(one.name, one.shape) for one in found] == [("age", (1,)), ("city", (1,)), ("n", (1,))]


@pytest.mark.parametrize(
    ("tensors", "pointer", "words"),
    [
        ([tensor(shape=(2, 1))], "/inputs/0/shape", r"takes 2 values per row, for example .* not the shape \[2, 1\]"),
        ([Tensor("input", "FP64", (1, 2), bytes(9))], "/inputs/0/data", "9 bytes"),
        ([Tensor("input", "FP64", (1, 2), bytes(8))], "/inputs/0/data", "holds 1 elements"),
        ([tensor(datatype="BYTES", data=["a", "b"])], "/inputs/0/datatype", "takes FP64, not BYTES"),
        ([tensor(data=[1, None])], "/inputs/0/data", "NaN or an infinity in the column 'width' of row 0"),
        ([tensor(data=[1, float("inf")])], "/inputs/0/data", "NaN or an infinity"),
        ([Tensor("input", "FP64", (0, 2), b"")], "/inputs/0/shape", "empty"),
        ([tensor(), tensor("other")], "/inputs/1/name", "no input 'other'"),
        ([tensor(), tensor()], "/inputs", "same name"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_by_name(tensors: list[Tensor], pointer: str, words: str) -> None:
    with pytest.raises(CeleriacError, match=words) as caught:
        from_tensors(TABLE, tensors)
    assert caught.value.pointer == pointer


def test_inputs_of_unequal_rows_are_refused() -> None:
    tensors = [tensor("age", shape=(2,)), tensor("city", "BYTES", (1,), ["a"]), tensor("n", "INT64", (2,))]
    with pytest.raises(CeleriacError, match="differ in rows"):
        from_tensors(MIXED, tensors)


def test_an_input_that_is_missing_is_named() -> None:
    with pytest.raises(CeleriacError, match="'city' is missing"):
        from_tensors(MIXED, [tensor("age", shape=(2,)), tensor("n", "INT64", (2,))])


_COLUMNS = Manifest(
    "m",
    "1",
    "skops",
    "model.skops",
    "",
    (TensorSpec("input", "FP64", (-1, 2), ("age", "income"), nullable=True),),
    (TensorSpec("predict", "FP64", (-1,)),),
)


def _column(name: str, values: list[float], datatype: str = "FP64", shape: tuple[int, ...] = (2, 1)) -> Tensor:
    return Tensor(name, datatype, shape, encode(values, datatype))


def test_a_tensor_for_each_column_makes_the_one_input() -> None:  # M7
    """As MLServer's pandas codec sends a table: in any order, with narrower numbers, and with the shape [rows, 1]."""
    (tensor,) = from_tensors(_COLUMNS, [_column("income", [0.5, 1.5]), _column("age", [30, 40], "INT64", (2,))])
    assert (tensor.name, tensor.datatype, tensor.shape) == ("input", "FP64", (2, 2))
    assert decode(tensor.data, "FP64") == [30.0, 0.5, 40.0, 1.5]


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ([_column("age", [1.0, 2.0])], "The column 'income' is missing. The model takes the columns age, income"),
        ([_column("age", [1.0, 2.0]), _column("income", [1.0], shape=(1, 1))], "The columns differ in rows: age has 2, income has 1"),
        ([_column("age", [1.0, 2.0]), _column("size", [1.0, 2.0])], "has no input 'age'"),
        ([_column("age", [1.0, 2.0]), _column("age", [1.0, 2.0])], "Two inputs have the same name"),
        ([_column("age", [1.0, 2.0]), _column("income", [1.0, 2.0], shape=(1, 2))], "Input 'income' takes one value per row"),
    ],
)
def test_columns_that_do_not_make_the_input_are_refused(tensors: list[Tensor], reason: str) -> None:
    with pytest.raises(InvalidTensor, match=reason):
        from_tensors(_COLUMNS, tensors)
