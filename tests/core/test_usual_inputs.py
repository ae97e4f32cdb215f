"""The usual input is read as any other, and what is not usual is left to the code that names what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import protocol, usual_inputs
from app.core.errors import CeleriacError
from app.core.inputs import from_tensors
from app.core.models import Manifest, TensorSpec

OUTPUT = TensorSpec("predict", "INT64", (-1,))


def manifest(datatype: str, *, width: int = 2, columns: tuple[str, ...] = (), nullable: bool = False) -> Manifest:
    spec = TensorSpec("rows", datatype, (-1, width), columns=columns, nullable=nullable)
    return Manifest("numbers", "1", "scikit-learn", "model.joblib", "", (spec,), (OUTPUT,))


NUMBERS: st.SearchStrategy[Any] = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(), st.sampled_from([None, True, "1", "x", [], [1], {}, 1.5, 2**31, 2**53 + 1])
)


@st.composite
def tensors(draw: st.DrawFn) -> dict[str, Any]:
    rows, width = draw(st.integers(0, 3)), draw(st.sampled_from([2, 2, 2, 1, 3]))
    size = rows * width if draw(st.integers(0, 5)) else draw(st.integers(0, 7))
    values = st.floats(-1e6, 1e6) | st.integers(-1000, 1000) if draw(st.booleans()) else NUMBERS
    tensor: dict[str, Any] = {
        "name": draw(st.sampled_from(["rows", "input-0", 1])),
        "datatype": draw(st.sampled_from(["FP64", "FP32", "INT64", "INT32", "BOOL", "BYTES"])),
        "shape": draw(st.sampled_from([[rows, width], [rows, width], [size], [rows, width, 1], [rows, True], [rows, float(width)], rows])),
        "data": draw(st.lists(values, min_size=size, max_size=size)),
    }
    if draw(st.integers(0, 4)) == 0:
        tensor["parameters"] = draw(st.sampled_from([{}, {"a": 1}, {"binary_data_size": 8}, []]))
    return tensor


@given(
    tensor=tensors(),
    datatype=st.sampled_from(["FP64", "FP32", "INT64", "INT32", "BOOL"]),
    columns=st.sampled_from([(), ("a", "b")]),
    nullable=st.booleans(),
)
def test_an_input_is_read_alike_in_both_ways(tensor: dict[str, Any], datatype: str, columns: tuple[str, ...], nullable: bool) -> None:
    model = manifest(datatype, columns=columns, nullable=nullable)
    found = usual_inputs.read(model, [tensor])
    if found is not None:
        (expected,) = from_tensors(model, protocol.read([tensor], memoryview(b"")))
        assert (found[0].name, found[0].datatype, found[0].shape, bytes(found[0].data)) == (
            expected.name,
            expected.datatype,
            expected.shape,
            bytes(expected.data),
        )


@pytest.mark.parametrize("datatype", ["FP64", "INT64", "INT32"])
def test_a_table_of_numbers_is_usual(datatype: str) -> None:
    tensor = {"name": "rows", "datatype": datatype, "shape": [2, 2], "data": [1, 2, 3, 4]}
    assert usual_inputs.read(manifest(datatype), [tensor]) is not None


@given(
    given=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda parts: st.lists(parts) | st.dictionaries(st.text(), parts)
    )
)
def test_no_json_raises_another_error_than_ours(given: Any) -> None:
    assert usual_inputs.read(manifest("FP64"), given) is None
    with pytest.raises(CeleriacError):
        from_tensors(manifest("FP64"), protocol.read(protocol.listed({"inputs": given}, "inputs"), memoryview(b"")))
