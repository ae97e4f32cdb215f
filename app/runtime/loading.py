"""Loading of versions from the repository, checked before they are read. Loading never predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.core.errors import CeleriacError, InvalidInput, ModelUnavailable
from app.core.models import FORMATS, MLMODEL, PYTHON, PYTORCH, RUNS_CODE, Manifest, TensorSpec
from app.registry import contents, mlflow
from app.registry.mlflow import MLflowModel
from app.registry.repository import Repository
from app.runtime.artifact import READERS, Artifact
from app.runtime.bare import signature_of
from app.runtime.code import CodeModel
from app.runtime.deferred import DeferredModel
from app.runtime.graph import GraphModel, signature
from app.runtime.isolated import isolated
from app.runtime.methods import classes_of
from app.runtime.mlflow import golden
from app.runtime.mlflow import signature as saved_signature
from app.runtime.model import Model
from app.runtime.pytorch import ProgramModel
from app.runtime.requirements import requirements_of
from app.runtime.threads import predicts


def load(
    repository: Repository,
    name: str,
    version: str,
    *,
    version_policy: str = "minor",
    allow_pickle: bool = True,
    device: str = "cpu",
    timeout_s: float = 60.0,
) -> Model:
    """Return a model that is ready to predict. Its golden sample is not checked yet (`Model.verify`).

    It is safe to call this before a fork: it opens no device, and libraries that may start threads are loaded later, by each process that
    predicts. `timeout_s` limits the process that inspects a bare artifact.

    Raises ModelNotFound, or ModelUnavailable with the reason: damaged, of another scikit-learn, not allowed, not loadable.
    """
    manifest = repository.manifest(name, version)
    if manifest is not None and manifest.format == PYTHON:
        return _load_code(repository, manifest, allow_pickle)
    path, which, saved = repository.artifact(name, version), f"{name}@{version}", None
    if manifest is None and path.name == MLMODEL:
        saved = _described(which, path)
        path, kind = saved.file, saved.format
    else:
        kind = manifest.format if manifest else next(format for format, file in FORMATS.items() if file == path.name)
    if kind not in READERS:
        raise ModelUnavailable(f"{which} is in the format {kind!r}; this worker reads {', '.join(READERS)}.")
    if kind in RUNS_CODE and not allow_pickle:
        what, instead = ("program of PyTorch", "onnx") if kind in PYTORCH else ("pickle" if saved else "joblib file", "skops")
        detail = f"{which} is a {what}, which may run code when loaded, and CELERIAC_ALLOW_PICKLE is off. Publish it as {instead}."
        raise ModelUnavailable(detail)
    artifact = Artifact(which, path, kind, manifest, version_policy, device)
    artifact.check_version(manifest.framework.get("scikit-learn") if manifest else saved.trained if saved else None)
    if kind == "onnx" and (manifest is None or manifest.graph):
        graph, digest = artifact.read()
        return GraphModel(manifest or _manifest(name, version, kind, path, digest, *signature(graph), what="Graph"), graph)
    if manifest is None and kind in PYTORCH:
        raise ModelUnavailable(f"{which} is a program of PyTorch without a manifest. Publish it: `celeriac models publish {name} FOLDER`.")
    if manifest is None or (kind == "joblib" and manifest.requires is None):
        manifest = _inspected(artifact, name, version, timeout_s, saved)
    if manifest.load == "child":
        artifact.check()
        return (ProgramModel if kind in PYTORCH else DeferredModel)(manifest, lambda: artifact.read()[0])
    return Model(manifest, artifact.read()[0])


def _described(which: str, path: Path) -> MLflowModel:
    """Return what an MLmodel says. Raises ModelUnavailable."""
    try:
        return mlflow.read(path.parent)
    except InvalidInput as error:
        raise ModelUnavailable(f"{which} cannot be served: {error.detail}") from None


def _inspected(artifact: Artifact, name: str, version: str, timeout_s: float, saved: MLflowModel | None) -> Manifest:
    """Complete the manifest with properties of the loaded estimator. A forked process inspects it, so that this one may fork later.

    A process that predicts inspects it itself, because its threads do not survive a fork.
    """

    def inspect() -> dict[str, Any]:
        estimator, digest = artifact.read()
        needs = requirements_of(estimator)
        place = "child" if needs.native else "parent"
        if artifact.manifest is not None:
            load = "child" if artifact.manifest.load == "child" else place
            return replace(artifact.manifest, load=load, requires=needs.packages).as_dict()
        inferred = saved_signature(estimator, saved) if saved else signature_of(estimator)
        manifest = _manifest(
            name, version, artifact.kind, artifact.path, digest, inferred.inputs, inferred.outputs, what=type(estimator).__name__
        )
        manifest = replace(manifest, classes=classes_of(estimator), load=place, requires=needs.packages, frame=inferred.frame)
        return (replace(manifest, golden=golden(manifest, inferred)) if saved else manifest).as_dict()

    try:
        return Manifest.from_dict(inspect() if predicts() else isolated(inspect, timeout_s))
    except CeleriacError as error:
        detail = error.detail if error.detail.startswith(artifact.which) else f"{artifact.which} cannot be served: {error.detail}"
        raise ModelUnavailable(detail) from error


def _load_code(repository: Repository, manifest: Manifest, allowed: bool) -> Model:
    which = "@".join(manifest.key)
    if not allowed:
        raise ModelUnavailable(f"{which} is Python code, and CELERIAC_ALLOW_PICKLE is off. Publish an estimator as skops.")
    folder = repository.artifact(*manifest.key).parent
    digest = contents.digest(folder, manifest)
    if digest != manifest.sha256:
        detail = f"{which}: the sha256 of its files is {digest[:12]}…, not {manifest.sha256[:12]}… as published"
        raise ModelUnavailable(f"{detail}: a file is damaged, or was changed, added or removed.")
    model = CodeModel(manifest, folder)
    if manifest.load == "parent":
        model.load()
    return model


def _manifest(
    name: str, version: str, kind: str, path: Path, digest: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], *, what: str
) -> Manifest:
    return Manifest(
        name, version, kind, path.name, digest, tuple(inputs), tuple(outputs),
        created_at=datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds"),
        description=f"{what}, with a signature inferred from a bare artifact",
    )  # fmt: skip
