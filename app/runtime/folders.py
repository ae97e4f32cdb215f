"""Publishing of folders, whatever they hold: code, a graph, or an estimator in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from app.core.capture import Capture
from app.core.errors import InvalidInput
from app.core.models import CODE, FORMATS, MLMODEL, PYTORCH, BatchLimits, Manifest, RetryPolicy
from app.registry.repository import Repository
from app.runtime.files import publish_file
from app.runtime.huggingface import publish_huggingface
from app.runtime.mlflow import publish_mlflow
from app.runtime.model_yaml import DESCRIPTION, GRAPH, TIMESTAMPS, described, publish_folder
from app.runtime.publishing import LOAD_TIMEOUT_S
from app.runtime.references import read_reference

_PROGRAMS: Final = tuple(PYTORCH.values())
_ESTIMATORS: Final = tuple(file for file in FORMATS.values() if file not in (GRAPH, *_PROGRAMS))
_OPTIONS: Final = (
    "description",
    "metrics",
    "pool",
    "batch",
    "retries",
    "time_limit_s",
    "tolerance",
    "provenance",
    "load",
    "direct",
    "capture",
    "reference",
)
"""The fields of `model.yaml` beside an estimator. Everything else follows from the estimator and the sample."""


def publish_any(
    repository: Repository,
    name: str,
    folder: Path,
    *,
    rows: Sequence[Any] = (),
    version: str | None = None,
    description: str = "",
    format: str | None = None,
    timeout_s: float = LOAD_TIMEOUT_S,
    download: bool = True,
    code: bool = True,
) -> Manifest:
    """Publish a model of Hugging Face, `model.py`, an MLflow model, a graph, a program or an estimator in a file; the first that is there.

    Args:
        repository: Where to publish.
        name: Name of the model.
        folder: The folder. An estimator needs no `model.yaml` if there are `rows`.
        rows: A few rows such as callers send (default: `sample` in `model.yaml`).
        version: Version to create (default: next integer).
        description: Human-readable description (default: that of `model.yaml`).
        format: Format of an estimator: skops, joblib or onnx.
        timeout_s: Seconds that the artifact may take to load and to predict the sample.
        download: Whether a model of Hugging Face may be downloaded.
        code: Whether a model of Hugging Face may be published, which is served by code. Other code is refused before.

    Raises:
        InvalidInput: The description or the model is not valid, does not load in time or crashes.
        ModelConflict: The version exists.
    """
    declared = described(folder, required=False)
    if "huggingface" in declared:
        if (folder / CODE).is_file():
            raise InvalidInput(f"{DESCRIPTION} has the field huggingface beside {CODE}. Leave out one of them.", pointer="/artifact")
        if not code:
            raise InvalidInput(
                "A pipeline of Hugging Face is served by code, for which a key needs the scope models:pickle.", pointer="/artifact"
            )
        return publish_huggingface(
            repository, name, folder, declared, rows=rows, version=version, description=description, timeout_s=timeout_s, download=download
        )
    artifact = next((file for file in (CODE, MLMODEL, GRAPH, *_PROGRAMS, *_ESTIMATORS) if (folder / file).is_file()), None)
    if artifact not in (MLMODEL, *_ESTIMATORS):
        if format is not None:
            raise InvalidInput("The format is for estimators. Leave it out for code, graphs and programs.", pointer="/format")
        return publish_folder(repository, name, folder, rows=rows, version=version, description=description, timeout_s=timeout_s)
    options = _options(folder, declared)
    sample, timestamps = options.pop("sample", None), options.pop(TIMESTAMPS, ())
    rows = list(rows) or _dated(sample or (), timestamps)
    options |= {"description": description} if description else {}
    if artifact == MLMODEL:
        return publish_mlflow(repository, name, folder, rows, version=version, timeout_s=timeout_s, format=format, **options)
    if not rows:
        raise InvalidInput(f"{artifact} needs a few rows such as callers send. Add `sample` to {DESCRIPTION}.", pointer="/sample")
    return publish_file(repository, name, folder / artifact, rows, version=version, timeout_s=timeout_s, format=format, **options)


def _dated(rows: Sequence[Any], timestamps: Sequence[str]) -> list[Any]:
    """Return rows with dates in place of their text. Raises InvalidInput."""
    try:
        return [
            {name: datetime.fromisoformat(value) if name in timestamps and value is not None else value for name, value in row.items()}
            if isinstance(row, dict) else row
            for row in rows
        ]  # fmt: skip
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"The sample has a date that cannot be read: {error}", pointer="/sample") from None


def _options(folder: Path, declared: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the description of an estimator. Raises InvalidInput."""
    unknown = [name for name in declared if name not in (*_OPTIONS, "sample", TIMESTAMPS)]
    if unknown:
        detail = (
            f"{DESCRIPTION} has the field {unknown[0]!r}, which follows from the estimator. Leave it out, or use {', '.join(_OPTIONS)}."
        )
        raise InvalidInput(detail, pointer="/artifact")
    for name, kind in (("batch", BatchLimits), ("retries", RetryPolicy), ("capture", Capture)):
        if name in declared:
            names = {field.name for field in fields(kind)}
            if not isinstance(declared[name], dict) or not declared[name].keys() <= names:
                raise InvalidInput(f"{name} in {DESCRIPTION} must be an object with {', '.join(sorted(names))}.", pointer="/artifact")
            if kind is Capture and "rate" not in declared[name]:
                raise InvalidInput(
                    f"{DESCRIPTION} has a capture without a rate. Use a number from 0 to 1, for example 0.1.", pointer="/artifact"
                )
            declared[name] = kind(**declared[name])
    if "reference" in declared:
        declared["reference"] = read_reference(folder, declared["reference"])
    if declared.get("direct") == "auto":
        declared["direct"] = None
    return declared
