"""Model directories of MLflow: the file `MLmodel`, and what it says of the files beside it. Needs no MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from app.core.errors import InvalidInput, ModelUnavailable, shown
from app.core.models import MLMODEL
from app.registry.contents import regular_size

_MAX_BYTES: Final = 1 << 20
_MAX_DEPTH: Final = 64
_MAX_COLUMNS: Final = 10_000
_SUFFIXES: Final = {".pkl": "joblib", ".skops": "skops"}
"""Suffix of a file that is not in the format of its library -> our format."""
_COLUMNS: Final = {
    "boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64", "string": "str",
    "datetime": "datetime64[us]",
}  # fmt: skip
"""Type of a column in a signature -> type in pandas."""
_ENTRIES: Final = {
    "sklearn": "pickled_model", "onnx": "data", "xgboost": "data", "lightgbm": "data", "catboost": "data",
}  # fmt: skip
"""Flavor -> the field that names its file. The first flavor that a model has is served."""
_SERIALIZED: Final = {"pickle": "joblib", "cloudpickle": "joblib", "skops": "skops"}
"""Serialization format -> our format. joblib reads every pickle."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column or an array of a signature. `shape` is None for a column."""

    name: str | None
    dtype: str
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class MLflowModel:
    """What an MLflow model directory contains.

    Attributes:
        folder: The directory.
        flavor: Flavor that is served.
        format: Format of its file, a key of `FORMATS`.
        file: The file, which is in the directory.
        trained: Version of scikit-learn that saved it, or None.
        inputs: Inputs of its signature; empty without a signature.
        example: What `MLmodel` says of its input example, or None.
        provenance: Where it comes from.
    """

    folder: Path
    flavor: str
    format: str
    file: Path
    trained: str | None
    inputs: tuple[Field, ...]
    example: Mapping[str, Any] | None
    provenance: Mapping[str, str]

    @property
    def runs_code(self) -> bool:
        """Whether loading the file runs code that it contains."""
        return self.format == "joblib"


def read(folder: Path) -> MLflowModel:
    """Read the `MLmodel` of a directory. Raises InvalidInput if it is not valid, or names a file or flavor that cannot be served."""
    described = _described(folder / MLMODEL)
    flavors = _mapping(described, "flavors")
    flavor = next((name for name in _ENTRIES if name in flavors), None)
    if flavor is None:
        raise _invalid(
            f"has the flavors {', '.join(map(str, flavors)) or 'none'}, and Celeriac serves {', '.join(_ENTRIES)}. "
            "Save the model in one of them, or publish a folder with model.py"
        )
    entry = _mapping(flavors, flavor)
    file = inside(folder, entry.get(_ENTRIES[flavor]), f"flavors/{flavor}/{_ENTRIES[flavor]}")
    return MLflowModel(
        folder,
        flavor,
        _format(flavor, entry, file),
        file,
        _text(entry, "sklearn_version"),
        _inputs(described.get("signature")),
        _mapping(described, "saved_input_example_info") if described.get("saved_input_example_info") else None,
        {name: text for name in ("run_id", "model_id", "model_uuid", "mlflow_version") if (text := _text(described, name))},
    )


def inside(folder: Path, name: Any, where: str) -> Path:
    """Return the path of a file that `MLmodel` names. Raises InvalidInput unless it is a file in the directory."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise _invalid(f"must name a file in {where}, not {shown(name)}")
    path = folder / name
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise _invalid(f"names {shown(name)} in {where}, which leads out of the directory")
        regular_size(path)
    except (OSError, RuntimeError):
        raise _invalid(f"names {shown(name)} in {where}, which does not exist in the directory. Copy the whole directory") from None
    except ModelUnavailable as error:
        raise _invalid(f"names {shown(name)} in {where}: {error.detail.rstrip('.')}") from None
    return path


def _described(path: Path) -> dict[str, Any]:
    if regular_size(path) > _MAX_BYTES:
        raise _invalid(f"has more than {_MAX_BYTES} bytes. Save the model again without its metadata")
    try:
        text = path.read_text()
        _check_shape(text)
        described = yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _invalid(f"is not valid YAML: {' '.join(str(error).replace(str(path), MLMODEL).split())[:500]}") from None
    if not isinstance(described, dict):
        raise _invalid("must be an object with flavors")
    return described


def _check_shape(text: str) -> None:
    """Refuse aliases, which could multiply what they name, and deep nesting, for which the parser takes quadratic time."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise _invalid("has YAML aliases. Write the values in their place")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise _invalid(f"is nested more than {_MAX_DEPTH} levels deep")


def _format(flavor: str, entry: Mapping[str, Any], file: Path) -> str:
    if flavor == "sklearn":
        serialized = entry.get("serialization_format", "pickle")
        if serialized not in _SERIALIZED:
            raise _invalid(f"has the serialization_format {shown(serialized)}. Save the model as {', '.join(_SERIALIZED)}")
        return _SERIALIZED[serialized]
    if flavor == "catboost" and entry.get("save_format", "cbm") != "cbm":
        raise _invalid(f"has the save_format {shown(entry['save_format'])} of CatBoost. Save the model as cbm")
    # Estimators of LightGBM's scikit-learn interface are not saved in its own format.
    return _SUFFIXES.get(file.suffix, flavor)


def _inputs(signature: Any) -> tuple[Field, ...]:
    if not signature:
        return ()
    if not isinstance(signature, dict):
        raise _invalid(f"must have an object as signature, not {shown(signature)}")
    text = signature.get("inputs")
    if text is None:
        return ()
    try:
        fields = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise _invalid(f"has a signature whose inputs are not JSON: {error}") from None
    if not isinstance(fields, list) or not fields or len(fields) > _MAX_COLUMNS:
        raise _invalid(f"must have a list of 1 to {_MAX_COLUMNS} inputs in its signature")
    inputs = tuple(map(_field, fields))
    if len({field.name for field in inputs}) != len(inputs) and any(field.name is not None for field in inputs):
        raise _invalid("has an input twice in its signature")
    return inputs


def _field(field: Any) -> Field:
    if not isinstance(field, dict) or not isinstance(field.get("name"), str | None):
        raise _invalid(f"has the input {shown(field)} in its signature, which must be an object with a type")
    kind, name = field.get("type"), field.get("name")
    if kind == "tensor":
        spec = field.get("tensor-spec")
        shape = spec.get("shape") if isinstance(spec, dict) else None
        if not isinstance(spec, dict) or not isinstance(shape, list) or not all(type(size) is int for size in shape):
            raise _invalid(f"has the tensor {shown(field)} in its signature, which must have a tensor-spec with dtype and shape")
        return Field(name, str(spec.get("dtype")), tuple(shape))
    if kind not in _COLUMNS:
        raise _invalid(f"has the input {shown(name)} of the type {shown(kind)} in its signature. Columns are {', '.join(_COLUMNS)}")
    return Field(name, _COLUMNS[kind])


def _mapping(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = values.get(name)
    if not isinstance(value, dict):
        raise _invalid(f"must have an object as {name}, not {shown(value)}")
    return value


def _text(values: Mapping[str, Any], name: str) -> str | None:
    value = values.get(name)
    if value is not None and (not isinstance(value, str | int | float) or len(str(value)) > 200):
        raise _invalid(f"must have a short text as {name}, not {shown(value)}")
    return None if value is None else str(value)


def _invalid(problem: str) -> InvalidInput:
    return InvalidInput(f"{MLMODEL} {problem}.", pointer="/artifact")
