"""Questions with known answers: rows of the breast-cancer data, each a little different, and what the same model says here."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from app.core.models import RetryPolicy
from app.registry.repository import Repository
from app.runtime.model_yaml import publish_folder
from app.runtime.publishing import publish
from tests.chaos.brittle import POISONS, Brittle, poison
from tests.loop_graph import loop_graph

METHOD: Final = "predict_proba"
PATIENT: Final = "patient"
"""A model whose jobs may lose their worker many times: where workers are killed at random, that is no one's fault."""
STRICT: Final = "strict"
"""A model with the default of three attempts: where no worker is killed, no attempt may be counted."""
HASTY: Final = "hasty"
"""A model with two attempts and a time limit of two seconds, for poison."""
BRISK: Final = "brisk"
"""A model with the default of three attempts and a time limit that an outage of Redis is longer than."""
COUNTING: Final = "counting"
"""A graph on the direct lane, which counts to its input."""
_POLICIES: Final = {
    PATIENT: (RetryPolicy(max_attempts=12, backoff_s=0.1), 30.0),
    STRICT: (RetryPolicy(), 30.0),
    BRISK: (RetryPolicy(), 2.0),
    HASTY: (RetryPolicy(max_attempts=2, backoff_s=0.1), 2.0),
}


@dataclass(frozen=True)
class Question:
    """`right` is the row of probabilities, or the code of the error that a poisoned row has to end with."""

    model: str
    row: list[float]
    right: list[float] | str

    @property
    def takes(self) -> float:
        """Seconds of its prediction, and of those that it may be joined with or wait behind."""
        return 2 * max(0.0, self.row[0])

    def answered(self, job: dict[str, Any]) -> bool:
        """Is this job's outcome the right one?"""
        if isinstance(self.right, str):
            return bool(job["state"] == "failed" and job["error"]["code"] == self.right)
        if job["state"] != "succeeded":
            return False
        return all(abs(found - right) < 1e-9 for found, right in zip(job["result"][0], self.right, strict=True))


class Questions:
    """Made by a seed: the same seed asks the same."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(f"questions {seed}")
        self._data, self._labels = load_breast_cancer(return_X_y=True)

    @cached_property
    def _estimator(self) -> Any:
        rows = [[0.0, *row] for row in self._data.tolist()]
        import numpy as np

        return Brittle(make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))).fit(np.array(rows), self._labels)

    def publish(self, folder: Path) -> None:
        repository = Repository(folder)
        sample = [[0.0, *row] for row in self._data[:5].tolist()]
        for name, (retries, limit) in _POLICIES.items():
            publish(
                repository, self._estimator, name, sample=sample, format="joblib", retries=retries, time_limit_s=limit, promote="production"
            )
        publish_folder(repository, COUNTING, loop_graph(folder.with_name("graph")))

    def good(self, model: str, count: int, seconds: float = 0.05) -> list[Question]:
        """Each takes a random time of up to `seconds`; those predicted together take the longest of theirs."""
        rows = []
        for _ in range(count):
            row = self._chance.choice(self._data)
            rows.append([self._chance.uniform(0, seconds), *(value * self._chance.uniform(0.8, 1.2) for value in row.tolist())])
        import numpy as np

        right = self._estimator.estimator.predict_proba(np.array(rows)[:, 1:]).tolist()
        return [Question(model, row, answer) for row, answer in zip(rows, right, strict=True)]

    def poisoned(self, kind: str) -> Question:
        return Question(HASTY, [poison(kind), *self._data[0].tolist()], POISONS[kind][1])
