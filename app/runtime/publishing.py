"""Publishing of fitted estimators as versions in the repository."""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
import onnxruntime
import pandas as pd
import sklearn
import skops
import skops.io
from skops.io.exceptions import UntrustedTypesFoundException

from app.core.bucket_url import parse
from app.core.capture import Capture
from app.core.errors import CeleriacError, InvalidInput
from app.core.models import FORMATS, NATIVE, PYTORCH, BatchLimits, Manifest, RetryPolicy, TensorSpec
from app.core.promotions import PromotionState
from app.core.tensors import FLOATS
from app.registry.contents import EXAMPLES
from app.registry.opening import open_repository
from app.registry.repository import Repository
from app.runtime.arrays import datatype_of
from app.runtime.artifact import READERS
from app.runtime.boosters import Boosted
from app.runtime.compiling import write_onnx
from app.runtime.golden import golden_of
from app.runtime.isolated import isolated
from app.runtime.methods import answers_of, call, classes_of, methods_of, specs_of
from app.runtime.model import Model
from app.runtime.profiling import profile_of
from app.runtime.requirements import Requirements, requirements_of, script_defined
from app.runtime.signature import inputs_of_sample, tensors_of_sample
from app.runtime.structure import column_names, takes_documents
from app.runtime.unseen_rows import accepts_rejected, disagreement, takes_missing
from app.settings import Settings

log = logging.getLogger(__name__)
LOAD_TIMEOUT_S: Final = 300.0
"""Seconds that an artifact may take to load and to predict its sample while it is published, unless the caller says otherwise."""
GOLDEN_ROWS: Final = 3
CHECKED_ROWS: Final = {"onnx": 10_000}
"""Format -> maximum number of sample rows on which the served model is compared with the estimator (default: 100)."""


def publish_into(folder: str | os.PathLike[str], estimator: Any, name: str, **options: Any) -> Manifest:
    """Publish an estimator into the repository in a folder or a bucket: `publish` for the client, which knows no type of the server."""
    try:
        location = parse(os.fspath(folder))
    except ValueError as error:
        raise InvalidInput(f"The model repository is {os.fspath(folder)!r}: {error}.", pointer="/repository") from None
    repository = Repository(location) if isinstance(location, Path) else open_repository(Settings(models=location))
    return publish(repository, estimator, name, **options)


def publish(
    repository: Repository,
    estimator: Any,
    name: str,
    *,
    sample: Any,
    reference: Any = None,
    columns: Sequence[str] = (),
    version: str | None = None,
    format: str | None = None,
    description: str = "",
    metrics: Mapping[str, float] | None = None,
    examples: Sequence[Mapping[str, Any]] = (),
    pool: str = "default",
    batch: BatchLimits | None = None,
    retries: RetryPolicy | None = None,
    time_limit_s: float = 30.0,
    promote: str | None = None,
    tolerance: float = 1e-6,
    provenance: Mapping[str, Any] | None = None,
    reading: Mapping[str, Any] | None = None,
    load: str | None = None,
    direct: bool | None = None,
    capture: Capture | None = None,
) -> Manifest:
    """Publish a new version, if the served model gives the same outputs for the sample as the estimator in memory.

    `promote` names an alias to point to the version. The alias moves when a worker serves the version; that of a first version moves at once.

    `sample` is an array or DataFrame of a few rows such as callers send; `columns` names the features of an array. `tolerance` limits the
    absolute and relative difference of a number from the estimator's own. Give a compiled model (`onnx`) a thousand real rows or more to
    compare. `provenance` describes the origin of the version; if it holds a `job`, that job publishes only once. `reading` holds the table
    options of the training file, which batches use as defaults. `reference` holds rows like those of the training
    (default: the sample). If they are 100 or more, the version gets a reference profile, with which live rows are compared. `examples` are
    example rows, `{"input": row or record, "label": the truth}`.

    `format` defaults to skops, because loading a skops file does not run code that it holds, so it is served under every setting; and to
    joblib if skops does not trust a type of the estimator, which is logged. `load` says where workers load the version: "parent", once,
    before they fork, or "child", in each process. By default, estimators of compiled libraries other than scikit-learn are loaded in
    the child, because such libraries start threads that a fork does not copy. `direct` says whether API processes may predict with a
    compiled version themselves; by default they do if it is fast enough. `capture` says which predictions are kept.

    Raises InvalidInput if the estimator or the sample cannot be served, ModelConflict if the version exists.
    """
    supported = (
        (estimator.library,) if isinstance(estimator, Boosted) else tuple(kind for kind in READERS if kind not in (*NATIVE, *PYTORCH))
    )
    if format is not None and format not in supported:
        detail = f"{format!r} is not a supported format of {type(estimator).__name__}. Use one of {', '.join(supported)}."
        raise InvalidInput(detail, pointer="/format")
    if isinstance(estimator, Boosted):
        format = estimator.library
    reference = _sample(estimator, sample if reference is None else reference)
    sample = _sample(estimator, sample)[: CHECKED_ROWS.get(format or "", 100)]
    if not len(sample):
        raise InvalidInput("The sample is empty. Provide a few rows such as callers send.", pointer="/sample")
    needs = requirements_of(estimator)
    inputs, answers = inputs_of_sample(estimator, sample, columns), answers_of(estimator, sample)
    if format == "onnx" and (len(inputs) > 1 or inputs[0].datatype not in FLOATS or len(inputs[0].shape) != 2):
        raise InvalidInput("Only models with one numeric input can be compiled. Publish this one as skops or joblib.", pointer="/format")
    described = Manifest(
        name, version or "", "", "", "", inputs, specs_of(answers), framework=_framework(estimator), classes=classes_of(estimator),
        metrics=dict(metrics or {}), description=description, pool=pool, batch=batch or BatchLimits(), retries=retries or RetryPolicy(),
        time_limit_s=time_limit_s, load=load or ("child" if needs.native else "parent"), requires=needs.packages,
        frame=format != "onnx" and _needs_frame(estimator, sample), provenance=dict(provenance or {}), reading=dict(reading or {}), direct=direct,
        capture=capture,
    )  # fmt: skip

    def write(folder: Path) -> Manifest:
        written, served = _written(estimator, folder, name, format, needs)
        manifest = replace(described, format=written, artifact=FORMATS[written])
        try:
            manifest = _as_served(manifest, estimator, served, sample, tolerance)
            Model(replace(manifest, golden=golden_of(manifest, sample, answers, tolerance)), served).verify()
        except InvalidInput:
            raise
        except Exception as error:
            raise _unservable(estimator, manifest.artifact, error) from error
        if examples:
            (folder / EXAMPLES).write_text(json.dumps([dict(example) for example in examples], indent=1, allow_nan=False) + "\n")
        first = {method: answer[:GOLDEN_ROWS] for method, answer in answers.items()}
        golden = golden_of(manifest, sample[:GOLDEN_ROWS], first, tolerance)
        profile = profile_of(Model(manifest, served), reference, partial(tensors_of_sample, manifest.inputs))
        return replace(manifest, golden=golden, profile=profile)

    manifest = repository.publish(name, write, version=version, job=str(described.provenance.get("job", "")))
    if promote:
        request_promotion(repository, name, promote, manifest.version)
    return manifest


