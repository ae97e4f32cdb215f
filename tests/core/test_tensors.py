from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.codec import pack, unpack
from app.core.errors import InvalidTensor
from app.core.stacking import concatenate, split
from app.core.tensors import ITEM_SIZE, Tensor, check_size, decode, elements, encode, has_missing

VALUES: dict[str, Any] = {
    "BOOL": st.booleans(),
    "INT8": st.integers(-128, 127),
    "UINT8": st.integers(0, 255),
    "INT64": st.integers(-(2**63), 2**63 - 1),
    "UINT64": st.integers(0, 2**64 - 1),
    "FP16": st.floats(width=16, allow_nan=False),
    "FP32": st.floats(width=32, allow_nan=False),
    "FP64": st.floats(allow_nan=False),
    "BYTES": st.text(max_size=5),
}


@pytest.mark.parametrize("datatype", VALUES)
@given(data=st.data())
def test_what_is_encoded_is_decoded_again(datatype: str, data: Any) -> None:
    values = data.draw(st.lists(VALUES[datatype], max_size=8))
    assert decode(encode(values, datatype), datatype) == values


@given(rows=st.lists(st.lists(st.text(max_size=4), min_size=2, max_size=2), min_size=1, max_size=6), cut=st.data())
def test_joined_jobs_part_again_unchanged(rows: list[list[str]], cut: Any) -> None:
    sizes = cut.draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    jobs = [[_bytes_tensor([rows[(i + j) % len(rows)] for j in range(size)])] for i, size in enumerate(sizes)]
    parts = split(concatenate(jobs), sizes)
    assert [[(t.name, t.shape, bytes(t.data)) for t in part] for part in parts] == [
        [(t.name, t.shape, t.data) for t in job] for job in jobs
    ]


def _bytes_tensor(rows: list[list[str]]) -> Tensor:
    return Tensor("text", "BYTES", (len(rows), 2), encode([value for row in rows for value in row], "BYTES"))


@pytest.mark.parametrize(
    ("datatype", "values", "pointer", "words"),
    [
        ("FP64", [1.0, "two"], "/data/1", "'two' is not a number"),
        ("INT8", [1, 300], "/data/1", "300 does not fit into INT8"),
        ("INT64", [1, 2.5], "/data/1", "2.5 is not a whole number"),
        ("FP64", [1.0, []], "/data/1", "expects a number, got a list"),
        ("BOOL", [True, 2], "/data/1", "expects true or false, got the number 2"),
        ("BYTES", ["a", 3], "/data/1", "expects text, got the number 3"),
        ("FP16", [1e9], "/data/0", "does not fit"),
        ("FP32", [0.5, 1e300], "/data/1", "300 does not fit into FP32"),
        ("FP16", ["two"], "/data/0", "'two' is not a number"),
        ("INT8", ["1e3"], "/data/0", "'1e3' does not fit into INT8"),
        ("TIMESTAMP", ["2026-02-30"], "/data/0", "is not a date of the calendar"),
        ("FP64", [0.5, None], "/data/1", "takes no missing values"),
    ],
)
def test_a_value_that_does_not_fit_is_named(datatype: str, values: list[Any], pointer: str, words: str) -> None:
    with pytest.raises(InvalidTensor, match=words) as caught:
        encode(values, datatype, pointer="/data")
    assert caught.value.pointer == pointer


def test_a_missing_number_is_nan_where_it_is_permitted() -> None:
    (value,) = decode(encode([None], "FP64", nullable=True), "FP64")
    assert value != value


@pytest.mark.parametrize("raw", [b"\x01\x00", struct.pack("<I", 9) + b"short"])
def test_a_cut_off_bytes_tensor_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidTensor, match="cut off"):
        elements(raw)


@pytest.mark.parametrize(("shape", "size"), [((2, 3), 40), ((2, 3), 47), ((2, 3), 56)])
def test_data_that_is_not_what_the_shape_says_is_refused(shape: tuple[int, ...], size: int) -> None:
    with pytest.raises(InvalidTensor):
        check_size(Tensor("x", "FP64", shape, bytes(size)))


def test_finite_values_whose_sum_overflows_are_not_missing() -> None:
    assert not has_missing(Tensor("x", "FP64", (2,), encode([1.7e308, 1.7e308], "FP64")))


@given(st.sampled_from(sorted(ITEM_SIZE)), st.integers(0, 5))
def test_packed_tensors_come_out_as_they_went_in(datatype: str, rows: int) -> None:
    tensor = Tensor("x", datatype, (rows, 2), bytes(rows * 2 * ITEM_SIZE[datatype]))
    header, (found,) = unpack(pack({"id": "a"}, [tensor]))
    assert header == {"id": "a"}
    assert (found.name, found.datatype, found.shape, bytes(found.data)) == (tensor.name, tensor.datatype, tensor.shape, tensor.data)
