"""Publishing a model from Python: over the API, or into a model repository that this machine can write."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from celeriac._models import Published
from celeriac._server import load


def publish(
    estimator: Any,
    name: str,
    *,
    sample: Any,
    url: str | None = None,
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
    """Publish a fitted estimator as a new version of a model, over the API at `url`, or into a folder.

    Without `url`, the server distribution must be installed. With it, `client.models.publish` does the work: it also takes paths.

    Publishing saves the estimator, reads it back and compares the answers to the sample. If they differ, nothing is published.

    Args:
        estimator: A fitted scikit-learn estimator, or one with the same interface.
        name: Name of the model.
        sample: A few rows such as callers send: a DataFrame if the estimator was fitted on one, an array, or a list of texts.
            Its types become the types of the inputs. Give an `onnx` model a thousand rows or more, because it is compared on them.
        url: Address of an API to publish to.
        repository: Model repository, a folder or a bucket such as `s3://bucket/prefix` (default: `CELERIAC_MODELS`, else `models`).
        promote: Alias to point to the version, for example `production`. It moves when a worker serves the version.
        format: `skops`, `joblib` or `onnx` (default: `skops`, or `joblib` if skops does not trust a type).
        version: Version to create (default: next integer).
        description: Human-readable description.
        metrics: Figures to keep with the version, for example `{"accuracy": 0.97}`.
        columns: Names of the features of an array.
        tolerance: Largest difference, absolute and relative, between a number of the served model and of the estimator.
        **options: Further options of a folder: `reference`, `pool`, `batch`, `retries`, `time_limit_s`, `examples`, `load`.

    Raises:
        ImportError: `url` is missing, and the server distribution is not installed.
        TypeError: An option is not for the API.
        CeleriacError: The error of the server, if the estimator or the sample is invalid, or the version exists.

    Example:
        >>> celeriac.publish(model, "iris", sample=X.head(), promote="production")  # doctest: +SKIP
        Published(name='iris', version='1', format='skops', ...)
    """
    if url is not None:
        if repository is not None or columns or tolerance != 1e-6 or options:
            raise TypeError("repository, columns, tolerance and further options are for a folder. Leave them out, or leave out url.")
        from celeriac._sync.client import Client

        with Client(url) as client:
            return client.models.publish(
                name, estimator, sample=sample, alias=promote, format=format, version=version, description=description, metrics=metrics
            )
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
