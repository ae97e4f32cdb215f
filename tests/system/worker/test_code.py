"""Versions that are Python, published by the command line and asked over HTTP."""

from __future__ import annotations

import base64
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton

from tests.code import GREETING, TROUBLESOME, publish
from tests.running import Running

IMAGE = b"\x89PNG\x00\xff"
Ended = Callable[..., dict[str, Any]]
"""Asks the troublesome model for something; gives the job when it has ended."""


@pytest.fixture(scope="module")
def greeting(running: Running) -> Iterator[str]:
    publish(running, "greeting", GREETING)
    yield "greeting"
    shutil.rmtree(running.models / "greeting")


@pytest.fixture(scope="module")
def troublesome(running: Running) -> Iterator[Ended]:
    publish(running, "troublesome", TROUBLESOME)

    def ended(what: str, **more: Any) -> dict[str, Any]:
        body = {"model": "troublesome", "inputs": [{"what": what, **more}]}
        return dict(httpx.post(f"{running.url}/v1/jobs?wait=30", json=body, timeout=40).json())

    yield ended
    shutil.rmtree(running.models / "troublesome")


def test_a_plain_function_answers_and_its_prints_are_kept(running: Running, greeting: str) -> None:
    job = httpx.post(f"{running.url}/v1/jobs?wait=30", json={"model": greeting, "inputs": ["Ada", "Łukasz"]}).json()
    assert (job["state"], job["result"]) == ("succeeded", ["Hello, Ada!", "Hello, Łukasz!"])
    assert job["logs"] == "greeting Ada\ngreeting Łukasz\n"
    assert httpx.get(f"{running.url}/v1/jobs/{job['id']}").json()["logs"] == job["logs"]


def test_an_image_goes_in_and_comes_out_as_it_is(running: Running, troublesome: Ended) -> None:
    image = {"b64": base64.b64encode(IMAGE).decode()}
    found = troublesome("image", data=image)["result"]
    assert found == {"text": ["6 bytes"], "data": [{"b64": base64.b64encode(IMAGE[::-1]).decode()}]}
    what, data = triton.InferInput("what", [1], "BYTES"), triton.InferInput("data", [1], "BYTES")
    what.set_data_from_numpy(np.array(["image"], dtype=object))
    data.set_data_from_numpy(np.array([IMAGE], dtype=object))
    with triton.InferenceServerClient(running.url.removeprefix("http://")) as client:
        answer = client.infer("troublesome", [what, data])
    assert answer.as_numpy("data").tolist() == [IMAGE[::-1]]


def test_it_is_loaded_in_the_process_that_asks_it(troublesome: Ended) -> None:
    assert troublesome("where")["result"]["text"] == ["here"]


def test_its_end_of_what_it_prints_and_logs_is_kept(troublesome: Ended) -> None:
    logs = troublesome("print")["logs"]
    assert logs.endswith("x" * 1000 + "\n")
    assert len(logs) == 1 + 8192


def test_what_it_raises_shows_its_own_frames_to_who_runs_it(running: Running, troublesome: Ended) -> None:
    job = troublesome("raise")
    assert (job["error"]["code"], job["error"]["detail"]) == ("prediction_failed", "troublesome@1 raised ValueError: it stumbled")
    letter = httpx.get(f"{running.url}/v1/dead-letters/{job['id']}").json()
    assert "in stumble" in letter["traceback"]
    assert "app/runtime" not in letter["traceback"]


@pytest.mark.parametrize(
    ("what", "reported"),
    [
        ("exit", "RuntimeError: the code raised SystemExit, which would end the process"),
        ("interrupt", "RuntimeError: the code raised KeyboardInterrupt, which would end the process"),
        ("mute", "Mute: its message cannot be read"),
        ("surrogate", "ValueError: half \\ud83d a sign"),
        ("stop", "StopIteration"),
    ],
)
def test_an_exception_of_the_code_is_the_error_of_the_job(running: Running, troublesome: Ended, what: str, reported: str) -> None:
    job = troublesome(what)
    assert job["error"] == {"code": "prediction_failed", "detail": f"troublesome@1 raised {reported}"}
    traceback = httpx.get(f"{running.url}/v1/dead-letters/{job['id']}").json()["traceback"]
    assert "in predict" in traceback
    assert "app/runtime" not in traceback


def test_what_it_prints_is_kept_whatever_it_is(troublesome: Ended) -> None:
    assert troublesome("print a surrogate")["logs"].startswith("half \\ud83d a sign")


@pytest.mark.parametrize(("what", "code"), [("hoard", "out_of_memory"), ("sleep", "time_limit_exceeded")])
def test_its_memory_and_time_are_bounded(troublesome: Ended, what: str, code: str) -> None:
    assert troublesome(what)["error"]["code"] == code
    assert troublesome("nothing")["state"] == "succeeded"


def test_its_progress_is_seen_by_who_watches(running: Running, troublesome: Ended, tmp_path: Path) -> None:
    body = {"model": "troublesome", "inputs": [{"what": f"wait for {tmp_path / 'go'}"}]}
    id = httpx.post(f"{running.url}/v1/jobs", json=body).json()["id"]
    with httpx.stream("GET", f"{running.url}/v1/jobs/{id}/events") as stream:
        for line in stream.iter_lines():
            if line == "event: progress":
                (tmp_path / "go").touch()
            if line == "event: completed":
                break
        else:
            raise AssertionError("it was never told")
    job = httpx.get(f"{running.url}/v1/jobs/{id}").json()
    assert (job["state"], job["progress"]) == ("succeeded", {"fraction": 0.5, "text": "half way"})


def test_what_a_worker_cannot_load_is_unavailable_with_the_reason(running: Running, tmp_path: Path) -> None:
    shutil.copytree(GREETING, tmp_path / "model")
    (tmp_path / "model" / "model.yaml").write_text((GREETING / "model.yaml").read_text() + "load: child\n")
    with (tmp_path / "model" / "model.py").open("a") as code:
        # Where it is published there is no such variable.
        code.write("import os\nif 'CELERIAC_WORKER_PORT' in os.environ:\n    raise OSError('there is no device')\n")
    publish(running, "homesick", tmp_path / "model", ready=False)
    try:
        state: dict[str, Any] = {}
        while state.get("state") != "UNAVAILABLE":
            time.sleep(0.05)  # a worker tries it, and another process is told
            state = httpx.get(f"{running.url}/v1/models/homesick/versions/1").json()
        assert "cannot be loaded: OSError: there is no device (line " in state["reason"]
    finally:
        shutil.rmtree(running.models / "homesick")
