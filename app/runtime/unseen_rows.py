"""Predictions of rows that a sample lacks: missing numbers, and numbers outside the range of the sample."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pandas as pd

from app.runtime.arrays import Array
from app.runtime.methods import call, methods_of

_TRIED_COLUMNS: Final = 100
"""Maximum number of columns that are tried one by one. Wider inputs are tried as a whole and by the first and last column."""
_ROWS: Final = 1000


def takes_missing(estimator: Any, sample: Any) -> bool:
    """Whether the estimator predicts a row in which one number, or every number, is missing."""
    row = sample[:1]
    width = row.shape[1]
    columns = range(width) if width <= _TRIED_COLUMNS else (0, width - 1)
    return _answers(estimator, _without(row, range(width))) or any(_answers(estimator, _without(row, (at,))) for at in columns)


def disagreement(estimator: Any, compiled: Any, sample: Any, names: Iterable[str], tolerance: float) -> str:
    """Describe how a compiled graph differs from the estimator for rows with missing numbers, or return "" if it does not.

    The rows recombine the values of the sample. In each, one column, random columns or all columns are missing.
    """
    rows = _recombined(np.asarray(sample, dtype=float))
    data = pd.DataFrame(rows, columns=sample.columns) if isinstance(sample, pd.DataFrame) else rows
    for name in names:
        try:
            expected = call(estimator, name, data)
        except Exception as error:  # noqa: BLE001 - any exception means that it rejects them
            return f"the estimator rejects them ({type(error).__name__})"
        try:
            actual = call(compiled, name, rows)
        except Exception as error:  # noqa: BLE001 - the same for the graph
            return f"the graph rejects them ({type(error).__name__})"
        if expected.dtype.kind == "f":
            wrong = ~np.isclose(actual, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
        else:
            wrong = np.asarray(actual != expected)
        count = int(wrong.reshape(len(rows), -1).any(axis=1).sum())
        if count:
            return f"{name} of the graph differs in {count} of {len(rows)} such rows"
    return ""


def accepts_rejected(estimator: Any, compiled: Any, sample: Any) -> str:
    """Describe a number that the estimator rejects but a compiled graph accepts, or return "" if there is none.

    An encoder rejects unknown categories, for example, and a graph may treat them as if no category was set.
    """
    rows = np.asarray(sample, dtype=float)[:1]
    high = np.nanmax(np.asarray(sample, dtype=float), axis=0, initial=0.0)
    for at in range(min(rows.shape[1], _TRIED_COLUMNS)):
        for number in (high[at] + 1.5, -high[at] - 1.5):
            trial = rows.copy()
            trial[:, at] = number
            data = pd.DataFrame(trial, columns=sample.columns) if isinstance(sample, pd.DataFrame) else trial
            if not _answers(estimator, data) and _answers(compiled, trial):
                return f"the estimator rejects the number {number:g} in column {at}, but the graph accepts it"
    return ""


def _recombined(sample: Array) -> Array:
    """Return rows whose columns come from different rows of the sample, with missing numbers."""
    random = np.random.default_rng(0)
    values = np.where(np.isfinite(sample), sample, 0.0)
    width = values.shape[1]
    count = max(_ROWS, width)
    rows: Array = np.take_along_axis(values, random.integers(0, len(values), (count, width)), axis=0)
    rows[: count // 2] = values[random.integers(0, len(values), count // 2)]  # half of them as they are in the sample
    alone = np.zeros((count, width), dtype=bool)
    alone[np.arange(count), np.arange(count) % width] = True
    mask = np.where(random.random((count, 1)) < 0.7, alone, random.random((count, width)) < random.random((count, 1)))
    mask[-1] = True
    rows[mask] = np.nan
    return rows


def _without(row: Any, columns: Iterable[int]) -> Any:
    trial = row.astype(float)
    for at in columns:
        if isinstance(trial, pd.DataFrame):
            trial.isetitem(at, np.nan)
        else:
            trial[:, at] = np.nan
    return trial


def _answers(estimator: Any, rows: Any) -> bool:
    try:
        call(estimator, methods_of(estimator)[0], rows)
    except Exception:  # noqa: BLE001 - any exception means that it rejects them
        return False
    return True