def write_isolated(name: str, path: Path, write: Callable[[], Manifest], timeout_s: float) -> Manifest:
    """Return the manifest of `write`, which loads the artifact at `path` in a process of its own: it may hang or crash.

    Raises InvalidInput if the artifact cannot be served, does not load in time or crashes, and the OSError of a file.
    """

    def answer() -> dict[str, Any]:
        try:
            return {"manifest": write().as_dict()}
        except OSError as error:
            return {"os_error": [error.errno, error.strerror or str(error), str(error.filename or path)]}

    try:
        answered = isolated(answer, timeout_s, setting="CELERIAC_LOAD_TIMEOUT_S")
    except InvalidInput:
        raise
    except CeleriacError as error:
        detail = f"Model {name!r} was not published, because {path} cannot be served: {error.detail}"
        raise InvalidInput(detail, pointer="/artifact") from error
    if "os_error" in answered:
        raise OSError(*answered["os_error"])
    return Manifest.from_dict(answered["manifest"])


def request_promotion(repository: Repository, name: str, alias: str, version: str) -> None:
    """Request that an alias point to a version once a worker serves it, and log that the alias waits."""
    promotion = repository.request_promotion(name, alias, version)
    if promotion.state == PromotionState.PENDING:
        stays = f"stays at {promotion.before}" if promotion.before else "is not set"
        log.warning(
            "Alias %r of %s %s until a worker serves version %s. `celeriac models show %s` says when.", alias, name, stays, version, name
        )


WRITERS: Final[dict[str, Callable[[Any, Path], Any]]] = {
    "onnx": write_onnx, "skops": skops.io.dump, "joblib": joblib.dump, **dict.fromkeys(NATIVE, Boosted.save),
}  # fmt: skip
_BY_NAME: Final = (skops.io.dump, joblib.dump)
"""Writers that save the names of classes instead of their code."""


def _sample(estimator: Any, sample: Any) -> Any:
    """Convert a sample for the estimator. One that takes documents gets a list of texts, even if the sample is a table of one column."""
    if isinstance(sample, pd.DataFrame):
        return sample
    array = np.asarray(sample)
    if array.dtype.kind in "OUT" and takes_documents(estimator):
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim == 1:
            return array.tolist()
    return array


