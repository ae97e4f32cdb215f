"""Random frames, a model that is fitted on one, and the ways in which its rows reach the model."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from app.core.inputs import from_rows
from app.core.models import Manifest
from app.core.tables import TableOptions
from app.core.tensors import Tensor
from app.data.columns import bind
from app.data.delimited import CsvReader
from app.data.features import to_inputs
from app.data.inputs import from_table
from app.data.rows import inferred
from app.data.tables import open_table
from app.runtime.arrays import to_array
from app.runtime.methods import answers_of, specs_of
from app.runtime.model import Model
from app.runtime.signature import inputs_of_sample

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


def served(frame: Any, estimator: Any, columns: Sequence[str] = ()) -> Model:
    inputs = inputs_of_sample(estimator, frame, columns)
    return Model(Manifest("m", "1", "joblib", "m.joblib", "", inputs, specs_of(answers_of(estimator, frame))), estimator)


def inputs_of_file(manifest: Manifest, content: bytes, name: str, **options: Any) -> list[list[Tensor]]:
    """The rows of a file by the code of a batch, in chunks of four. None may be refused."""
    parts = []
    reader, _ = open_table(io.BytesIO(content), name, None, TableOptions.from_dict(options))
    reader.look_through()
    binding = bind(manifest, reader)
    if isinstance(reader, CsvReader):
        reader.expect(binding.floats(manifest))
    for part in reader.read(0, reader.rows, binding.columns, 4):
        inputs, good = to_inputs(manifest, binding, part)
        assert not good.bad, good.bad
        parts.append(inputs)
    return parts


def from_file(model: Model, content: bytes, name: str, **options: Any) -> Any:
    """The answers of a batch."""
    return np.concatenate([answer(model, inputs) for inputs in inputs_of_file(model.manifest, content, name, **options)])


def from_request(model: Model, content: bytes, media_type: str) -> Any:
    """By the code of a table in a request, which is where the command line sends tables."""
    return answer(model, from_table(content, media_type, {}, None, model.manifest))


def from_sample(model: Model, content: bytes, name: str) -> Any:
    """By the code of a sample that is published with declared types."""
    declared = {column: spec for spec in model.manifest.inputs for column in (spec.columns or (spec.name,))}
    rows = inferred(io.BytesIO(content), name, TableOptions(), {column: spec.datatype for column, spec in declared.items()})
    return answer(model, from_rows(model.manifest, [{column: json_value(value) for column, value in row.items()} for row in rows]))


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


def parquet(frame: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.to_parquet(file, index=False)
    return file.getvalue()
