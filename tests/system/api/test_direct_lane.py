"""The direct lane beside the queue, with a real worker: equal answers, and graphs that block or end their process."""

from __future__ import annotations

import json
import math
import signal
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

from app.direct.watchdog import EXIT_CODE
from app.registry.repository import Repository
from app.runtime.model_yaml import publish_folder
from app.runtime.publishing import publish
from tests.examples import expensive
from tests.loop_graph import loop_graph
from tests.running import Running, wait_until_ready

pytestmark = pytest.mark.slow
COLUMNS = 3
BOUND_S = 60.0


@pytest.fixture(scope="module")
def apis(running: Running) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """A client of an API process with the direct lane, and one of an API process without it."""
    X = np.random.default_rng(0).normal(size=(200, COLUMNS))
    labels = np.array(["low", "mid", "high"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0)]
    estimators: dict[str, Any] = {
        "direct-words": LogisticRegression().fit(X, labels),
        "direct-forest": RandomForestClassifier(8, random_state=0).fit(X, labels),
        "direct-line": LinearRegression().fit(X, X @ [1, 2, 3]),
    }
    for name, estimator in estimators.items():
        publish(Repository(running.models), estimator, name, sample=X, columns=["a", "b", "c"], format="onnx", tolerance=1e-4)
    with (
        running.process("api", direct_max_ms=1000, direct_max_lag_ms=60000) as (_, direct),
        running.process("api", direct="off") as (_, queue),
        httpx.Client(base_url=direct) as first,
        httpx.Client(base_url=queue) as second,
    ):
        for name in estimators:
            until_lane(first, name, "direct")
            wait_until_ready(f"{queue}/v2/models/{name}/ready")
        yield first, second


def until_lane(client: httpx.Client, name: str, lane: str) -> str:
    """Wait until a version is on a lane. Returns the reason."""
    end = time.monotonic() + BOUND_S
    while True:
        response = client.get(f"/v1/models/{name}/versions/1")
        state = response.json()
        if response.status_code == 200 and state["lane"] == lane:
            return str(state["lane_reason"])
        assert time.monotonic() < end, state
        time.sleep(0.1)  # another process sets no event of ours


NUMBERS: st.SearchStrategy[Any] = st.one_of(
    st.floats(-1e3, 1e3), st.integers(-(10**6), 10**6), st.sampled_from([0, -0.0, 1e308, 1e39, 5e-324, None, True, "1", [], {}])
)


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """Requests, most of which are valid."""
    rows = draw(st.integers(0, 5))
    wrong = draw(st.booleans())
    values = st.floats(-1e3, 1e3, width=32) if not wrong else NUMBERS
    columns = draw(st.sampled_from([COLUMNS] * 6 + [1, 4])) if wrong else COLUMNS
    flat = draw(st.lists(values, min_size=rows * columns, max_size=rows * columns))
    tensor: dict[str, Any] = {
        "name": draw(st.sampled_from(["input"] * 9 + ["other"])) if wrong else "input",
        "shape": [rows, columns],
        "datatype": draw(st.sampled_from(["FP64", "FP32"] * 4 + ["INT64", "BOOL", "BYTES", "FP128"])) if wrong else "FP64",
        "data": flat if draw(st.booleans()) or not rows else [flat[at * columns : (at + 1) * columns] for at in range(rows)],
    }
    body: dict[str, Any] = {"inputs": [tensor], "id": "same"}
    names = st.lists(st.sampled_from(["predict", "predict_proba", "predict", "transform"]), max_size=3)
    if draw(st.booleans()):
        body["outputs"] = [{"name": name, "parameters": {"binary_data": draw(st.booleans())}} for name in draw(names)]
    if wrong and draw(st.integers(0, 9)) == 0:
        body["more"] = 1
    return body


@settings(max_examples=expensive(60))
@given(body=bodies(), name=st.sampled_from(["direct-words", "direct-forest", "direct-line"]))
def test_both_lanes_give_the_same_response(apis: tuple[httpx.Client, httpx.Client], name: str, body: dict[str, Any]) -> None:
    direct, queue = (api.post(f"/v2/models/{name}/infer", json=body) for api in apis)
    assert (direct.status_code, seen(direct)) == (queue.status_code, seen(queue))
    if direct.status_code == 200:
        assert [response.headers["celeriac-lane"] for response in (direct, queue)] == ["direct", "queue"]


