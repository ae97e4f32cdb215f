"""A frame as CSV, JSONL, Parquet and JSON gets the answer that pandas and scikit-learn give in the same process."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import FunctionTransformer

from app.core.errors import CeleriacError
from app.core.inputs import from_rows
from app.core.models import Manifest, TensorSpec
from app.core.tables import MISSING_NUMBERS, TableOptions
from app.core.tensors import decode
from app.data.columns import bind
from app.data.delimited import CsvReader
from app.data.features import to_inputs
from app.data.tables import open_table
from app.runtime.model import Model
from tests.data.frames import ROWS, answer, fitted, frames, from_file, from_request, from_sample, json_value, parquet, records, served
from tests.examples import expensive

pytestmark = pytest.mark.slow

ARRAYS = st.sampled_from(["f8", "f4", "f2", "i8", "i4", "i1", "u8", "u2", "?"]).flatmap(
    lambda dtype: arrays(dtype, st.tuples(st.integers(1, ROWS), st.integers(1, 4)), elements=_elements(np.dtype(dtype)))
)


def _elements(dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "f":
        widths: dict[int, Literal[16, 32, 64]] = {2: 16, 4: 32, 8: 64}
        return st.floats(-60_000, 60_000, width=widths[dtype.itemsize]) | st.just(np.nan)
    # Numbers that a float holds exactly: scikit-learn computes with floats.
    return st.booleans() if dtype.kind == "b" else st.integers(max(np.iinfo(dtype).min, -(2**53)), min(np.iinfo(dtype).max, 2**53))


DOORS: dict[str, Callable[[pd.DataFrame, Model], Any]] = {
    "CSV": lambda frame, model: from_file(model, frame.to_csv(index=False).encode(), "x.csv"),
    "CSV with other characters": lambda frame, model: from_file(
        model, frame.assign(**{name: frame[name].astype("float64") for name in frame if name == "decimal"}).to_csv(index=False, sep=";", decimal=",", quotechar="'").encode(), "x.csv", delimiter=";", decimal=",", quote="'"
    ),
    "CSV with an index": lambda frame, model: from_file(model, frame.to_csv().encode(), "x.csv"),
    "JSONL": lambda frame, model: from_file(model, b"\n".join(map(orjson.dumps, records(frame))), "x.jsonl"),
    "Parquet": lambda frame, model: from_file(model, parquet(frame), "x.parquet"),
    "records of JSON": lambda frame, model: answer(model, from_rows(model.manifest, orjson.loads(orjson.dumps(records(frame))))),
    "CSV in a request": lambda frame, model: from_request(model, frame.to_csv(index=False).encode(), "text/csv"),
    "JSONL in a request": lambda frame, model: from_request(model, b"\n".join(map(orjson.dumps, records(frame))), "application/jsonl"),
    "Parquet in a request": lambda frame, model: from_request(model, parquet(frame), "application/octet-stream"),
    "CSV of a sample": lambda frame, model: from_sample(model, frame.to_csv(index=False).encode(), "x.csv"),
    "Parquet of a sample": lambda frame, model: from_sample(model, parquet(frame), "x.parquet"),
}  # fmt: skip


@settings(max_examples=expensive(40), deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(frame=frames())
def test_every_door_gives_the_answer_of_this_process(frame: pd.DataFrame) -> None:
    estimator = fitted(frame)
    expected = np.asarray(estimator.transform(frame), dtype=float)
    model = served(frame, estimator)
    for name, door in DOORS.items():
        np.testing.assert_array_equal(door(frame, model), expected, err_msg=name)


@settings(max_examples=expensive(60), deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(array=ARRAYS)
def test_every_door_takes_an_array(array: np.ndarray[Any, Any]) -> None:
    estimator: Any = FunctionTransformer(np.asarray, kw_args={"dtype": float}).fit(array)
    model = served(array, estimator)
    file = io.BytesIO()
    np.save(file, array)
    rows = [[json_value(value) for value in row] for row in array]
    doors = {
        "NPY": lambda: from_file(model, file.getvalue(), "x.npy"),
        "NPY in a request": lambda: from_request(model, file.getvalue(), "application/octet-stream"),
        "lists of JSON": lambda: answer(model, from_rows(model.manifest, orjson.loads(orjson.dumps(rows)))),
    }
    for name, door in doors.items():
        np.testing.assert_array_equal(door(), estimator.transform(array), err_msg=name)  # type: ignore[no-untyped-call]


CELLS = (
    *("1", "1.0", "1.5", "-1", "+1", "1e3", "0x10", "1_000", "1,000", "1,5", "1.", ".5", "1 2", "1d3", "--5", "007", "01234", " 1 ", "٣"),
    *("inf", "-Infinity", "1e400", "nan", "5e-324", "1.7976931348623157e308", "9007199254740993", "9007199254740993.0"),
    *("18446744073709551615", "18446744073709551616", "-9223372036854775808", "", "  ", "NA", "N/A", "null", "None", "NaT", "?", "-"),
    *("true", "TRUE", "tRuE", "false", "yes", "T", "0", "2026-01-31", "20260131", "2026-01-31 10:00", "2026-01-31T10:00:00+02:00"),
    *("2026-02-30", "1769817600"),
)


def one_column(datatype: str, *, nullable: bool) -> Manifest:
    inputs = TensorSpec("x", datatype, (-1,), nullable=nullable), TensorSpec("y", "FP64", (-1,))
    return Manifest("m", "1", "joblib", "m.joblib", "", inputs, ())


def by_a_batch(manifest: Manifest, content: bytes, **options: Any) -> list[Any] | None:
    """The values of the first column, or None if the file is refused."""
    try:
        reader, _ = open_table(io.BytesIO(content), "x.csv", None, TableOptions.from_dict(options))
        reader.look_through()
        binding = bind(manifest, reader)
        if isinstance(reader, CsvReader):
            reader.expect(binding.floats(manifest))
        [part] = reader.read(0, reader.rows, binding.columns, 4)
        inputs, good = to_inputs(manifest, binding, part)
    except CeleriacError:
        return None
    return None if good.bad else decode(inputs[0].data, datatype=inputs[0].datatype)


def by_a_request(manifest: Manifest, cell: str) -> list[Any] | None:
    """The same, of text in a JSON body. JSON has null where CSV has a word for a missing value."""
    missing = cell == "" if manifest.inputs[0].datatype == "BYTES" else cell.strip() in MISSING_NUMBERS
    try:
        [first, _] = from_rows(manifest, [{"x": None if missing else cell, "y": 1}])
    except CeleriacError:
        return None
    return decode(first.data, datatype=first.datatype)


@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize("datatype", ["FP64", "FP32", "INT64", "INT8", "UINT64", "BOOL", "BYTES", "TIMESTAMP"])
def test_a_cell_of_csv_means_what_the_same_text_means_in_json(datatype: str, nullable: bool) -> None:
    manifest = one_column(datatype, nullable=nullable)
    different = {}
    for cell in CELLS:
        batch, request = by_a_batch(manifest, f'x;y\n"{cell}";1\n'.encode(), delimiter=";"), by_a_request(manifest, cell)
        if repr(batch) != repr(request):  # NaN equals NaN
            different[cell] = batch, request
    assert different == {}
