"""Outputs of models as JSON. Processes that convert large results import this file, so that it imports no web framework."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from app.core import protocol
from app.core.embeddings import vectors
from app.core.protocol import nested
from app.core.tensors import Tensor
from app.services.large_json import dumps


def result(outputs: Sequence[Tensor]) -> Any:
    """Return the rows of one output, or an object of several outputs by name."""
    if len(outputs) == 1:
        return nested(outputs[0])
    return {tensor.name: nested(tensor) for tensor in outputs}


def result_json(outputs: Sequence[Tensor]) -> bytes:
    """Return `result` as JSON."""
    return dumps(result(outputs))


def by_row(tensors: Sequence[Tensor]) -> list[Any]:
    """Return the value of each row, or an object by the name of the input or output if there are several."""
    if len(tensors) == 1:
        return nested(tensors[0])
    names = [tensor.name for tensor in tensors]
    return [dict(zip(names, row, strict=True)) for row in zip(*map(nested, tensors), strict=True)]


def rows_json(tensors: Sequence[Tensor]) -> bytes:
    """Return `by_row` as JSON."""
    return dumps(by_row(tensors))


def predictions_json(outputs: Sequence[Tensor]) -> bytes:
    """Return `by_row` as the response of MLflow, Vertex AI and KServe V1."""
    return dumps({"predictions": by_row(outputs)})


def outputs_json(outputs: Sequence[Tensor]) -> bytes:
    """Return `result` as the response of KServe V1 to inputs by column."""
    return dumps({"outputs": result(outputs)})


def embeddings_json(outputs: Sequence[Tensor], model: str, encoding_format: str) -> bytes:
    """Return the only output as the response of OpenAI's API."""
    [tensor] = outputs
    values = [base64.b64encode(vector).decode() for vector in vectors(tensor)] if encoding_format == "base64" else nested(tensor)
    data = [{"object": "embedding", "index": index, "embedding": value} for index, value in enumerate(values)]
    return dumps({"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": 0, "total_tokens": 0}})


def tool_result_json(outputs: Sequence[Tensor], id: int | str) -> bytes:
    """Return `by_row` as the response to a tool call of the Model Context Protocol, as text and as an object."""
    predictions = {"predictions": by_row(outputs)}
    result = {"content": [{"type": "text", "text": dumps(predictions).decode()}], "structuredContent": predictions, "isError": False}
    return dumps({"jsonrpc": "2.0", "id": id, "result": result})


def infer_json(outputs: Sequence[Tensor], head: dict[str, Any]) -> bytes:
    """Return the response of the Open Inference Protocol without raw data, as JSON."""
    return dumps({**head, "outputs": protocol.write(outputs, [False] * len(outputs))[0]})


def detached(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the tensors with data of their own, because a view cannot be sent to another process."""
    return [replace(tensor, data=bytes(tensor.data)) for tensor in tensors]
