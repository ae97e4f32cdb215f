"""Publishing a folder with `model.py` or `model.onnx`, which `model.yaml` describes."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
import yaml

from app.core.errors import CeleriacError, InvalidInput, ModelUnavailable
from app.core.inputs import from_rows
from app.core.models import CODE, FORMATS, PYTHON, Golden, Manifest
from app.registry.repository import EXAMPLES, MANIFEST, Repository
from app.runtime.code import CodeModel
from app.runtime.graph import Graph, GraphModel, signature, weights
from app.runtime.model import Model
from app.runtime.publishing import request_promotion, values_of

DESCRIPTION: Final = "model.yaml"
GRAPH: Final = FORMATS["onnx"]
_FILLED_IN: Final = ("name", "version", "format", "artifact", "sha256", "weights", "framework", "created_at", "golden")
_OWN: Final = ("sample", "tolerance")
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
) -> Manifest:
    """Publishes the code and all that lies beside it in `folder`, or the graph, once that is shown to load here and to answer `rows`.

    `rows` (else `sample` in model.yaml) are a few that callers would send; what they are answered is the golden sample.
    Raises InvalidInput where the description or the model will not do, ModelConflict where the version exists.
    """
    artifact = next((name for name in (CODE, GRAPH) if (folder / name).is_file()), None)
    if artifact is None:
        raise InvalidInput(f"{folder} has neither {CODE} nor {GRAPH}: write the first with predict(inputs)", pointer="/artifact")
    told = _description(folder / DESCRIPTION) if artifact == CODE or (folder / DESCRIPTION).exists() else {}
    rows, tolerance = list(rows or told.pop("sample", None) or ()), float(told.pop("tolerance", 1e-6))
    told.setdefault("description", "")
    known = {"name": name, "version": version or "", "artifact": artifact, "framework": _framework(artifact)}
    make = _code if artifact == CODE else _graph

    def write(stage: Path) -> Manifest:
        try:
            model = make(folder, stage, {**told, **known})
            model.verify()
            described = replace(model.manifest, description=description or model.manifest.description)
            golden = _golden(model, rows, tolerance) if rows else None
        except InvalidInput:
            raise
        except CeleriacError as error:
            raise InvalidInput(f"{folder / artifact} cannot be served: {error.detail}", pointer="/artifact") from error
        # Rows that one call does not answer together gain nothing from waiting for each other; and a stream is of one job.
        apart = not model.joins and (described.stream or "batch" not in told)
        batch = replace(described.batch, max_rows=1) if apart else described.batch
        return replace(described, golden=golden, batch=batch)

    manifest = repository.publish(name, write, version=version)
    if promote:
        request_promotion(repository, name, promote, manifest.version)
    return manifest


def _code(folder: Path, stage: Path, told: Mapping[str, Any]) -> Model:
    shutil.copytree(folder, stage, ignore=shutil.ignore_patterns(*_LEFT), dirs_exist_ok=True)
    return CodeModel(_manifest({**told, "format": PYTHON}), stage)


def _graph(folder: Path, stage: Path, told: Mapping[str, Any]) -> Model:
    """What it takes and gives is read from the graph where the description leaves it out."""
    beside = _beside(folder)
    for name in (GRAPH, *beside):
        (stage / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / name, stage / name)
    with (stage / GRAPH).open("rb") as file:
        graph = Graph(file)
    inputs, outputs = ([asdict(spec) for spec in side] for side in signature(graph))
    return GraphModel(_manifest({"inputs": inputs, "outputs": outputs, **told, "format": "onnx", "weights": beside}), graph)


def _beside(folder: Path) -> tuple[str, ...]:
    """The files that hold weights of the graph. Raises ModelUnavailable where they cannot be had."""
    try:
        found = weights(folder / GRAPH)
    except Exception as error:
        raise ModelUnavailable(f"{GRAPH} is no graph: {type(error).__name__}: {str(error)[:2000]}") from error
    for name in found:
        if not (folder / name).resolve().is_relative_to(folder.resolve()) or not (folder / name).is_file():
            raise ModelUnavailable(f"its weights lie in {name!r}, which is not beside it: put that file into the same folder")
    return found


def _framework(artifact: str) -> dict[str, str]:
    more = {"onnxruntime": onnxruntime.__version__} if artifact == GRAPH else {}
    return {"python": platform.python_version(), "numpy": np.__version__, **more}


def _description(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        told = "it names inputs and outputs, as in `inputs: [{name: text, datatype: BYTES, shape: [-1]}]`"
        raise InvalidInput(f"{path.parent} has no {path.name}: {told}", pointer="/artifact") from None
    except yaml.YAMLError as error:
        raise InvalidInput(f"{path} is not valid YAML: {error}", pointer="/artifact") from None
    if not isinstance(found, dict):
        raise InvalidInput(f"{path} must be an object with inputs and outputs", pointer="/artifact")
    known = [one.name for one in fields(Manifest) if one.name not in _FILLED_IN] + list(_OWN)
    unknown = [one for one in found if one not in known]
    if unknown:
        raise InvalidInput(f"{path} has a field {unknown[0]!r} that nothing reads; there are {', '.join(known)}", pointer="/artifact")
    return found


def _manifest(values: Mapping[str, Any]) -> Manifest:
    try:
        return Manifest.from_dict({"sha256": "", **values})
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise InvalidInput(f"{DESCRIPTION} is not valid: {error}", pointer="/artifact") from None
    except InvalidInput as error:
        where = f" (at {error.pointer})" if error.pointer else ""
        raise InvalidInput(f"{DESCRIPTION} is not valid: {error.detail}{where}", pointer="/artifact") from None


def _golden(model: Model, rows: list[Any], tolerance: float) -> Golden:
    inputs = from_rows(model.manifest, rows, "/sample")
    answers = model.predict(inputs)
    asked, told = ({one.name: values_of(one) for one in side} for side in (inputs, answers))
    return Golden(inputs[0].rows, asked, told, tolerance)
