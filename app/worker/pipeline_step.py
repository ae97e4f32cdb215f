"""Run a step of a pipeline, or one branch of it: fetch what its sources answered, and call a model or a function."""

from __future__ import annotations

import base64
from typing import Any

import redis
from celeriac._authoring import STEPS

from app.core.errors import InvalidInput, WorkFailed
from app.core.handlers import Context
from app.core.pipelines import INDEX, INPUTS, ITEM, fill
from app.core.tensors import as_json, is_binary
from app.runtime.exit_guard import contained
from app.store.blobs import blobs
from app.store.pipelines import VALUE, part, read_inputs, read_results, unpacked_inputs, value_of


def run(spec: dict[str, Any], context: Context) -> dict[str, Any]:
    """Run a step as `app.broker.pipelines` describes it in `spec`."""
    inputs = fill(spec["inputs"], _Sources(context.redis, spec).value)
    answer = _function(spec, inputs) if spec["function"] else _model(spec, inputs, context)
    return {VALUE: answer}


class _Sources:
    """The values of the references of one step. Each is read once."""

    def __init__(self, client: redis.Redis, spec: dict[str, Any]) -> None:
        self._client = client
        self._spec = spec
        self._values: dict[str, Any] = {}

    def value(self, name: str) -> Any:
        if name not in self._values:
            self._values[name] = self._read(name)
        return self._values[name]

    def _read(self, name: str) -> Any:
        run, index = self._spec["run"], self._spec["index"]
        if name == INDEX:
            return index
        if name == ITEM:
            return fill(self._spec["each"], self.value)[index]
        if name == INPUTS:
            packed = read_inputs(self._client, run)
            if packed is None:
                raise WorkFailed(f"The run {run} is gone.")
            return unpacked_inputs(blobs().fetch(packed))
        source = self._spec["sources"][name]
        if source["skipped"]:
            return None
        ids = [part(run, name, at) for at in (range(source["count"]) if source["count"] is not None else [None])]
        answers = [value_of(id, result) for id, result in zip(ids, read_results(self._client, ids), strict=True)]
        return answers[0] if source["count"] is None else answers


def _model(spec: dict[str, Any], rows: Any, context: Context) -> Any:
    return context.predict_rows(context.model(*spec["model"]), rows, spec["method"])


def _function(spec: dict[str, Any], inputs: dict[str, Any] | None) -> Any:
    name = spec["function"]
    if name not in STEPS:
        registered = ", ".join(sorted(STEPS)) or "none"
        raise InvalidInput(
            f"This worker has no function {name!r}; registered: {registered}. Register it with @step, and name its module in CELERIAC_IMPORTS."
        )
    with contained():
        answer = STEPS[name](**_received(inputs or {}))
    return _given(answer)


def _received(value: Any) -> Any:
    """Return a value with bytes in place of base64 objects."""
    if is_binary(value):
        return base64.b64decode(value["b64"])
    if isinstance(value, dict):
        return {name: _received(item) for name, item in value.items()}
    return [_received(item) for item in value] if isinstance(value, list) else value


def _given(value: Any) -> Any:
    """Return an answer as JSON values. What cannot be one is reported when the result is written."""
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers
        value = value.tolist()
    if isinstance(value, dict):
        return {str(name): _given(item) for name, item in value.items()}
    return [_given(item) for item in value] if isinstance(value, list | tuple) else as_json(value)
