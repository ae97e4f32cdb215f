"""Triton's own client, unchanged, against the running system: answers are those of the model in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
import redis
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from app.registry.repository import Repository
from app.runtime.loading import load
from app.samples.models import SAMPLES
from app.store import keys
from tests.running import Running

ROWS = 7


@pytest.fixture(scope="module")
def server(running: Running) -> Iterator[Any]:
    client = triton.InferenceServerClient(running.url.removeprefix("http://"))
    yield client
    client.close()


def tensors(data: Any, binary: bool) -> list[Any]:
    """A tensor of a table, or one a column where its columns are mixed; a text that is missing is empty."""
    if not isinstance(data, pd.DataFrame):
        parts = {"input": data}
    else:
        parts = {name: data[name].fillna("").to_numpy(object) if data[name].dtype.kind == "O" else data[name].to_numpy() for name in data}
    found = []
    for name, part in parts.items():
        found.append(triton.InferInput(name, list(part.shape), np_to_triton_dtype(part.dtype)))
        found[-1].set_data_from_numpy(part, binary_data=binary)
    return found


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize("name", SAMPLES)
def test_raw_tensors(server: Any, running: Running, name: str, compression: str | None) -> None:
    data = SAMPLES[name].data().held_out[:ROWS]
    model = load(Repository(running.models), name, "1").estimator
    result = server.infer(name, tensors(data, True), request_id="7", request_compression_algorithm=compression)
    assert result.get_response()["id"] == "7"
    answer = result.as_numpy("predict")
    assert (answer.astype(str) if answer.dtype.kind == "O" else answer).tolist() == pytest.approx(model.predict(data).tolist())


@pytest.mark.parametrize("name", ["breast-cancer", "digits", "diabetes"])
def test_tensors_as_json(server: Any, running: Running, name: str) -> None:
    data = SAMPLES[name].data().held_out[:ROWS]
    model = load(Repository(running.models), name, "1").estimator
    result = server.infer(name, tensors(data, False), outputs=[triton.InferRequestedOutput("predict", binary_data=False)])
    assert result.as_numpy("predict").tolist() == pytest.approx(model.predict(data).tolist())


def test_some_outputs_raw_and_some_as_json(server: Any, running: Running) -> None:
    data = SAMPLES["wine"].data().held_out[:ROWS]
    model = load(Repository(running.models), "wine", "1").estimator
    outputs = [triton.InferRequestedOutput("predict", binary_data=False), triton.InferRequestedOutput("predict_proba", binary_data=True)]
    result = server.infer("wine", tensors(data, True), outputs=outputs, priority=1, timeout=10_000_000)
    assert result.as_numpy("predict").astype(str).tolist() == model.predict(data).tolist()
    np.testing.assert_allclose(result.as_numpy("predict_proba"), model.predict_proba(data))


def test_health_and_metadata(server: Any) -> None:
    assert server.is_server_live()
    assert server.is_server_ready()
    assert server.is_model_ready("digits")
    assert server.is_model_ready("digits", "1")
    assert not server.is_model_ready("nobody")
    assert server.get_server_metadata()["name"] == "celeriac"
    assert server.get_model_metadata("digits")["inputs"][0]["shape"] == [-1, 64]
    assert server.get_model_config("digits")["input"][0]["data_type"] == "TYPE_FP64"


def test_an_error_is_reported_in_words(server: Any) -> None:
    with pytest.raises(InferenceServerException, match=r"Model 'nobody' does not exist\. Available models: .*breast-cancer"):
        server.infer("nobody", tensors(np.zeros((1, 2)), True))


def test_a_model_is_unloaded_and_loaded(server: Any) -> None:
    server.unload_model("breast-cancer")
    assert not server.is_model_ready("breast-cancer")
    with pytest.raises(InferenceServerException, match="was unloaded"):
        server.infer("breast-cancer", tensors(np.zeros((1, 30)), True))
    server.load_model("breast-cancer")
    assert server.is_model_ready("breast-cancer")
    assert server.infer("breast-cancer", tensors(np.zeros((1, 30)), True)).as_numpy("predict").shape == (1,)


def test_workers_drop_an_unloaded_model_and_load_it_again(server: Any, running: Running) -> None:
    def held() -> set[str]:
        with redis.Redis.from_url(running.redis_url) as store:
            said: Any = store.hvals(keys.WORKERS)
            return {name for worker in said for name, _ in orjson.loads(worker)["ready"]}

    server.unload_model("breast-cancer")
    while "breast-cancer" in held():
        time.sleep(0.1)  # a worker says every two seconds what it holds
    server.load_model("breast-cancer")
    assert "breast-cancer" in held()
    assert server.infer("breast-cancer", tensors(np.zeros((1, 30)), True)).as_numpy("predict").shape == (1,)


def test_a_model_cannot_be_sent(server: Any) -> None:
    with pytest.raises(InferenceServerException, match="Publish models to the repository"):
        server.load_model("digits", config="{}")


def test_the_index_lists_what_is_there(server: Any) -> None:
    index = {one["name"]: one["state"] for one in server.get_model_repository_index()}
    assert {"digits": "READY", "orphan": "UNAVAILABLE"}.items() <= index.items()
