"""Models that MLflow saved: a directory with the file `MLmodel`. MLflow itself is not needed.

The input example becomes the golden sample. Without one, rows are generated from the signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import sklearn

from app.core.errors import CeleriacError, InvalidInput, ModelUnavailable, shown
from app.core.models import MLMODEL, Golden, Manifest
from app.registry.contents import read_json
from app.registry.mlflow import Field, MLflowModel, inside, read
from app.registry.repository import Repository
from app.runtime.arrays import Array
from app.runtime.bare import Signature, signature_of
from app.runtime.files import Stage, load, sample_for
from app.runtime.golden import golden_of
from app.runtime.model_yaml import GRAPH, publish_folder
from app.runtime.publishing import GOLDEN_ROWS, publish, write_isolated
from app.runtime.structure import column_names, example_values, width

_VALUES: Final = {"bool": False, "str": "text", "datetime64[us]": pd.Timestamp("2026-01-31")}
"""Values of generated rows that are not numbers."""
_NUMBERS: Final = (0, 1, 2)


def publish_mlflow(
    repository: Repository,
    name: str,
    folder: Path,
    rows: Sequence[Any],
    *,
    version: str | None,
    timeout_s: float,
    description: str = "",
    **options: Any,
) -> Manifest:
    """Publish an MLflow model directory. `options` are those of `publish`.

    Its file is loaded in a process of its own within `timeout_s`. Loading a pickle runs code that it contains.
    `rows` are a few rows such as callers send (default: the input example).
    Raises InvalidInput if the directory or the model cannot be used, does not load in time or crashes, ModelConflict if the version exists.
    """
    model = read(folder)
    rows = rows or example_rows(model)
    provenance = {"mlflow": dict(model.provenance), **(options.pop("provenance", None) or {})}
    if model.flavor == "onnx":
        if model.file.name != GRAPH:
            raise InvalidInput(f"{MLMODEL} names the graph {shown(model.file.name)}. Rename it to {GRAPH}.", pointer="/artifact")
        return publish_folder(
            repository, name, model.file.parent, rows=rows, version=version, description=description, provenance=provenance, timeout_s=timeout_s,
        )  # fmt: skip

    def write(stage: Path) -> Manifest:
        try:
            estimator = load(model.file, model.format)
        except InvalidInput as error:
            raise InvalidInput(error.detail + _saved_with(model), pointer=error.pointer) from error
        sample, columns = _sample(estimator, model, rows)
        manifest = publish(
            Stage(stage), estimator, name, sample=sample, columns=columns, description=description, provenance=provenance, **options
        )
        # Workers hold the version that trained it to their policy, not the one that saved it again.
        trained = {"scikit-learn": model.trained} if model.trained else {}
        return replace(manifest, framework={**manifest.framework, **trained})

    return repository.publish(name, lambda stage: write_isolated(name, model.file, lambda: write(stage), timeout_s), version=version)


def signature(estimator: Any, model: MLflowModel) -> Signature:
    """Return the signature of a loaded model that is not published. Raises ModelUnavailable, or InvalidInput if `MLmodel` contradicts it."""
    rows = example_rows(model)
    return signature_of(estimator, [_sample(estimator, model, rows)] if rows or model.inputs else ())


def golden(manifest: Manifest, inferred: Signature) -> Golden:
    """Return the golden sample of a model that is not published."""
    first = {method: answer[:GOLDEN_ROWS] for method, answer in inferred.answers.items()}
    return golden_of(manifest, inferred.sample[:GOLDEN_ROWS], first, Golden(0, {}, {}).tolerance)


def example_rows(model: MLflowModel) -> list[Any]:
    """Return the input example as rows such as callers send; empty without one. Raises InvalidInput."""
    if model.example is None:
        return []
    path = inside(model.folder, model.example.get("artifact_path"), "saved_input_example_info/artifact_path")
    kind = model.example.get("type")
    try:
        rows = _rows(kind, read_json(path))
    except ModelUnavailable as error:
        raise InvalidInput(error.detail, pointer="/artifact") from None
    except (KeyError, TypeError, ValueError, IndexError) as error:
        detail = f"The input example {path.name} is not valid {shown(kind)}: {type(error).__name__}: {str(error)[:200]}."
        raise InvalidInput(detail, pointer="/sample") from None
    if not rows:
        raise InvalidInput(f"The input example {path.name} has no rows.", pointer="/sample")
    return rows


def _rows(kind: Any, value: Any) -> list[Any]:
    if kind in ("sparse_matrix_csc", "sparse_matrix_csr"):
        from scipy.sparse import csc_matrix, csr_matrix

        matrix = csr_matrix if kind.endswith("csr") else csc_matrix
        rows, columns = value["shape"]
        if rows * columns > 10_000_000:
            raise ValueError("the matrix has more than 10000000 values")
        dense: list[Any] = matrix((value["data"], value["indices"], value["indptr"]), shape=(rows, columns)).toarray().tolist()
        return dense
    if isinstance(value, dict) and kind == "dataframe" and "data" in value:
        return [dict(zip(value["columns"], row, strict=True)) for row in value["data"]] if "columns" in value else list(value["data"])
    if isinstance(value, dict) and kind == "ndarray" and "inputs" in value:
        value = value["inputs"]
    if isinstance(value, dict):
        columns = [column if isinstance(column, list) else [column] for column in value.values()]
        return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]
    if not isinstance(value, list):
        raise TypeError("it is not a list of rows")
    return value


def _sample(estimator: Any, model: MLflowModel, rows: Sequence[Any]) -> tuple[Any, Sequence[str]]:
    """Return the sample for the estimator with the types of the signature, and the names of its columns if it is an array."""
    _check(estimator, model.inputs)
    if not rows and not model.inputs:
        raise InvalidInput("The MLflow model has no input example and no signature. Provide a few rows: --sample.", pointer="/sample")
    try:
        return sample_for(estimator, _typed(rows, model.inputs) if rows else _generated(estimator, model.inputs))
    except CeleriacError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"The sample does not match the signature in {MLMODEL}: {str(error)[:500]}.", pointer="/sample") from None


def _check(estimator: Any, inputs: Sequence[Field]) -> None:
    """Raise InvalidInput if the signature contradicts the estimator."""
    names, count = column_names(estimator), width(estimator)
    columns = [field.name for field in inputs if field.shape is None]
    if names and all(columns) and columns and set(columns) != set(names):
        problem = f"the columns {', '.join(map(str, columns))}, but the model was fitted on {', '.join(names)}"
    elif count is not None and columns and len(columns) != count:
        problem = f"{len(columns)} columns, but the model was fitted on {count}"
    elif count is not None and len(inputs) == 1 and inputs[0].shape and len(inputs[0].shape) == 2 and inputs[0].shape[1] not in (-1, count):
        problem = f"the shape {list(inputs[0].shape)}, but the model was fitted on {count} columns"
    elif len(inputs) > 1 and len(columns) != len(inputs):
        problem = "several tensors, but the model takes one table"
    else:
        return
    raise InvalidInput(
        f"The signature in {MLMODEL} has {_short(problem)}. Save the model with the signature of its data.", pointer="/artifact"
    )


def _typed(rows: Sequence[Any], inputs: Sequence[Field]) -> pd.DataFrame | Array:
    """Return rows as a table with the types of the columns, or as an array."""
    if not isinstance(rows[0], dict):
        array = np.asarray(rows)
        kinds = {field.dtype for field in inputs}
        return array.astype(kinds.pop()) if len(kinds) == 1 and array.dtype.kind in "iufb" else array
    table = pd.DataFrame(list(rows))
    types = {field.name: field.dtype for field in inputs if field.name is not None and field.shape is None}
    if not types:
        return table
    missing = [name for name in types if name not in table]
    if missing:
        raise InvalidInput(f"The sample has no column {missing[0]!r}, which the signature in {MLMODEL} has.", pointer="/sample")
    for name, dtype in types.items():
        # A whole number or a Boolean value that is missing makes the column one of floats or objects, as in pandas.
        if dtype != "str" and not (np.dtype(dtype).kind in "iub" and table[name].isna().any()):
            table[name] = table[name].astype(dtype)
    return table[list(types)]


def _generated(estimator: Any, inputs: Sequence[Field]) -> pd.DataFrame | Array:
    """Return rows that fit the signature. Text is one that the estimator knows, if it shows any."""
    if inputs[0].shape is not None:
        shape = tuple(len(_NUMBERS) if at == 0 else size for at, size in enumerate(inputs[0].shape))
        if -1 in shape:
            raise InvalidInput(
                f"The signature in {MLMODEL} does not fix the shape of a row. Provide a few rows: --sample.", pointer="/sample"
            )
        return np.ones(shape, dtype=inputs[0].dtype)
    examples = example_values(estimator)
    columns = {}
    for at, field in enumerate(inputs):
        value = examples.get(at, _VALUES.get(field.dtype)) if field.dtype in _VALUES else None
        columns[at] = pd.Series(_NUMBERS if value is None else [value] * len(_NUMBERS)).astype(field.dtype)
    table = pd.DataFrame(columns)
    if any(field.name is None for field in inputs):
        return table.to_numpy()
    return table.set_axis([str(field.name) for field in inputs], axis=1)


def _saved_with(model: MLflowModel) -> str:
    if model.trained in (None, sklearn.__version__):
        return ""
    return f" It was saved with scikit-learn {model.trained}, and {sklearn.__version__} is installed here."


def _short(text: str) -> str:
    return text if len(text) <= 500 else f"{text[:500]}…"
