"""Evaluation of a trainer on rows that it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn import metrics
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold, StratifiedShuffleSplit

from app.core.errors import InvalidInput
from app.core.trainers import METRICS, Kind
from app.core.trainings import Training
from app.runtime.arrays import Array
from app.trainings.datasets import Dataset
from app.trainings.preprocessing import as_it_was_fitted
from app.trainings.trainers import Trainer

Split = tuple[Array, Array]
"""Indices of the rows to train on, and of those to measure on."""
_MEASURES: Final[dict[str, Callable[[Array, Array], float]]] = {
    "accuracy": metrics.accuracy_score,
    "balanced_accuracy": metrics.balanced_accuracy_score,
    "f1_macro": lambda truth, answer: metrics.f1_score(truth, answer, average="macro"),
    "r2": metrics.r2_score,
    "mean_absolute_error": metrics.mean_absolute_error,
    "root_mean_squared_error": metrics.root_mean_squared_error,
}


def splits(training: Training, data: Dataset, kind: Kind) -> list[Split]:
    """Return the splits of a data set, the same for the same data. Raises InvalidInput if there are too few rows."""
    rows, parts = len(data.rows), training.cv if training.holdout is None else 2
    if rows < 2 * parts:
        raise InvalidInput(f"{training.dataset} has {rows} rows, too few for {training.evaluation}.", pointer="/dataset")
    if kind is Kind.CLASSIFIER:
        classes, counts = np.unique(data.target, return_counts=True)
        if len(classes) < 2:
            raise InvalidInput(f"Target {training.target!r} is {classes[0]} in every row, so there is nothing to learn.", pointer="/target")
        if counts.min() < parts:
            rare = f"Target {training.target!r} is {classes[counts.argmin()]} in only {counts.min()} rows"
            raise InvalidInput(
                f"{rare}, too few for {training.evaluation}. Check that it is a class, and not a number or a name.", pointer="/target"
            )
    try:
        return list(_splitter(training, kind).split(data.rows, data.target))
    except ValueError as error:
        raise InvalidInput(f"{training.dataset} cannot be split for {training.evaluation}: {error}", pointer="/holdout") from None


def measure(trainer: Trainer, params: Mapping[str, Any], data: Dataset, parts: list[Split]) -> Iterator[dict[str, float]]:
    """Yield the metrics of each split."""
    for learned, unseen in parts:
        estimator = trainer.fit(data.rows.iloc[learned], data.target[learned], params)
        rows: pd.DataFrame = data.rows.iloc[unseen]
        answer = np.asarray(estimator.predict(as_it_was_fitted(estimator, rows)))
        truth = data.target[unseen]
        yield {name: float(_MEASURES[name](truth, answer)) for name in METRICS[trainer.kind]}


def mean(measured: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over the splits, to six digits."""
    return {name: round(float(np.mean([values[name] for values in measured])), 6) for name in measured[0]}


def deviation(measured: list[dict[str, float]]) -> dict[str, float]:
    """Return the standard deviation of each metric over the splits, to six digits."""
    return {name: round(float(np.std([values[name] for values in measured])), 6) for name in measured[0]}


def _splitter(training: Training, kind: Kind) -> Any:
    classifies = kind is Kind.CLASSIFIER
    if training.holdout is not None:
        return (StratifiedShuffleSplit if classifies else ShuffleSplit)(1, test_size=training.holdout, random_state=0)
    return (StratifiedKFold if classifies else KFold)(training.cv, shuffle=True, random_state=0)
