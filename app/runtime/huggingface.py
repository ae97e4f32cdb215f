"""Models of Hugging Face: files that Transformers saved, served by one of its pipelines.

Publishing writes a version of Python code, whose `model.py` imports `load` from here. A pipeline loads nothing but the files of its version:
it does not contact a hub, runs no code that is beside the weights, and reads weights from safetensors only.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from io import BytesIO
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
import yaml

from app.core.errors import InvalidInput, shown
from app.core.models import CODE, Manifest
from app.registry.repository import Repository
from app.runtime.model_yaml import DESCRIPTION, publish_folder
from app.runtime.requirements import load_problem
from app.runtime.threads import limit

_PIPELINE: Final = "pipeline.json"
_WEIGHTS: Final = ".safetensors"
_FILES: Final = ("*.json", "*.txt", "*.model", "*.tiktoken", "*.jinja", f"*{_WEIGHTS}")
"""The files of a model that are published. Others may be code, pickles, or weights for other libraries."""
_MODEL_PY: Final = f'"""Loads the pipeline that {_PIPELINE} names. Publishing wrote this file."""\n\nfrom app.runtime.huggingface import load\n\n__all__ = ["load"]\n'
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_REPO: Final = re.compile(r"\w[\w.-]{0,95}(/\w[\w.-]{0,95})?")
_WIDTHS: Final = ("hidden_size", "dim", "d_model", "n_embd")
"""Fields of a configuration that hold the length of an embedding."""
_TOLERANCE: Final = 1e-4
_TEXT: Final = {"name": "text", "datatype": "BYTES", "shape": [-1]}
_LABELS: Final = [{"name": "label", "datatype": "BYTES", "shape": [-1]}, {"name": "score", "datatype": "FP32", "shape": [-1]}]


class _Task(NamedTuple):
    """What a pipeline takes and gives. `call` gets the pipeline, the values of the rows and the parameters."""

    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    call: Callable[[Any, list[Any], Mapping[str, Any]], dict[str, Any]]


def _classified(pipeline: Any, rows: list[Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    answers = [answer[0] if isinstance(answer, list) else answer for answer in pipeline(rows, top_k=1, **parameters)]
    return {"label": [answer["label"] for answer in answers], "score": [answer["score"] for answer in answers]}


def _images_classified(pipeline: Any, rows: list[Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    from PIL import Image

    return _classified(pipeline, [Image.open(BytesIO(row if isinstance(row, bytes) else row.encode())) for row in rows], parameters)


def _embedded(pipeline: Any, rows: list[Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    # The mean over the tokens of each text. No padding is part of it, because each text is a call of its own.
    return {"embedding": np.array([np.mean(answer[0], axis=0) for answer in pipeline(rows, **parameters)], dtype=np.float32)}


def _generated(pipeline: Any, rows: list[Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    answers = pipeline(rows, **{"return_full_text": False, "do_sample": False, **parameters})
    return {"text": [answer[0]["generated_text"] for answer in answers]}


TASKS: Final = {
    "text-classification": _Task([_TEXT], _LABELS, _classified),
    "feature-extraction": _Task([_TEXT], [{"name": "embedding", "datatype": "FP32", "shape": [-1, -1]}], _embedded),
    "text-generation": _Task([_TEXT], [_TEXT], _generated),
    "image-classification": _Task([{"name": "image", "datatype": "BYTES", "shape": [-1]}], _LABELS, _images_classified),
}
"""The tasks that are served."""


@dataclass(frozen=True, slots=True)
class Source:
    """The field `huggingface` of `model.yaml`.

    Attributes:
        task: Task of the pipeline.
        repo: Repository of a hub, or None if the files are beside `model.yaml`.
        revision: Commit of the repository.
        parameters: Further arguments of each call of the pipeline.
    """

    task: str
    repo: str | None = None
    revision: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return a validated source. Raises InvalidInput."""
        names = [item.name for item in fields(cls)]
        if not isinstance(value, dict) or not value.keys() <= set(names):
            raise _invalid(f"huggingface is {shown(value)}. Use an object with {', '.join(names)}")
        source = cls(**{"task": None, **value})
        if source.task not in TASKS:
            raise _invalid(f"huggingface/task is {shown(source.task)}. Use one of {', '.join(TASKS)}, or publish a folder with {CODE}")
        if not isinstance(source.parameters, dict):
            raise _invalid(f"huggingface/parameters is {shown(source.parameters)}. Use an object")
        if source.repo is None and source.revision is None:
            return source
        if not isinstance(source.repo, str) or not _REPO.fullmatch(source.repo):
            raise _invalid(f"huggingface/repo is {shown(source.repo)}. Use owner/name")
        if not isinstance(source.revision, str) or not _COMMIT.fullmatch(source.revision):
            raise _invalid(f"huggingface/revision is {shown(source.revision)}. Use the 40 hex digits of a commit, because a branch moves")
        return source


