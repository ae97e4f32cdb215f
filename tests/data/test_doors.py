"""A frame as CSV, JSONL, Parquet and JSON gets the answer that pandas and scikit-learn give in the same process."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from app.core.errors import CeleriacError
from app.core.inputs import from_rows
from app.core.models import Manifest, TensorSpec
from app.core.tables import MISSING_NUMBERS, TableOptions
from app.core.tensors import Tensor, decode
from app.data.columns import bind
from app.data.delimited import CsvReader
from app.data.features import to_inputs
from app.data.inputs import from_table
from app.data.tables import open_table
from app.runtime.arrays import to_array
from app.runtime.methods import answers_of, specs_of
from app.runtime.model import Model
from app.runtime.signature import inputs_of_sample

pytestmark = pytest.mark.slow

ROWS = 6
# pandas writes a carriage return alone without quotes, and reads it as the end of a line.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1, max_size=8) | st.sampled_from(
    ["NA", "null", "1", "true", '5" pipe', 'a"b', ";", ",", "x\ny", "x\r\ny", "'", "2026-01-31", " a ", "=1+1", "#", "ä"]
)
# The median of two of the largest floats is infinite: the imputer that is fitted here warns.
FLOATS = st.floats(-1e307, 1e307, allow_nan=False, width=64)
DATES = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1))
KINDS: dict[str, tuple[st.SearchStrategy[Any], str, bool]] = {
    # values, dtype, may be missing
    "text": (TEXT, "str", True),
    "objects": (TEXT, "object", True),
    "category": (TEXT, "category", True),
    "whole": (st.integers(-(2**53), 2**53), "int64", False),
    "unsigned": (st.integers(0, 2**64 - 1), "uint64", False),
    "real": (FLOATS, "float64", True),
    "truth": (st.booleans(), "bool", False),
    "nullable truth": (st.booleans(), "boolean", True),
    "nullable whole": (st.integers(-(2**53), 2**53), "Int64", True),
    "decimal": (st.decimals(-(10**6), 10**6, places=3), "object", True),
    "time": (DATES, "datetime64[us]", True),
    "zoned": (DATES.map(lambda when: when.replace(tzinfo=UTC)), "datetime64[us, UTC]", True),
    "day": (st.dates(date(1900, 1, 1), date(2200, 1, 1)), "object", True),
}
ENCODED = ("text", "objects", "category", "truth", "nullable truth")


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    names = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=2, max_size=5, unique=True))
    columns = {}
    for name in names:
        values, dtype, nullable = KINDS[name]
        cells = draw(st.lists(values | st.none() if nullable else values, min_size=ROWS, max_size=ROWS))
        if all(value is None for value in cells):
            cells[0] = draw(values)
        columns[name] = pd.Series(cells, dtype=dtype)
    return pd.DataFrame(columns)


def seconds(column: pd.DataFrame) -> Any:
    """Dates and times as numbers, by what pandas offers for the type of the column."""
    times = [pd.to_datetime(column[name], utc=True) for name in column]
    return np.column_stack([(time - pd.Timestamp(0, tz="UTC")).dt.total_seconds().fillna(-1.0) for time in times])


def as_float(column: pd.DataFrame) -> Any:
    return np.column_stack([pd.to_numeric(column[name]).astype("float64").to_numpy(dtype=float, na_value=np.nan) for name in column])


def fitted(frame: pd.DataFrame) -> Any:
    """Every value of every column has a part in the answer."""
    encoded = [name for name in frame if name in ENCODED]
    times = [name for name in frame if name in ("time", "zoned", "day")]
    numbers = [name for name in frame if name not in (*encoded, *times)]
    whole = make_pipeline(FunctionTransformer(as_float), SimpleImputer(strategy="median", keep_empty_features=True))
    transformer = ColumnTransformer(
        [("encoded", OneHotEncoder(handle_unknown="ignore", sparse_output=False), encoded), ("times", FunctionTransformer(seconds), times), ("numbers", whole, numbers)]
    )  # fmt: skip
    return transformer.fit(frame)


def served(frame: pd.DataFrame, estimator: Any) -> Model:
    inputs = inputs_of_sample(estimator, frame)
    return Model(Manifest("m", "1", "joblib", "m.joblib", "", inputs, specs_of(answers_of(estimator, frame))), estimator)


def from_file(model: Model, content: bytes, name: str, **options: Any) -> Any:
    """By the code of a batch."""
    reader, _ = open_table(io.BytesIO(content), name, None, TableOptions.from_dict(options))
    reader.look_through()
    binding = bind(model.manifest, reader)
    if isinstance(reader, CsvReader):
        reader.expect(binding.floats(model.manifest))
    answers = []
    for part in reader.read(0, reader.rows, binding.columns, 4):
        inputs, good = to_inputs(model.manifest, binding, part)
        assert not good.bad, good.bad
        answers.append(answer(model, inputs))
    return np.concatenate(answers)


def answer(model: Model, inputs: list[Tensor]) -> Any:
    return to_array(model.predict(inputs)[0])


def json_value(value: Any) -> Any:
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date) else value.item() if isinstance(value, np.generic) else value


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {name: json_value(value) for name, value in zip(frame, row, strict=True)}
        for row in zip(*(frame[name] for name in frame), strict=True)
    ]


DOORS: dict[str, Callable[[pd.DataFrame, Model], Any]] = {
    "CSV": lambda frame, model: from_file(model, frame.to_csv(index=False).encode(), "x.csv"),
    "CSV with other characters": lambda frame, model: from_file(
        model, frame.assign(**{name: frame[name].astype("float64") for name in frame if name == "decimal"}).to_csv(index=False, sep=";", decimal=",", quotechar="'").encode(), "x.csv", delimiter=";", decimal=",", quote="'"
    ),
    "CSV with an index": lambda frame, model: from_file(model, frame.to_csv().encode(), "x.csv"),
    "JSONL": lambda frame, model: from_file(model, b"\n".join(map(orjson.dumps, records(frame))), "x.jsonl"),
    "Parquet": lambda frame, model: from_file(model, parquet(frame), "x.parquet"),
    "records of JSON": lambda frame, model: answer(model, from_rows(model.manifest, orjson.loads(orjson.dumps(records(frame))))),
    "a table in a request": lambda frame, model: answer(model, from_table(frame.to_csv(index=False).encode(), "text/csv", {}, None, model.manifest)),
}  # fmt: skip


def parquet(frame: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.to_parquet(file, index=False)
    return file.getvalue()


@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(frame=frames())
def test_every_door_gives_the_answer_of_this_process(frame: pd.DataFrame) -> None:
    estimator = fitted(frame)
    expected = np.asarray(estimator.transform(frame), dtype=float)
    model = served(frame, estimator)
    for name, door in DOORS.items():
        np.testing.assert_array_equal(door(frame, model), expected, err_msg=name)


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
