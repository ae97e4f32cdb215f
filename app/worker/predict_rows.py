"""Call a model with rows as JSON has them: for a step of a pipeline, and for a task of a user's own Celery canvas."""

from __future__ import annotations

from typing import Any

from app.core.inputs import from_rows, requested_outputs
from app.core.models import ModelRef
from app.core.protocol import nested
from app.runtime.model import Model
from app.store import model_pauses, serving
from app.worker import pool_process
from app.worker.oom import split_on_oom
from app.worker.pool_process import PoolProcess
from app.worker.streaming import streaming


def predict_in_task(inputs: Any, model: str, method: str | None = None) -> Any:
    """Call a model in a Celery task that has no delivery: the rows come in its message.

    Raises:
        ModelNotFound: The reference leads to no version.
        ModelUnavailable: The version is not served here.
        ModelPaused: The model is paused.
        InvalidInput: The rows do not match the model's manifest.
        PredictionFailed: The model raised an error.
    """
    process = pool_process.current()
    ref = ModelRef.parse(model)
    if pause := model_pauses.read(process.redis, ref.name):
        raise pause.refusal(ref.name)
    served = process.models.get(ref.name, _version(process, ref))
    process.cancellation.arm()
    with process.cancellation.interruptible():
        return predict_rows(process, served, inputs, method)


def predict_rows(process: PoolProcess, model: Model, rows: Any, method: str | None) -> Any:
    """Return what the model answers for JSON rows: the rows of its one output, or an object of several outputs by name.

    Raises:
        InvalidInput: The rows do not match the model's manifest.
        PredictionFailed: The model raised an error.
    """
    outputs = requested_outputs(method, model.manifest)
    inputs = from_rows(model.manifest, rows)
    with streaming(process, model):
        answers = {tensor.name: nested(tensor) for tensor in split_on_oom(model, inputs, outputs)}
    return answers if len(answers) > 1 else answers[outputs[0]]


def _version(process: PoolProcess, ref: ModelRef) -> str:
    """Resolve a reference as the API does: an alias leads to the version that a worker served for it last."""
    repository = process.models.repository
    served = None if ref.version else serving.read(process.redis).get((ref.name, ref.alias or ""))
    if served in repository.versions(ref.name) and (not ref.alias or ref.alias in repository.aliases(ref.name)):
        return str(served)
    return repository.resolve(ref)
