"""From the repository into memory: checked first, then unpickled, never asked to predict."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
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
from app.core.models import FORMATS, PYTHON, Manifest
from app.registry import contents
from app.registry.repository import Repository
from app.runtime.code import CodeModel
from app.runtime.compiled import read_onnx
from app.runtime.graph import Graph, GraphModel, signature
from app.runtime.model import Model
from app.runtime.signature import classes_of, inputs_of, outputs_of

log = logging.getLogger(__name__)

# Types beyond skops' own list that an artefact may hold. They keep arrays and numbers and run no code of the artefact; a
# forged tree can still read out of its bounds, which ends the process: the price for forests, bounded by the sha256.
TRUSTED: Final = (
    "numpy.dtype",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.tree._tree.Tree",
)


def load(
    repository: Repository, name: str, version: str, *, version_policy: str = "minor", allow_pickle: bool = True, device: str = "cpu"
) -> Model:
    """A model ready to predict; it has not yet answered its golden sample (`Model.verify`). Safe before a fork: it opens no device.

    Raises ModelNotFound, or ModelUnavailable with the reason: damaged, of another scikit-learn, not allowed, not loadable.
    """
    manifest = repository.manifest(name, version)
    if manifest is not None and manifest.format == PYTHON:
        return _load_code(repository, manifest, allow_pickle)
    path = repository.artifact(name, version)
    kind = manifest.format if manifest else next(format for format, file in FORMATS.items() if file == path.name)
    which = f"{name}@{version}"
    if kind not in READERS:
        raise ModelUnavailable(f"{which} is in the format {kind!r}; this worker reads {', '.join(READERS)}")
    if kind == "joblib" and not allow_pickle:
        told = f"{which} is a joblib file, which may run code when loaded, and CELERIAC_ALLOW_PICKLE is off: publish it as skops"
        raise ModelUnavailable(told)
    if manifest:
        _check_version(which, manifest.framework.get("scikit-learn"), version_policy)
    with path.open("rb") as file:
        # Read twice from one open file, so that what was checked is what is loaded.
        if manifest and manifest.weights:
            digest = contents.digest(path.parent, manifest)
        else:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if manifest and digest != manifest.sha256:
            what = " and ".join((path.name, *manifest.weights))
            told = f"{which}: the sha256 of {what} is {digest[:12]}…, not {manifest.sha256[:12]}… as published"
            raise ModelUnavailable(f"{told}: the file is damaged or was changed")
        file.seek(0)
        estimator = _read(which, _reader(kind, manifest, device), file, version_policy)
    _tame(estimator, set())
    try:
        made = GraphModel if isinstance(estimator, Graph) else Model
        return made(manifest or _infer(estimator, name, version, kind, path, digest), estimator)
    except ModelUnavailable:
        raise
    except Exception as error:
        told = f"{which}: the signature of {type(estimator).__name__} cannot be told: {error}; publish it with a sample"
        raise ModelUnavailable(told) from error


def _load_code(repository: Repository, manifest: Manifest, allowed: bool) -> Model:
    which = "@".join(manifest.key)
    if not allowed:
        raise ModelUnavailable(f"{which} is Python code, and CELERIAC_ALLOW_PICKLE is off: publish an estimator as skops")
    folder = repository.artifact(*manifest.key).parent
    digest = contents.digest(folder, manifest)
    if digest != manifest.sha256:
        told = f"{which}: the sha256 of its files is {digest[:12]}…, not {manifest.sha256[:12]}… as published"
        raise ModelUnavailable(f"{told}: one is damaged, was changed, added or removed")
    model = CodeModel(manifest, folder)
    if manifest.load == "parent":
        model.load()
    return model


def read_skops(file: IO[bytes]) -> Any:
    """Raises TypeError that names the types which nobody has reviewed."""
    return skops.io.load(file, trusted=list(TRUSTED))


READERS: Final[dict[str, Callable[[IO[bytes]], Any]]] = {"onnx": read_onnx, "skops": read_skops, "joblib": joblib.load}


def _reader(kind: str, manifest: Manifest | None, device: str) -> Callable[[IO[bytes]], Any]:
    if kind != "onnx":
        return READERS[kind]
    return partial(Graph if manifest is None or manifest.graph else read_onnx, device=device)


def _read(which: str, reader: Callable[[IO[bytes]], Any], file: IO[bytes], policy: str) -> Any:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            estimator = reader(file)
        except ModelUnavailable:
            raise
        except Exception as error:
            raise ModelUnavailable(f"{which} cannot be loaded: {type(error).__name__}: {str(error)[:2000]}") from error
    for warning in caught:
        if isinstance(warning.message, InconsistentVersionWarning):
            _check_version(which, warning.message.original_sklearn_version, policy)
        else:
            log.warning("%s: %s", which, warning.message)
    return estimator


def _check_version(which: str, trained: str | None, policy: str) -> None:
    here = sklearn.__version__
    if trained is None or trained == here:
        return
    told = f"{which} was trained with scikit-learn {trained}, and this worker has {here}"
    if policy == "strict" or (policy == "minor" and trained.split(".")[:2] != here.split(".")[:2]):
        raise ModelUnavailable(f"{told}: train it again, or widen CELERIAC_VERSION_POLICY (now {policy})")
    log.warning("%s", told)


def _tame(value: Any, seen: set[int]) -> None:
    """One thread a prediction, whatever the trainer used: a worker has as many processes as it may use cores."""
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


def _infer(estimator: Any, name: str, version: str, kind: str, path: Path, digest: str) -> Manifest:
    graph = isinstance(estimator, Graph)
    inputs, outputs = signature(estimator) if graph else (inputs_of(estimator), outputs_of(estimator))
    return Manifest(
        name, version, kind, path.name, digest, inputs, outputs, classes=classes_of(estimator),
        created_at=datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds"),
        description=f"{type(estimator).__name__}, its signature inferred from a bare artefact",
    )  # fmt: skip
