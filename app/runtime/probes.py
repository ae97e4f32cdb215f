"""Rows that a sample does not hold, asked of what will run: missing numbers, and numbers beyond those of the sample."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pandas as pd

from app.runtime.arrays import Array
from app.runtime.methods import call, methods_of

_PROBED_COLUMNS: Final = 100
"""Above this many, an input of numbers is probed as a whole and by its first and last column."""
_ROWS: Final = 1000


def takes_missing(estimator: Any, sample: Any) -> bool:
    """Does the estimator answer a row in which one of its numbers, or every number, is missing?"""
    row = sample[:1]
    width = row.shape[1]
    columns = range(width) if width <= _PROBED_COLUMNS else (0, width - 1)
    return _answers(estimator, _without(row, range(width))) or any(_answers(estimator, _without(row, (at,))) for at in columns)


def disagreement(estimator: Any, compiled: Any, sample: Any, names: Iterable[str], tolerance: float) -> str:
    """Say how a compiled graph differs from the estimator for rows with missing numbers; "" if both answer the same.

    The rows recombine the values of the sample. Each column is missing alone, all are missing together, and so are random ones.
    """
    rows = _recombined(np.asarray(sample, dtype=float))
    data = pd.DataFrame(rows, columns=sample.columns) if isinstance(sample, pd.DataFrame) else rows
    for name in names:
        try:
            expected = call(estimator, name, data)
        except Exception as error:  # noqa: BLE001 - whatever it raises, it does not take them
            return f"the estimator refuses them ({type(error).__name__})"
        try:
            found = call(compiled, name, rows)
        except Exception as error:  # noqa: BLE001 - the same for the graph
            return f"the graph refuses them ({type(error).__name__})"
        if expected.dtype.kind == "f":
            wrong = ~np.isclose(found, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
        else:
            wrong = np.asarray(found != expected)
        count = int(wrong.reshape(len(rows), -1).any(axis=1).sum())
        if count:
            return f"{name} of the graph differs in {count} of {len(rows)} such rows"
    return ""


def answers_the_refused(estimator: Any, compiled: Any, sample: Any) -> str:
    """Say which numbers the estimator refuses while a compiled graph answers them; "" if there are none.

    An encoder refuses a category that it does not know, for example, and a graph may answer it as if no category was set.
    """
    rows = np.asarray(sample, dtype=float)[:1]
    high = np.nanmax(np.asarray(sample, dtype=float), axis=0, initial=0.0)
    for at in range(min(rows.shape[1], _PROBED_COLUMNS)):
        for number in (high[at] + 1.5, -high[at] - 1.5):
            probe = rows.copy()
            probe[:, at] = number
            data = pd.DataFrame(probe, columns=sample.columns) if isinstance(sample, pd.DataFrame) else probe
            if not _answers(estimator, data) and _answers(compiled, probe):
                return f"the estimator refuses the number {number:g} in column {at}, and the graph answers it"
    return ""


def _recombined(sample: Array) -> Array:
    """Rows whose columns come from different rows of the sample, with missing numbers."""
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
    probe = row.astype(float)
    for at in columns:
        if isinstance(probe, pd.DataFrame):
            probe.isetitem(at, np.nan)
        else:
            probe[:, at] = np.nan
    return probe


def _answers(estimator: Any, rows: Any) -> bool:
    try:
        call(estimator, methods_of(estimator)[0], rows)
    except Exception:  # noqa: BLE001 - whatever it raises, it does not take them
        return False
    return True
