"""Publishing a model from Python into a model repository that this machine can write."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from celeriac._server import load


@dataclass(frozen=True, slots=True)
class Published:
    """A version that was published.

    Attributes:
        name: Name of the model.
        version: Its new version.
        format: Format of the artifact: `skops`, `joblib` or `onnx`.
        inputs: Datatype of each input by its name.
        outputs: Datatype of each output by its name. The first one is the default.
    """

    name: str
    version: str
    format: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


def publish(
    estimator: Any,
    name: str,
    *,
    sample: Any,
    repository: str | os.PathLike[str] | None = None,
    promote: str | None = None,
    format: str | None = None,
    version: str | None = None,
    description: str = "",
    metrics: Mapping[str, float] | None = None,
    columns: Sequence[str] = (),
    tolerance: float = 1e-6,
    **options: Any,
) -> Published:
    """Publish a fitted estimator as a new version of a model. The server distribution must be installed.

    Publishing saves the estimator, reads it back and compares the answers to the sample. If they differ, nothing is published.

    Args:
        estimator: A fitted scikit-learn estimator, or one with the same interface.
        name: Name of the model.
        sample: A few rows such as callers send: a DataFrame if the estimator was fitted on one, an array, or a list of texts.
            Its types become the types of the inputs. Give an `onnx` model a thousand rows or more, because it is compared on them.
        repository: Folder of the model repository (default: `CELERIAC_MODELS`, else `models`).
        promote: Alias to point to the version, for example `production`. It moves when a worker serves the version.
        format: `skops`, `joblib` or `onnx` (default: `skops`, or `joblib` if skops does not trust a type).
        version: Version to create (default: next integer).
        description: Human-readable description.
        metrics: Figures to keep with the version, for example `{"accuracy": 0.97}`.
        columns: Names of the features of an array.
        tolerance: Largest difference, absolute and relative, between a number of the served model and of the estimator.
        **options: Further options of the server: `pool`, `batch`, `retries`, `time_limit_s`, `examples`, `load`.

    Raises:
        ImportError: The server distribution is not installed.
        CeleriacError: The error of the server, if the estimator or the sample is invalid, or the version exists.

    Example:
        >>> celeriac.publish(model, "iris", sample=X.head(), promote="production")  # doctest: +SKIP
        Published(name='iris', version='1', format='skops', ...)
    """
    manifest = load("publish", "celeriac.publish")(
        repository if repository is not None else os.environ.get("CELERIAC_MODELS", "models"),
        estimator, name, sample=sample, promote=promote, format=format, version=version, description=description, metrics=metrics,
        columns=columns, tolerance=tolerance, **options,
    )  # fmt: skip
    return Published(
        manifest.name,
        manifest.version,
        manifest.format,
        {spec.name: spec.datatype for spec in manifest.inputs},
        {spec.name: spec.datatype for spec in manifest.outputs},
    )
