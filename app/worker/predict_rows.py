"""A model asked for rows as JSON has them: by a step of a pipeline, and by a task of somebody's own canvas."""

from __future__ import annotations

from typing import Any

from app.core.inputs import asked_of, from_rows
from app.core.models import ModelRef
from app.core.protocol import nested
from app.runtime.model import Model
from app.store import serving
from app.worker import pool_process
from app.worker.cancellation import arm, interruptible
from app.worker.models import Models
from app.worker.oom import in_halves
from app.worker.streaming import streaming


def answer(inputs: Any, model: str, method: str | None) -> Any:
    """In a task without a delivery: the rows come in its message. Raises as `asked`, and ModelNotFound or ModelUnavailable."""
    ref = ModelRef.parse(model)
    models = pool_process.models()
    found = models.get(ref.name, _version(ref, models))
    arm()
    with interruptible():
        return asked(found, inputs, method)


def _version(ref: ModelRef, models: Models) -> str:
    """As the API resolves a reference: an alias leads to the version that a worker served for it last."""
    served = None if ref.version else serving.read(pool_process.redis()).get((ref.name, ref.alias or ""))
    if served in models.repository.versions(ref.name) and (not ref.alias or ref.alias in models.repository.aliases(ref.name)):
        return str(served)
    return models.repository.resolve(ref)


def asked(model: Model, rows: Any, method: str | None) -> Any:
    """The rows of the one output that is asked for; of several, an object by name. Raises InvalidInput, or as `Model.predict`."""
    outputs = asked_of({"method": method}, model.manifest)
    inputs = from_rows(model.manifest, rows)
    with streaming(model):
        answers = {one.name: nested(one) for one in in_halves(model, inputs, outputs)}
    return answers if len(answers) > 1 else answers[outputs[0]]
