from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from celeriac import Model
from celeriac._models import ModelList
from celeriac._rows import joined, like, rows_of


def test_lists_stay_as_they_are() -> None:
    assert rows_of([[1, 2.5], [3, None]]) == [[1, 2.5], [3, None]]


def test_arrays_become_lists_and_nan_becomes_null() -> None:
    assert rows_of(np.array([[1.0, np.nan]])) == [[1.0, None]]


def test_data_frames_become_records_with_missing_values_as_null() -> None:
    frame = pd.DataFrame({"age": pd.array([1, None], dtype="Int64"), "city": ["bern", None], "since": pd.to_datetime(["2024-01-02", None])})
    assert rows_of(frame) == [{"age": 1, "city": "bern", "since": "2024-01-02T00:00:00"}, {"age": None, "city": None, "since": None}]


def test_bytes_and_dates_have_a_form_in_json() -> None:
    assert rows_of([b"\x00", datetime.date(2024, 1, 2)]) == [{"b64": "AA=="}, "2024-01-02"]


def test_integers_stay_exact() -> None:
    assert rows_of(np.array([2**63 - 1])) == [2**63 - 1]


@pytest.mark.parametrize("data", ["text", b"bytes", 5, None])
def test_data_without_rows_is_refused_by_its_type(data: object) -> None:
    with pytest.raises(TypeError, match="Expected a list of rows, an array or a data frame, got"):
        rows_of(data)


def test_results_take_the_index_of_the_data() -> None:
    series = like(pd.DataFrame({"x": [1, 2]}, index=["a", "b"]), [10.0, 20.0])
    assert series.to_dict() == {"a": 10.0, "b": 20.0}
    assert like([1, 2], [10.0, 20.0]) == [10.0, 20.0]


def test_polars_frames_become_records_and_series_lists() -> None:
    frame = pl.DataFrame({"age": [1, None], "since": [datetime.date(2024, 1, 2), None]})
    assert rows_of(frame) == [{"age": 1, "since": "2024-01-02"}, {"age": None, "since": None}]
    assert rows_of(pl.Series([1.5, None])) == [1.5, None]
    assert like(frame, [1, 2]) == [1, 2]


def test_results_of_chunks_are_joined() -> None:
    assert joined([[1, 2], [3]]) == [1, 2, 3]
    outputs = joined([{"label": ["a"], "score": [[0.1, 0.9]]}, {"label": ["b"], "score": [[0.8, 0.2]]}])
    assert outputs == {"label": ["a", "b"], "score": [[0.1, 0.9], [0.8, 0.2]]}
    frame = like(pd.DataFrame({"x": [1, 2]}, index=["p", "q"]), outputs)
    assert frame["label"].to_dict() == {"p": "a", "q": "b"}
    assert frame.loc["q", "score"] == [0.8, 0.2]


def test_models_are_tables_in_a_notebook_and_dicts_everywhere_else() -> None:
    model = Model(name="<digits>", aliases={"production": "1"}, versions=[{"version": "1", "state": "READY"}])
    for shown in (model, ModelList([model])):
        assert "<td>&lt;digits&gt;</td><td>1</td><td>READY</td><td>production</td>" in shown._repr_html_()
    assert model["aliases"]["production"] == "1"
