"""Publishing of folders with `model.py`, `model.onnx` or a program of PyTorch, described by `model.yaml`."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
import pandas as pd
import yaml

from app.core.errors import CeleriacError, InvalidInput, ModelUnavailable
from app.core.inputs import from_rows
from app.core.models import CODE, FORMATS, PYTHON, PYTORCH, Golden, Manifest, TensorSpec
from app.core.tensors import Tensor
from app.registry.contents import EXAMPLES, MANIFEST
from app.registry.repository import Repository
from app.runtime.arrays import to_array
from app.runtime.artifact import READERS
from app.runtime.code import CodeModel
from app.runtime.golden import values_of
from app.runtime.graph import Graph, GraphModel, signature, weights
from app.runtime.model import Model
from app.runtime.profiling import profile_of
from app.runtime.publishing import LOAD_TIMEOUT_S, request_promotion, write_isolated
from app.runtime.pytorch import Program, ProgramModel, outputs_of
from app.runtime.references import read_reference
from app.runtime.requirements import load_problem

DESCRIPTION: Final = "model.yaml"
ADDED: Final = ".publish.json"
"""Further fields, which take precedence. The client of an upload writes the sample of its caller into it."""
TIMESTAMPS: Final = "timestamps"
"""A field of `ADDED` only: the columns of the sample of an estimator that hold dates, which are text in JSON."""
GRAPH: Final = FORMATS["onnx"]
_PROGRAMS: Final = {file: kind for kind, file in PYTORCH.items()}
_TOLERANCE: Final = 1e-6
_TOLERANCE_OF_PROGRAMS: Final = 1e-4
"""They compute in 32 bits, and add numbers in an order that the processor and the number of rows decide."""
_FILLED_IN: Final = ("name", "version", "format", "artifact", "sha256", "weights", "framework", "created_at", "golden", "profile")
FIELDS: Final = (
    *(field.name for field in fields(Manifest) if field.name not in _FILLED_IN),
    "sample",
    "tolerance",
    "reference",
    "huggingface",
)
"""The fields that the description may have."""
_LEFT: Final = ("__pycache__", MANIFEST, EXAMPLES, ".*")
"""Files that are not published: caches, hidden files, and what publishing writes."""


def publish_folder(
    repository: Repository,
    name: str,
    folder: Path,
    *,
    rows: Sequence[Any] = (),
    version: str | None = None,
    description: str = "",
    promote: str | None = None,
    provenance: Mapping[str, Any] | None = None,
    timeout_s: float = LOAD_TIMEOUT_S,
) -> Manifest:
    """Publish the code and all other files of a folder, or its graph or program, after checking that it loads and predicts `rows`.

    Both happen in a process of its own within `timeout_s`.

    `rows` (default: `sample` in model.yaml) are a few rows such as callers send. They and their outputs become the golden sample.
    `provenance` describes the origin of the version, unless model.yaml does.
    Raises InvalidInput if the description or the model is not valid, does not load in time or crashes, ModelConflict if the version exists.
    """
    artifact = next((name for name in (CODE, GRAPH, *_PROGRAMS) if (folder / name).is_file()), None)
    if artifact is None:
        raise InvalidInput(
            f"{folder} must hold one of {', '.join((CODE, GRAPH, *_PROGRAMS))}. Add {CODE} with a function predict(inputs).",
            pointer="/artifact",
        )
    declared = described(folder, required=artifact == CODE)
    declared.pop(TIMESTAMPS, None)  # the manifest says which inputs are timestamps
    rows, tolerance = (
        list(rows or declared.pop("sample", None) or ()),
        float(declared.pop("tolerance", None) or (_TOLERANCE_OF_PROGRAMS if artifact in _PROGRAMS else _TOLERANCE)),
    )
    reference = declared.pop("reference", None)
    declared = {"description": "", "provenance": dict(provenance or {})} | declared
    fixed = {"name": name, "version": version or "", "artifact": artifact, "framework": _framework(artifact)}
    make = _code if artifact == CODE else _graph if artifact == GRAPH else partial(_program, rows)

    def write(stage: Path) -> Manifest:
        model = make(folder, stage, {**declared, **fixed})
        model.verify()
        example = read_reference(folder, reference) if reference else rows
        if reference:
            (stage / reference).unlink(missing_ok=True)
        manifest = replace(model.manifest, description=description or model.manifest.description)
        golden = _golden(model, rows, tolerance) if rows else None
        # Dynamic batching gains nothing if each row needs a call of its own, and a stream belongs to one job.
        apart = not model.joins and (manifest.stream or "batch" not in declared)
        batch = replace(manifest.batch, max_rows=1) if apart else manifest.batch
        return replace(manifest, golden=golden, profile=profile_of(model, example, partial(_tensors, model.manifest)), batch=batch)

    def write_apart(stage: Path) -> Manifest:
        return write_isolated(name, folder / artifact, lambda: write(stage), timeout_s)

    manifest = repository.publish(name, write_apart, version=version)
    if promote:
        request_promotion(repository, name, promote, manifest.version)
    return manifest


def _code(folder: Path, stage: Path, declared: Mapping[str, Any]) -> Model:
    shutil.copytree(folder, stage, ignore=shutil.ignore_patterns(*_LEFT), dirs_exist_ok=True)
    return CodeModel(_manifest({**declared, "format": PYTHON}), stage)


def _graph(folder: Path, stage: Path, declared: Mapping[str, Any]) -> Model:
    """Stage a graph. Inputs and outputs that the description omits are read from the graph."""
    beside = _beside(folder)
    for name in (GRAPH, *beside):
        (stage / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / name, stage / name)
    with (stage / GRAPH).open("rb") as file:
        graph = Graph(file)
    inputs, outputs = ([asdict(spec) for spec in side] for side in signature(graph))
    return GraphModel(_manifest({"inputs": inputs, "outputs": outputs, **declared, "format": "onnx", "weights": beside}), graph)


def _program(rows: Sequence[Any], folder: Path, stage: Path, declared: Mapping[str, Any]) -> Model:
    """Stage a program. Inputs that the description omits are read from the file, and outputs are what it answers to the rows."""
    artifact = str(declared["artifact"])
    kind = _PROGRAMS[artifact]
    shutil.copy(folder / artifact, stage / artifact)
    try:
        with (stage / artifact).open("rb") as file:
            program: Program = READERS[kind](file)
    except CeleriacError:
        raise
    except Exception as error:
        raise ModelUnavailable(load_problem(artifact, error)) from error
    values = {"inputs": [asdict(spec) for spec in program.inputs], **declared, "format": kind, "load": "child"}
    if not values["inputs"]:
        hint = "for example `inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]`"
        raise InvalidInput(f"{artifact} does not say what it takes. Declare its inputs in {DESCRIPTION}, {hint}.", pointer="/artifact")
    values["framework"] = {**declared["framework"], "torch": installed("torch")}
    if values.get("outputs"):
        return ProgramModel(_manifest(values), lambda: program)
    if not rows:
        raise InvalidInput(f"{artifact} needs a few rows such as callers send. Add `sample` to {DESCRIPTION}.", pointer="/sample")
    unseen = _manifest({**values, "outputs": [asdict(TensorSpec("output", "FP32", (-1,)))]})
    tensors = from_rows(unseen, list(rows), "/sample")
    outputs = outputs_of(program.run([to_array(tensor) for tensor in tensors]), len(rows))
    return ProgramModel(replace(unseen, outputs=outputs), lambda: program)


def _beside(folder: Path) -> tuple[str, ...]:
    """Return the files that hold weights of the graph. Raises ModelUnavailable if one is missing."""
    try:
        names = weights(folder / GRAPH)
    except Exception as error:
        raise ModelUnavailable(f"{GRAPH} is not a valid graph: {type(error).__name__}: {str(error)[:2000]}") from error
    for name in names:
        if not (folder / name).resolve().is_relative_to(folder.resolve()) or not (folder / name).is_file():
            raise ModelUnavailable(f"The graph needs the weights in {name!r}, which is not in its folder. Copy the file into the folder.")
    return names


def _framework(artifact: str) -> dict[str, str]:
    more = {"onnxruntime": onnxruntime.__version__} if artifact == GRAPH else {}
    return {"python": platform.python_version(), "numpy": np.__version__, **more}


def described(folder: Path, *, required: bool) -> dict[str, Any]:
    """Return the fields of `model.yaml`, with those that the client of an upload added.

    Raises InvalidInput if the description is not valid, or is `required` and missing.
    """
    declared = _fields(folder / DESCRIPTION, yaml.safe_load, "YAML", FIELDS) if required or (folder / DESCRIPTION).exists() else {}
    # JSON is not always YAML: PyYAML reads 1e-05 as text.
    return declared | (_fields(folder / ADDED, json.loads, "JSON", (*FIELDS, TIMESTAMPS)) if (folder / ADDED).exists() else {})


def _fields(path: Path, parse: Callable[[str], Any], language: str, allowed: Sequence[str]) -> dict[str, Any]:
    try:
        declared = parse(path.read_text())
    except FileNotFoundError:
        hint = "Declare inputs and outputs in it, for example `inputs: [{name: text, datatype: BYTES, shape: [-1]}]`."
        raise InvalidInput(f"{path.parent} has no {path.name}. {hint}", pointer="/artifact") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is not valid {language}: {error}", pointer="/artifact") from None
    if not isinstance(declared, dict):
        raise InvalidInput(f"{path} must be an object with inputs and outputs.", pointer="/artifact")
    unknown = [name for name in declared if name not in allowed]
    if unknown:
        raise InvalidInput(f"{path} has an unknown field {unknown[0]!r}. Fields: {', '.join(allowed)}.", pointer="/artifact")
    return declared


def _manifest(values: Mapping[str, Any]) -> Manifest:
    try:
        return Manifest.from_dict({"sha256": "", **values})
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise InvalidInput(f"{DESCRIPTION} is not valid: {error}", pointer="/artifact") from None
    except InvalidInput as error:
        where = f" (at {error.pointer})" if (error.pointer or "").count("/") > 1 else ""  # the detail names a field at the top
        raise InvalidInput(f"{DESCRIPTION} is not valid: {error.detail}{where}", pointer="/artifact") from None


def _tensors(manifest: Manifest, rows: Any) -> list[Tensor]:
    """Return the rows of a list or a DataFrame as the inputs that a caller would send."""
    if isinstance(rows, pd.DataFrame):
        rows = rows.astype(object).where(rows.notna(), None).to_dict("records")
    return from_rows(manifest, list(rows), "/sample")


def _golden(model: Model, rows: list[Any], tolerance: float) -> Golden:
    inputs = from_rows(model.manifest, rows, "/sample")
    answers = model.predict(inputs)
    values, outputs = ({tensor.name: values_of(tensor) for tensor in side} for side in (inputs, answers))
    return Golden(inputs[0].rows, values, outputs, tolerance)
