"""A column of a DataFrame, sent as a tensor and rebuilt, is the column that the estimator was fitted on."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.core.errors import CeleriacError
from app.runtime.frames import column_of, spec_of, tensor_of, with_missing

COLUMNS = {
    "truths": pd.Series([True, False, True]),
    "whole": pd.Series([1, 2, 3]),
    "large": pd.Series([2**63 - 1, -(2**63), 2**53 + 1]),
    "unsigned": pd.Series([2**64 - 1, 0, 1], dtype="uint64"),
    "small": pd.Series([1, 2, 3], dtype="int8"),
    "single": pd.Series([0.5, np.nan, 3], dtype="float32"),
    "text": pd.Series(["a", "", None]),
    "objects": pd.Series(["a", "", np.nan], dtype=object),
    "objects with None": pd.Series(["a", "", None], dtype=object),
    "nullable text": pd.Series(["a", "", None], dtype="string"),
    "nullable whole": pd.Series([1, None, 3], dtype="Int64"),
    "nullable truth": pd.Series([True, None, False], dtype="boolean"),
    "nullable real": pd.Series([1.5, None, 3], dtype="Float64"),
    "truths with one missing": pd.Series([True, np.nan, False], dtype=object),
    "category": pd.Series(["b", None, "a"], dtype=pd.CategoricalDtype(["c", "b", "a"])),
    "whole category": pd.Series([3, None, 1], dtype=pd.CategoricalDtype([1, 3])),
    "times": pd.Series(pd.to_datetime(["2026-01-31 12:30:00.5", None, "1960-02-29"], format="ISO8601").astype("datetime64[ns]")),
    "zoned times": pd.Series(pd.to_datetime(["2026-01-31 12:30", None, "1960-02-29"], format="ISO8601").tz_localize("Europe/Zurich")),
    "days": pd.Series([date(2026, 1, 31), pd.NaT, date(1, 1, 1)], dtype=object),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_arrives_as_it_left(name: str) -> None:
    column = COLUMNS[name]
    spec = spec_of(name, column, nullable=bool(column.isna().any()))
    arrived = pd.Series(column_of(spec, tensor_of(spec, column)))
    pd.testing.assert_series_equal(arrived, column, check_names=False)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_missing_value_becomes_what_pandas_makes_of_it(name: str) -> None:
    column = COLUMNS[name]
    spec = spec_of(name, column, nullable=True)
    probe = with_missing(column)
    arrived = pd.Series(column_of(spec, spec.tensor([None], (1,))))
    assert arrived.isna().tolist() == probe.isna().tolist() == [True]
    # A column of whole numbers with one missing is float64 to pandas, of truth values it is object.
    wanted = {"b": "object", "i": "float64", "u": "float64"}.get(column.dtype.kind) if isinstance(column.dtype, np.dtype) else None
    assert str(arrived.dtype) == str(probe.dtype) == (wanted or str(column.dtype))


def test_decimals_are_numbers() -> None:
    column = pd.Series([Decimal("1.10"), None, Decimal(3)], dtype=object)
    spec = spec_of("price", column, nullable=True)
    assert spec.datatype == "FP64"
    assert np.array_equal(column_of(spec, tensor_of(spec, column)), [1.1, np.nan, 3.0], equal_nan=True)


def test_a_new_category_keeps_the_codes_of_the_others() -> None:
    spec = spec_of("kind", COLUMNS["category"], nullable=True)
    column = column_of(spec, spec.tensor(["b", "new", None, "a"], (4,)))
    assert column.codes.tolist() == [1, 3, -1, 2]


@pytest.mark.parametrize(
    "column",
    [pd.Series([1 + 2j]), pd.Series(pd.to_timedelta(["1s"])), pd.Series([{"a": 1}]), pd.Series([1, "a"], dtype=object)],
    ids=["complex", "timedelta", "objects", "mixed"],
)
def test_what_has_no_datatype_is_refused_by_the_name_of_its_column(column: Any) -> None:
    with pytest.raises(CeleriacError, match="Column 'since' holds values of the type"):
        spec_of("since", column)