class Pipeline:
    """A loaded pipeline, with the functions of `model.py`."""

    def __init__(self, folder: Path) -> None:
        """Load the pipeline of a version."""
        # Before the import, which reads it.
        os.environ["HF_HUB_OFFLINE"] = "1"
        import torch
        from transformers import pipeline
        from transformers.utils import logging

        logging.disable_progress_bar()
        stored = json.loads((folder / _PIPELINE).read_text())
        torch.set_num_threads(limit())
        self._task = TASKS[stored["task"]]
        self._parameters = stored["parameters"]
        self._pipeline = pipeline(
            stored["task"],
            model=str(folder),
            device="cuda" if torch.cuda.is_available() else "cpu",
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )

    def predict_batch(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs of the task."""
        (rows,) = inputs.values()
        return self._task.call(self._pipeline, rows.tolist(), self._parameters)


load: Final = Pipeline


def publish_huggingface(
    repository: Repository,
    name: str,
    folder: Path,
    declared: dict[str, Any],
    *,
    rows: Sequence[Any],
    version: str | None,
    description: str,
    timeout_s: float,
    download: bool,
) -> Manifest:
    """Publish the model that `huggingface` in the fields of `model.yaml` describes.

    Its files are downloaded if it names a repository, and else those in the folder. `download` allows the former.
    Raises InvalidInput if the description or the model is not valid, or cannot be downloaded; ModelConflict if the version exists.
    """
    source = Source.of(declared.pop("huggingface"))
    if source.repo and not download:
        hint = f"Run `hf download {source.repo} --revision {source.revision} --local-dir FOLDER`, and publish the folder without repo"
        raise _invalid(f"names the repository {shown(source.repo)}, which the API does not download. {hint}")
    with tempfile.TemporaryDirectory(prefix="celeriac-") as home:
        made = Path(home)
        if source.repo:
            _download(source, made)
        else:
            _copy(folder, made)
        if not any(made.glob(f"*{_WEIGHTS}")):
            raise InvalidInput(
                f"The model has no file *{_WEIGHTS}. Save it again with save_pretrained of Transformers.", pointer="/artifact"
            )
        task = TASKS[source.task]
        outputs = [{**spec, "shape": [-1, _width(made)]} if len(spec["shape"]) == 2 else spec for spec in task.outputs]
        origin = {"provenance": {"huggingface": {"repo": source.repo, "revision": source.revision}}} if source.repo else {}
        fixed = {"inputs": task.inputs, "outputs": outputs, "load": "child"}
        (made / CODE).write_text(_MODEL_PY)
        (made / _PIPELINE).write_text(json.dumps({"task": source.task, "parameters": source.parameters}))
        (made / DESCRIPTION).write_text(yaml.safe_dump({"tolerance": _TOLERANCE, **origin, **declared, **fixed}))
        return publish_folder(repository, name, made, rows=rows, version=version, description=description, timeout_s=timeout_s)


def _copy(folder: Path, to: Path) -> None:
    for path in _matching(folder):
        if path.is_symlink() or not path.is_file():
            raise InvalidInput(f"{path.name} is not a regular file. Replace it with a copy.", pointer="/artifact")
        shutil.copy(path, to / path.name)


def _matching(folder: Path) -> Iterable[Path]:
    return (path for pattern in _FILES for path in sorted(folder.glob(pattern)) if not path.name.startswith("."))


def _download(source: Source, to: Path) -> None:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise InvalidInput(load_problem(str(source.repo), error), pointer="/artifact") from None
    try:
        snapshot_download(source.repo, revision=source.revision, local_dir=to, allow_patterns=list(_FILES))
    except Exception as error:
        # The library raises those of httpx, too.
        detail = f"{source.repo} at {source.revision} could not be downloaded: {type(error).__name__}: {str(error)[:500]}"
        raise InvalidInput(f"{detail.rstrip('.')}. Check the repository, and HF_TOKEN if it is private.", pointer="/artifact") from error
    shutil.rmtree(to / ".cache", ignore_errors=True)


def _width(folder: Path) -> int:
    """Return the length of an embedding, or -1 if the configuration does not say."""
    try:
        config = json.loads((folder / "config.json").read_text())
        return next((int(config[name]) for name in _WIDTHS if isinstance(config.get(name), int)), -1)
    except (OSError, ValueError, AttributeError):
        return -1


def _invalid(problem: str) -> InvalidInput:
    return InvalidInput(f"{DESCRIPTION}: {problem}.", pointer="/artifact")
