"""Live quality: captured predictions and their true answers, compared.

Sources of the formulas: the area under the ROC curve is the statistic of Mann and Whitney (1947), as Hanley and McNeil (Radiology 143, 1982)
show; the expected calibration error is that of Naeini, Cooper and Hauskrecht (AAAI 2015) with ten bins of equal width.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from app.core.feedback import Actual, CalibrationBin, Quality

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Key = tuple[str, str, int]
"""Owner, job and row."""
_BINS: Final = 10
_OUTPUTS: Final = "outputs."
_PROBABILITY: Final = f"{_OUTPUTS}predict_proba_"
_COLUMNS: Final = ("owner", "job", "row")


def qualities(files: Iterable[tuple[str, bytes]], actuals: Mapping[Key, Actual]) -> list[Quality]:
    """Return the quality of each version, in the order of their names.

    Args:
        files: Versions, and files of captured rows.
        actuals: The true answers.
    """
    jobs = pa.array(sorted({job for _, job, _ in actuals}), pa.string())
    counts: dict[str, int] = {}
    answered: dict[str, dict[Key, tuple[dict[str, Any], Actual]]] = {}
    for version, content in files:
        file = pq.ParquetFile(io.BytesIO(content))
        names = [name for name in file.schema_arrow.names if name in _COLUMNS or name.startswith(_OUTPUTS)]
        counts[version] = counts.get(version, 0) + file.metadata.num_rows
        if len(jobs):
            table = file.read(columns=names, use_threads=False)
            for row in table.filter(pc.is_in(table["job"], value_set=jobs)).to_pylist():
                key = row["owner"], row["job"], row["row"]
                if key in actuals:
                    # A job that ran twice has its rows twice.
                    answered.setdefault(version, {})[key] = row, actuals[key]
    return [quality(version, counts[version], list(answered.get(version, {}).values())) for version in sorted(counts)]


def quality(version: str, captured: int, rows: Sequence[tuple[Mapping[str, Any], Actual]]) -> Quality:
    """Return the quality of a version. `rows` are captured rows with their true answers.

    Whole numbers, truths and texts are labels. Other numbers are compared as numbers, and are probabilities if they are from 0 to 1 and the
    true answers are 0 or 1.
    """
    compared = [(row, predicted, actual) for row, actual in rows if (predicted := _prediction(row)) is not None]
    if not compared:
        return Quality(version, captured, 0)
    mae = rmse = accuracy = None
    scores: list[float | None]
    if all(isinstance(predicted, float) and not isinstance(actual, str) for _, predicted, actual in compared):
        errors = np.array([predicted - float(actual) for _, predicted, actual in compared])
        mae, rmse = float(np.abs(errors).mean()), float(np.sqrt((errors**2).mean()))
        probable = all(0 <= predicted <= 1 and actual in (0, 1) for _, predicted, actual in compared)
        scores, positive = [predicted if probable else None for _, predicted, _ in compared], "1"
    else:
        accuracy = sum(_label(predicted) == _label(actual) for _, predicted, actual in compared) / len(compared)
        scores, positive = _scores([row for row, _, _ in compared])
    if None in scores:
        return Quality(version, captured, len(compared), accuracy, mae=mae, rmse=rmse)
    probabilities = np.array(scores, np.float64)
    truths = np.array([_label(actual) == positive for _, _, actual in compared])
    bins = calibration(probabilities, truths)
    auc, error = area_under_curve(probabilities, truths), calibration_error(bins)
    return Quality(version, captured, len(compared), accuracy, auc, error, bins, mae, rmse)


def area_under_curve(scores: Floats, truths: Bools) -> float | None:
    """Return the probability that a row of the positive class has a higher score than another one; None without rows of both classes."""
    positives = int(truths.sum())
    negatives = len(truths) - positives
    if not positives or not negatives:
        return None
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[places]
    return float((ranks[truths].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def calibration(scores: Floats, truths: Bools) -> tuple[CalibrationBin, ...]:
    """Return the mean score and the share of positives in each bin that has rows."""
    places = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    chosen = [places == place for place in np.unique(places)]
    return tuple(CalibrationBin(int(rows.sum()), float(scores[rows].mean()), float(truths[rows].mean())) for rows in chosen)


def calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Return the mean distance between the mean score and the share of positives, weighted by rows."""
    return sum(part.rows * abs(part.predicted - part.observed) for part in bins) / sum(part.rows for part in bins)


def _prediction(row: Mapping[str, Any]) -> Any:
    """Return the predicted label or number: `predict`, else the likeliest class, else the first output that is one value."""
    if row.get(f"{_OUTPUTS}predict") is not None:
        return row[f"{_OUTPUTS}predict"]
    probabilities = {name: value for name, value in row.items() if name.startswith(_PROBABILITY) and value is not None}
    if probabilities:
        return max(probabilities, key=probabilities.__getitem__).removeprefix(_PROBABILITY)
    outputs = (value for name, value in row.items() if name.startswith(_OUTPUTS))
    return next((value for value in outputs if value is not None and not isinstance(value, list | bytes)), None)


def _scores(rows: Sequence[Mapping[str, Any]]) -> tuple[list[float | None], str]:
    """Return the probability of the second of two classes in each row, and the class."""
    names = [name for name in rows[0] if name.startswith(_PROBABILITY)]
    if len(names) != 2:
        return [None], ""
    return [row.get(names[1]) for row in rows], names[1].removeprefix(_PROBABILITY)


def _label(value: Any) -> str:
    """Return a label as text: 1, 1.0, true and "1" are the same."""
    number = isinstance(value, float) and value.is_integer()
    return str(int(value)) if number or isinstance(value, bool) else str(value)