def _needs_frame(estimator: Any, sample: Any) -> bool:
    """Whether the estimator takes only a DataFrame. One that was fitted on arrays takes either, and an array is cheaper."""
    if not isinstance(sample, pd.DataFrame) or column_names(estimator):
        return isinstance(sample, pd.DataFrame)
    try:
        call(estimator, methods_of(estimator)[0], sample.to_numpy())
    except Exception:  # noqa: BLE001 - any exception means that it does not take arrays
        return True
    return False


def _written(estimator: Any, folder: Path, name: str, format: str | None, needs: Requirements) -> tuple[str, Any]:
    """Write the estimator and read it back. Returns the format (default: skops if it supports and trusts all types, else joblib) and the model."""
    if format is not None:
        return format, _read_back(estimator, folder, format, needs)
    try:
        return "skops", _read_back(estimator, folder, "skops", needs)
    except InvalidInput as error:
        (folder / FORMATS["skops"]).unlink(missing_ok=True)
        estimator = _read_back(estimator, folder, "joblib", needs)
        log.warning("%s is published as joblib, which runs code when it is loaded: %s", name, error.detail.partition(" Use format")[0])
        return "joblib", estimator


def _read_back(estimator: Any, folder: Path, format: str, needs: Requirements) -> Any:
    path = folder / FORMATS[format]
    if needs.script and WRITERS[format] in _BY_NAME:
        raise InvalidInput(script_defined(needs.script[0]), pointer="/estimator")
    try:
        WRITERS[format](estimator, path)
        with path.open("rb") as file:
            return READERS[format](file)
    except OSError:  # of the disk, not of the estimator
        raise
    except Exception as error:
        raise _unservable(estimator, path.name, error) from error


def _as_served(manifest: Manifest, estimator: Any, served: Any, sample: Any, tolerance: float) -> Manifest:
    """Adjust the manifest to the artifact: a compiled graph may offer fewer outputs than the estimator.

    Raises InvalidInput if a graph offers none, or if its outputs for missing values in the sample differ from those of the estimator.
    """
    spec = manifest.inputs[0]
    numbers = len(manifest.inputs) == 1 and spec.datatype in FLOATS and len(spec.shape) == 2
    if manifest.format != "onnx":
        nullable = spec.nullable or (numbers and takes_missing(estimator, sample))
        return replace(manifest, inputs=(replace(spec, nullable=nullable), *manifest.inputs[1:]))
    outputs = tuple(_as_compiled(spec, served, sample) for spec in manifest.outputs if spec.name in _compiled_methods(manifest, served))
    problem = (
        accepts_rejected(estimator, served, sample)
        if outputs
        else f"a graph offers none of {', '.join(spec.name for spec in manifest.outputs)}"
    )
    differs = disagreement(estimator, served, sample, [spec.name for spec in outputs], tolerance)
    if differs and pd.isna(np.asarray(sample)).any():
        problem = f"the sample has missing values, and {differs}"
    if problem:
        detail = f"{type(estimator).__name__} cannot be served from {manifest.artifact}: {problem}. Publish it as skops or joblib."
        raise InvalidInput(detail, pointer="/format")
    return replace(manifest, inputs=(replace(spec, nullable=not differs),), outputs=outputs)


def _compiled_methods(manifest: Manifest, served: Any) -> list[str]:
    """Return the methods of a graph. Its numeric output is the prediction if the estimator predicts."""
    predicts = any(spec.name == "predict" for spec in manifest.outputs)
    return [name for name in methods_of(served) if not (predicts and name == "transform")]


def _as_compiled(spec: TensorSpec, served: Any, sample: Any) -> TensorSpec:
    """Adjust the datatype of an output, because graphs return integers as INT64."""
    dtype = call(served, spec.name, np.asarray(sample)[:1]).dtype
    return replace(spec, datatype=str(datatype_of(dtype))) if dtype.kind in "iu" else spec


def _unservable(estimator: Any, file: str, error: Exception) -> InvalidInput:
    kind = type(estimator).__name__
    if isinstance(error, UntrustedTypesFoundException):
        types = str(error).partition(": ")[2].strip("[]. ").replace("'", "")
        detail = f"{kind} cannot be served from {file}: skops does not trust these types: {types}. "
        return InvalidInput(f"{detail}Use format='joblib' if workers can import them.", pointer="/estimator")
    return InvalidInput(f"{kind} cannot be served from {file}: {str(error)[:2000]}", pointer="/estimator")


def _framework(estimator: Any) -> dict[str, str]:
    if isinstance(estimator, Boosted):
        return {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "pandas": pd.__version__,
            estimator.library: estimator.version,
        }
    return {
        "python": platform.python_version(), "scikit-learn": sklearn.__version__, "numpy": np.__version__,
        "pandas": pd.__version__, "skops": skops.__version__, "joblib": joblib.__version__, "onnxruntime": onnxruntime.__version__,
    }  # fmt: skip
