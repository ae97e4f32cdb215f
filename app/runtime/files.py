"""Publishing of fitted estimators in files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from app.core.errors import InvalidInput
from app.core.models import FORMATS, PYTORCH, Manifest
from app.registry.repository import Repository
from app.runtime.artifact import READERS
from app.runtime.publishing import LOAD_TIMEOUT_S, publish, write_isolated
from app.runtime.requirements import load_problem
from app.runtime.structure import column_names

SUFFIXES: Final = {
    ".skops": "skops", ".joblib": "joblib", ".pkl": "joblib", ".pickle": "joblib", ".onnx": "onnx",
    ".pt2": "pt2", ".pt": "torchscript", ".ubj": "xgboost", ".json": "xgboost", ".txt": "lightgbm", ".cbm": "catboost",
}  # fmt: skip
"""Suffix of a file -> format."""


def publish_file(
    repository: Repository,
    name: str,
    path: Path,
    rows: Sequence[Any],
    *,
    version: str | None = None,
    timeout_s: float = LOAD_TIMEOUT_S,
    **options: Any,
) -> Manifest:
    """Publish the estimator in a file whose suffix says its format; `options` are those of `publish`. Loading joblib runs its code.

    `rows` are a few rows such as callers send: lists of values, or records by column name. The file is loaded in a process of its own
    within `timeout_s`.
    Raises InvalidInput if the file or the rows cannot be used, or the file does not load in time, ModelConflict if the version exists.
    """
    kind = SUFFIXES.get(path.suffix)
    if kind == "onnx" or kind in PYTORCH:
        what = "graph" if kind == "onnx" else "program"
        raise InvalidInput(
            f"{path.name} is a {what}. Put it into a folder as {FORMATS[kind]}, and publish the folder.", pointer="/artifact"
        )
    if kind is None:
        detail = f"{path.name} is not in a supported format. Use a file with {', '.join(SUFFIXES)}."
        raise InvalidInput(detail, pointer="/artifact")

    def write(stage: Path) -> Manifest:
        estimator = load(path, kind)
        sample, columns = sample_for(estimator, rows)
        return publish(Stage(stage), estimator, name, sample=sample, columns=columns, version=version, **options)

    return repository.publish(name, lambda stage: write_isolated(name, path, lambda: write(stage), timeout_s), version=version)


class Stage(Repository):
    """Takes the place of the repository in the process that loads the file: it writes into the folder that the parent process publishes."""

    def publish(self, name: str, write: Callable[[Path], Manifest], *, version: str | None = None, job: str = "") -> Manifest:
        """Write a version, and leave the rest to the parent process."""
        return write(self.root)


def load(path: Path, kind: str) -> Any:
    """Return the estimator in a file. Raises InvalidInput with the reason if it cannot be loaded."""
    try:
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise InvalidInput(f"{path} is empty. Save the estimator again.", pointer="/artifact")
            return READERS[kind](file)
    except InvalidInput:
        raise
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.", pointer="/artifact") from None
    except Exception as error:
        raise InvalidInput(load_problem(str(path), error), pointer="/artifact") from error


def sample_for(estimator: Any, rows: Any) -> tuple[Any, Sequence[str]]:
    """Return rows and column names in the form for the estimator: a DataFrame if it has column names, else an array.

    `rows` are a DataFrame, an array, or lists or records as callers send them.
    """
    if not isinstance(rows, pd.DataFrame):
        if not isinstance(rows[0], dict):
            return np.asarray(rows), ()
        rows = pd.DataFrame(list(rows))
    if column_names(estimator):
        return rows, ()
    return rows.to_numpy(), [str(column) for column in rows.columns]
