"""Estimators that misbehave, each in one way."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator


class Answers(BaseEstimator):  # type: ignore[misc]
    """Answers what `answer` makes of the input."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def predict(self, data: Any) -> Any:
        return self.answer(data)


class Sees(BaseEstimator):  # type: ignore[misc]
    """Keeps what it was asked in `seen`."""

    def predict(self, data: Any) -> Any:
        self.seen = data
        return np.zeros(len(data))


class Raises(BaseEstimator):  # type: ignore[misc]
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def predict(self, data: Any) -> Any:
        raise self.error


class Forgets(BaseEstimator):  # type: ignore[misc]
    """Answers otherwise once it was saved and loaded."""

    def __init__(self, offset: float = 1.0) -> None:
        self.offset = offset

    def __getstate__(self) -> dict[str, Any]:
        return {"offset": 0.0}

    def predict(self, data: Any) -> Any:
        return np.asarray(data)[:, 0] + self.offset


class Marks(BaseEstimator):  # type: ignore[misc]
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: str = "") -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return _mark, (self.path,)

    def predict(self, data: Any) -> Any:
        return np.zeros(len(data))


def _mark(path: str) -> Marks:
    if os.environ.get("MARK"):
        Path(path).touch()
    return Marks(path)
