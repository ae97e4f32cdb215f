"""What a request costs is bounded by its size: shapes, depths and names of any size, and errors that stay short."""

from __future__ import annotations

from typing import Any

import pytest

from app.core import protocol
from app.core.errors import InvalidInput, InvalidTensor, PayloadTooLarge, UnknownField, shown
from app.core.fields import reject_unknown_fields
from app.core.inputs import from_rows, from_tensors
from app.core.models import Manifest, TensorSpec
from app.core.nested_lists import flatten
from app.core.tensors import MAX_RANK, Tensor, checked_shape

LARGEST = (1 << 31) - 1


@pytest.mark.parametrize("shape", [[1] * (MAX_RANK + 1), [LARGEST] * 60_000, [LARGEST] * 1_000_000, [0] * 60_000])
def test_a_tensor_has_a_bounded_number_of_dimensions(shape: list[int]) -> None:
    with pytest.raises(InvalidTensor, match=f"shape has {len(shape)} dimensions: a tensor has at most {MAX_RANK}") as refused:
        checked_shape(shape, "/inputs/0/shape")
    assert refused.value.pointer == "/inputs/0/shape"


@pytest.mark.parametrize("rank", [3, 10, MAX_RANK])
def test_a_shape_of_more_elements_than_can_be_counted_is_refused(rank: int) -> None:
    with pytest.raises(InvalidTensor, match="elements"):
        checked_shape([LARGEST] * rank, "/shape")


def test_a_shape_of_as_many_dimensions_as_numpy_has_is_read() -> None:
    [tensor] = protocol.read([{"name": "x", "datatype": "FP32", "shape": [1] * MAX_RANK, "data": [7]}], memoryview(b""))
    assert tensor.shape == (1,) * MAX_RANK


@pytest.mark.parametrize("shape", [None, "1", 3, {"0": 1}, [-1], [1.0], [True], [LARGEST + 1]])
def test_a_shape_that_is_not_a_list_of_whole_numbers_is_refused(shape: Any) -> None:
    with pytest.raises(InvalidTensor, match="whole numbers"):
        checked_shape(shape, "/shape")


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        ([], (0,)),
        ([1, 2], (2,)),
        ([[1, 2], [3, 4], [5, 6]], (3, 2)),
        ([[], []], (2, 0)),
        ([[[1], [2]], [[3], [4]]], (2, 2, 1)),
        ([[[]], [[]]], (2, 1, 0)),
    ],
)
def test_nested_lists_become_flat_values_and_a_shape(data: list[Any], shape: tuple[int, ...]) -> None:
    flat, found = flatten(data, "/inputs")
    assert found == shape
    assert len(flat) == (flat[-1] if flat else 0)


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        ([[1], [2, 3]], "/inputs/1"),
        ([[1], 2], "/inputs/1"),
        ([[[1], [2]], [[3], [4, 5]]], "/inputs/1/1"),
        ([[[1], [2]], [[3], 4]], "/inputs/1/1"),
        ([[[1], [2]], [3, 4]], "/inputs/1/0"),
        ([[[1], [2]], [[3]]], "/inputs/1"),
        ([[1, [2]]], "/inputs"),
        ([1, [2]], "/inputs"),
    ],
)
def test_ragged_lists_are_refused_where_they_differ(data: list[Any], pointer: str) -> None:
    with pytest.raises(InvalidTensor) as refused:
        flatten(data, "/inputs")
    assert refused.value.pointer == pointer


@pytest.mark.parametrize("value", ["x" * 1_000_000, [1] * 1_000_000, dict.fromkeys(map(str, range(100_000))), 10**4000, [["y" * 10_000]]])
def test_a_value_in_an_error_is_short(value: Any) -> None:
    assert len(shown(value)) < 500


def test_an_error_does_not_repeat_a_body() -> None:
    with pytest.raises(UnknownField) as refused:
        reject_unknown_fields(["a" * 1_000_000], "model", pointer="/inputs/0")
    assert len(refused.value.detail) < 500
    assert refused.value.pointer == "/inputs/0"
    error = InvalidInput("x" * 1_000_000, pointer="/" + "y" * 1_000_000)
    assert (len(error.detail), error.pointer) == (4001, "")


def model(columns: int, *, nullable: bool) -> Manifest:
    inputs = tuple(TensorSpec(f"c{at}", "FP64", (-1,), nullable=nullable) for at in range(columns))
    return Manifest("wide", "1", "onnx", "model.onnx", "", inputs, (TensorSpec("predict", "FP64", (-1,)),))


def test_records_that_leave_out_nearly_everything_do_not_become_gigabytes() -> None:
    with pytest.raises(PayloadTooLarge, match="Split the rows"):
        from_rows(model(1000, nullable=True), [{}] * 20_000)


def test_a_record_may_leave_out_what_may_be_missing_and_nothing_else() -> None:
    tensors = from_rows(model(3, nullable=True), [{"c1": 2}, {}])
    assert [tensor.shape for tensor in tensors] == [(2,)] * 3
    with pytest.raises(InvalidInput, match="lacks the column 'c0'"):
        from_rows(model(3, nullable=False), [{"c1": 2}])


def test_an_unknown_input_among_many_is_named() -> None:
    tensors = [Tensor(f"c{at}", "FP64", (1,), bytes(8)) for at in range(1000)]
    with pytest.raises(InvalidTensor, match="has no input 'c3'"):
        from_tensors(model(3, nullable=True), tensors)
