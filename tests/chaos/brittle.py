"""A model that does as the first column of a row says: answer, take its time, or take the process with it."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


def _segfault() -> None:
    ctypes.string_at(0)


def _exit() -> None:
    os._exit(3)


def _memory_error() -> None:
    raise MemoryError


def _allocate() -> None:
    np.ones(1 << 32)  # 32 GiB, far above the limit that `start` sets


def _sleep() -> None:
    time.sleep(600)


def _cling() -> None:
    """Survives the soft time limit, as a loop in C does."""
    end = time.monotonic() + 600
    while time.monotonic() < end:
        try:
            time.sleep(600)
        except BaseException:  # noqa: BLE001
            continue


def _raise() -> None:
    raise ValueError("this row cannot be predicted")


POISONS: Final[dict[str, tuple[Callable[[], None], str]]] = {
    "segfault": (_segfault, "worker_lost"),
    "exit": (_exit, "worker_lost"),
    "memory-error": (_memory_error, "out_of_memory"),
    "allocate": (_allocate, "out_of_memory"),
    "sleep": (_sleep, "time_limit_exceeded"),
    "cling": (_cling, "time_limit_exceeded"),
    "raise": (_raise, "prediction_failed"),
}
"""What a poisoned row does, and the error that its job has to end with."""


def poison(kind: str) -> float:
    """The first column of a row that does this; a column of 0 or more is the seconds that a prediction takes."""
    return -1.0 - list(POISONS).index(kind)


class Brittle(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Asks `estimator` about the other columns."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, rows: Any, labels: Any) -> Brittle:
        self.estimator.fit(rows[:, 1:], labels)
        self.classes_ = self.estimator.classes_
        self.n_features_in_ = rows.shape[1]
        return self

    def predict(self, rows: Any) -> Any:
        self._suffer(rows[:, 0])
        return self.estimator.predict(rows[:, 1:])

    def predict_proba(self, rows: Any) -> Any:
        self._suffer(rows[:, 0])
        return self.estimator.predict_proba(rows[:, 1:])

    def _suffer(self, column: Any) -> None:
        worst = float(column.min())
        if worst < 0:
            list(POISONS.values())[int(-worst) - 1][0]()
        time.sleep(float(column.max()))