@settings(max_examples=expensive(30))
@given(
    values=st.lists(st.floats(width=64), min_size=COLUMNS, max_size=4 * COLUMNS).filter(lambda values: len(values) % COLUMNS == 0),
    name=st.sampled_from(["direct-words", "direct-forest", "direct-line"]),
)
def test_both_lanes_give_the_same_response_to_raw_tensors(apis: tuple[httpx.Client, httpx.Client], name: str, values: list[float]) -> None:
    raw = struct.pack(f"<{len(values)}d", *values)
    tensor = {"name": "input", "shape": [len(values) // COLUMNS, COLUMNS], "datatype": "FP64", "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"id": "same", "inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {"inference-header-content-length": str(len(head)), "content-type": "application/octet-stream"}
    direct, queue = (api.post(f"/v2/models/{name}/infer", content=head + raw, headers=headers) for api in apis)
    assert (direct.status_code, seen(direct)) == (queue.status_code, seen(queue))


def test_endpoints_of_other_protocols_take_the_direct_lane(apis: tuple[httpx.Client, httpx.Client]) -> None:
    for path in ("/models/direct-line/invocations", "/v1/models/direct-line:predict"):
        response = apis[0].post(path, json={"instances": [[1, 2, 3]]})
        assert (response.json(), response.headers["celeriac-lane"]) == ({"predictions": [pytest.approx(14, abs=1e-3)]}, "direct")


def seen(response: httpx.Response) -> Any:
    """The response without what identifies a request."""
    if response.status_code == 200:
        return response.content
    return {name: value for name, value in response.json().items() if name not in ("instance", "request_id")}


def ask(url: str, name: str, value: float) -> httpx.Response:
    tensor = {"name": "x", "shape": [1, 1], "datatype": "FP64", "data": [value]}
    return httpx.post(f"{url}/v2/models/{name}/infer", json={"inputs": [tensor]})


@pytest.fixture
def counting(running: Running, tmp_path: Path) -> str:
    """The name of a model that blocks its process for a large input."""
    name = f"counts-{time.time_ns()}"
    publish_folder(Repository(running.models), name, loop_graph(tmp_path / "graph"))
    return name


def until_called(marks: Path, name: str) -> None:
    """Wait until a process is in a call of a version."""
    end = time.monotonic() + BOUND_S
    while not any(path.read_bytes().startswith(name.encode()) for path in marks.glob("*.mark")):
        assert time.monotonic() < end
        time.sleep(0.02)  # another process sets no event of ours


@pytest.mark.parametrize("end", [None, signal.SIGKILL], ids=["blocks", "crashes"])
@pytest.mark.extended
def test_a_graph_that_ends_its_process_takes_the_queue_from_then_on(running: Running, counting: str, end: signal.Signals | None) -> None:
    limits = {"direct_max_ms": 1000, "direct_max_lag_ms": 60000, "direct_stuck_s": 1 if end is None else 600}
    with (
        running.process("api", **limits) as (process, url),
        httpx.Client(base_url=url) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        until_lane(client, counting, "direct")
        assert ask(url, counting, 2.0).headers["celeriac-lane"] == "direct"
        answer = threads.submit(ask, url, counting, math.ldexp(1, 40))
        if end is not None:
            until_called(running.folder / "state" / "direct", counting)
            process.send_signal(end)
        assert process.wait(BOUND_S) == (EXIT_CODE if end is None else -signal.SIGKILL)
        assert isinstance(answer.exception(BOUND_S), httpx.TransportError)
    with running.process("api", **limits) as (_, url), httpx.Client(base_url=url) as client:
        while "An API process died" not in until_lane(client, counting, "queue"):
            pass
        response = ask(url, counting, 2.0)
        assert (response.status_code, response.headers["celeriac-lane"]) == (200, "queue")
