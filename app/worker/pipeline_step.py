"""Runs a step of a pipeline, or one branch of it: fetches what its sources answered, and asks a model or calls a function."""

from __future__ import annotations

import base64
from typing import Any

import redis
from celeriac._authoring import STEPS

from app.core.errors import InvalidInput, WorkFailed
from app.core.handlers import Context, handler
from app.core.pipelines import INDEX, INPUTS, ITEM, STEP, fill
from app.core.tensors import as_json, is_binary
from app.runtime.containing import contained
from app.store import keys
from app.store.blobs import blobs
from app.store.pipelines import VALUE, part, unpacked_inputs, value_of
from app.worker import pool_process
from app.worker.predict_rows import asked


@handler(STEP)
def run(spec: dict[str, Any], context: Context) -> dict[str, Any]:
    """As `app.broker.pipelines` says it."""
    inputs = fill(spec["inputs"], _Sources(pool_process.redis(), spec).value)
    answer = _function(spec, inputs) if spec["function"] else _model(spec, inputs, context)
    return {VALUE: answer}


class _Sources:
    """What references of one step mean, each read once."""

    def __init__(self, client: redis.Redis, spec: dict[str, Any]) -> None:
        self._client = client
        self._spec = spec
        self._known: dict[str, Any] = {}

    def value(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def _read(self, name: str) -> Any:
        run, index = self._spec["run"], self._spec["index"]
        if name == INDEX:
            return index
        if name == ITEM:
            return fill(self._spec["each"], self.value)[index]
        if name == INPUTS:
            kept: Any = self._client.hget(keys.pipeline(run), "inputs")
            if kept is None:
                raise WorkFailed(f"the run {run} is gone")
            return unpacked_inputs(blobs().fetch(kept))
        source = self._spec["sources"][name]
        if source["skipped"]:
            return None
        ids = [part(run, name, at) for at in (range(source["count"]) if source["count"] is not None else [None])]
        with self._client.pipeline(transaction=False) as pipe:
            for id in ids:
                pipe.hget(keys.job(id), "result")
            found = [value_of(id, result) for id, result in zip(ids, pipe.execute(), strict=True)]
        return found[0] if source["count"] is None else found


def _model(spec: dict[str, Any], rows: Any, context: Context) -> Any:
    return asked(context.model(*spec["model"]), rows, spec["method"])


def _function(spec: dict[str, Any], inputs: dict[str, Any] | None) -> Any:
    name = spec["function"]
    if name not in STEPS:
        there = ", ".join(sorted(STEPS)) or "none"
        raise InvalidInput(
            f"this worker knows no function {name!r}; there are {there}: register it with @step, and name its module in CELERIAC_IMPORTS"
        )
    with contained():
        answer = STEPS[name](**_received(inputs or {}))
    return _given(answer)


def _received(value: Any) -> Any:
    """With bytes where JSON has them in base64."""
    if is_binary(value):
        return base64.b64decode(value["b64"])
    if isinstance(value, dict):
        return {name: _received(one) for name, one in value.items()}
    return [_received(one) for one in value] if isinstance(value, list) else value


def _given(value: Any) -> Any:
    """As JSON knows it. What is nothing of all that is told when it is written."""
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers
        value = value.tolist()
    if isinstance(value, dict):
        return {str(name): _given(one) for name, one in value.items()}
    return [_given(one) for one in value] if isinstance(value, list | tuple) else as_json(value)
