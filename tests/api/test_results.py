"""Outputs of models in the forms of other protocols."""

from __future__ import annotations

import base64
import json
import struct

from app.api.schemas.results import embeddings_json, outputs_json, predictions_json, tool_result_json
from app.core.tensors import Tensor, make

LABELS = make("label", "BYTES", (2,), ["ham", "spam"])
SCORES = make("score", "FP64", (2, 2), [0.9, 0.1, 0.25, 0.75])


def test_one_output_is_a_value_for_each_row_and_several_are_an_object() -> None:
    assert json.loads(predictions_json([SCORES])) == {"predictions": [[0.9, 0.1], [0.25, 0.75]]}
    assert json.loads(predictions_json([LABELS, SCORES])) == {
        "predictions": [{"label": "ham", "score": [0.9, 0.1]}, {"label": "spam", "score": [0.25, 0.75]}]
    }


def test_by_column_several_outputs_are_lists_by_name() -> None:
    assert json.loads(outputs_json([LABELS])) == {"outputs": ["ham", "spam"]}
    assert json.loads(outputs_json([LABELS, SCORES])) == {"outputs": {"label": ["ham", "spam"], "score": [[0.9, 0.1], [0.25, 0.75]]}}


def test_a_tool_answers_with_text_and_with_an_object() -> None:
    reply = json.loads(tool_result_json([LABELS], 7))
    assert (reply["id"], reply["result"]["structuredContent"]) == (7, {"predictions": ["ham", "spam"]})
    assert json.loads(reply["result"]["content"][0]["text"]) == reply["result"]["structuredContent"]


def test_vectors_in_base64_have_32_bits_whatever_the_datatype_of_the_model() -> None:
    for datatype in ("FP16", "FP32", "FP64"):
        vectors: Tensor = make("vector", datatype, (2, 2), [0.5, 1.0, -2.0, 0.25])
        data = json.loads(embeddings_json([vectors], "m@1", "base64"))["data"]
        assert [struct.unpack("<2f", base64.b64decode(item["embedding"])) for item in data] == [(0.5, 1.0), (-2.0, 0.25)]
