"""Estimators that wear their process: one leaks, one breaks a library that others use. Workers import it to unpickle them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

LEAK, BREAK = 1, 2
_kept: list[Any] = []


class Worn(BaseEstimator):  # type: ignore[misc]
    """Answers the sum of a row. A row that begins with LEAK leaks this many MiB; one that begins with BREAK breaks `json` for the process."""

    def predict(self, data: Any) -> Any:
        for mood, value in data[:, :2]:
            if mood == LEAK:
                _kept.append(np.ones(int(value) << 17))
            if mood == BREAK:
                np.cumsum = None  # type: ignore[assignment]
        return data.sum(axis=1).astype(float)


class User(BaseEstimator):  # type: ignore[misc]
    """Uses the library that `Worn` breaks."""

    def predict(self, data: Any) -> Any:
        if (data[:, 0] < 0).any():
            raise ValueError("a bad input")
        return np.cumsum(data, axis=1)[:, -1].astype(float)
