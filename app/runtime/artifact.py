"""Files that hold an estimator or a graph, checked before they are read."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import joblib
import numpy as np
import sklearn
import skops.io
from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning

from app.core.errors import ModelUnavailable
from app.core.models import PYTORCH, Manifest
from app.registry import contents
from app.runtime.boosters import read_catboost, read_lightgbm, read_xgboost
from app.runtime.compiled import read_onnx
from app.runtime.graph import Graph
from app.runtime.pytorch import read_pt2, read_torchscript
from app.runtime.requirements import load_problem
from app.runtime.reviewed import trusted

log = logging.getLogger(__name__)


def read_skops(file: IO[bytes]) -> Any:
    """Read a skops file. Raises an error with the types that have not been reviewed."""
    return skops.io.load(file, trusted=list(trusted()))


READERS: Final[dict[str, Callable[[IO[bytes]], Any]]] = {
    "onnx": read_onnx, "skops": read_skops, "joblib": joblib.load,
    "xgboost": read_xgboost, "lightgbm": read_lightgbm, "catboost": read_catboost, "pt2": read_pt2, "torchscript": read_torchscript,
}  # fmt: skip


@dataclass(frozen=True)
class Artifact:
    """An artifact in the repository. `manifest` is None if it is a bare one."""

    which: str
    path: Path
    kind: str
    manifest: Manifest | None
    version_policy: str
    device: str

    def check(self) -> None:
        """Raise ModelUnavailable if the file is not the one that was published."""
        with self.path.open("rb") as file:
            contents.check(self.which, self.path, file, self.manifest)

    def read(self) -> tuple[Any, str]:
        """Return the estimator, graph or program, held to one thread, and the sha256 of the file. Raise ModelUnavailable if it cannot be loaded."""
        with self.path.open("rb") as file:
            # Read twice from one open file, so that what was checked is what is loaded.
            digest = contents.check(self.which, self.path, file, self.manifest)
            file.seek(0)
            estimator = self._load(file)
        _tame(estimator, set())
        return estimator, digest

    def check_version(self, trained: str | None) -> None:
        """Raise ModelUnavailable if the policy does not allow the scikit-learn that it was trained with."""
        installed = sklearn.__version__
        if trained is None or trained == installed:
            return
        message = f"{self.which} was trained with scikit-learn {trained}, and this worker has {installed}"
        if self.version_policy == "strict" or (self.version_policy == "minor" and trained.split(".")[:2] != installed.split(".")[:2]):
            raise ModelUnavailable(f"{message}. Retrain it, or widen CELERIAC_VERSION_POLICY (now {self.version_policy}).")
        log.warning("%s", message)

    @property
    def _reader(self) -> Callable[[IO[bytes]], Any]:
        if self.kind in PYTORCH:
            return partial(read_pt2 if self.kind == "pt2" else read_torchscript, device=self.device)
        if self.kind != "onnx":
            return READERS[self.kind]
        return partial(Graph if self.manifest is None or self.manifest.graph else read_onnx, device=self.device)

    def _load(self, file: IO[bytes]) -> Any:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                estimator = self._reader(file)
            except ModelUnavailable:
                raise
            except Exception as error:
                requires = (self.manifest.requires if self.manifest else None) or ()
                raise ModelUnavailable(load_problem(self.which, error, requires)) from error
        for warning in caught:
            if isinstance(warning.message, InconsistentVersionWarning):
                self.check_version(warning.message.original_sklearn_version)
            else:
                log.warning("%s: %s", self.which, warning.message)
        return estimator


def _tame(value: Any, seen: set[int]) -> None:
    """Limit an estimator to one thread per prediction, because a worker has one process per core."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, BaseEstimator):
        if getattr(value, "n_jobs", None) is not None:
            value.n_jobs = 1
        _tame(vars(value), seen)
    elif isinstance(value, dict):
        for part in value.values():
            _tame(part, seen)
    elif isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
        for part in value.flat if isinstance(value, np.ndarray) else value:
            _tame(part, seen)
