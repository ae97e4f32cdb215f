"""Pipelines as they run: an API and workers of their own, which know the functions of `tests.stepping`."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sklearn.datasets import load_digits

from tests.running import Running

POOL = "piping"
BRANCHES = 1000
PIPELINES = {
    "squares": """
        inputs: [count]
        steps:
          numbers: {run: numbers, inputs: {count: $inputs.count}, pool: piping}
          square: {run: square, each: $numbers, inputs: {number: $item, at: $index}, pool: piping, retries: {max_attempts: 20}}
          total: {run: total, inputs: {squares: $square}, pool: piping}
        output: {total: $total, last: $square.2}
    """,
    "digit": """
        inputs: [pixels]
        steps:
          forest: {model: digits@production, inputs: [$inputs.pixels]}
          sure: {model: digits, method: predict_proba, inputs: [$inputs.pixels]}
          say: {run: note, inputs: {text: $forest.0}, pool: piping}
        output: {digit: $say, sure: $sure.0}
    """,
    "choice": """
        inputs: [size]
        steps:
          small: {run: note, inputs: {text: small}, when: {value: $inputs.size, below: 10}, pool: piping}
          large: {run: note, inputs: {text: large}, when: {value: $inputs.size, at_least: 10}, pool: piping}
          after_large: {run: note, inputs: {text: $large}, pool: piping}
          choose: {run: choose, inputs: {small: $small, large: $after_large}, pool: piping}
        output: $choose
    """,
    "image": """
        inputs: [image]
        steps:
          measure: {run: measure, inputs: {image: $inputs.image}, pool: piping}
        output: $measure
    """,
    "twice": """
        inputs: [counted, file]
        steps:
          count: {run: count, inputs: {file: $inputs.counted}, pool: piping}
          until: {run: until, inputs: {file: $inputs.file}, pool: piping, timeout_s: 1}
        output: [$count, $until]
    """,
    "slow": """
        inputs: [file]
        steps:
          until: {run: until, inputs: {file: $inputs.file}, pool: piping, timeout_s: 60}
          other: {run: until, inputs: {file: $inputs.file}, pool: piping, timeout_s: 60}
          after: {run: note, inputs: {text: $until}, pool: piping}
        output: $after
    """,
    "circle": """
        steps:
          egg: {run: note, inputs: {text: $hen}, pool: piping}
          hen: {run: note, inputs: {text: $egg}, pool: piping}
        output: $hen
    """,
    "modelless": """
        steps:
          asked: {model: nobody, inputs: [[1.0]]}
        output: $asked
    """,
    "unknown": """
        steps:
          lost: {run: no_such_function, pool: piping}
        output: $lost
    """,
    "leaving": """
        steps:
          leave: {run: leave, pool: piping}
        output: $leave
    """,
    "late": """
        steps:
          nobody: {run: note, inputs: {text: never}, pool: nobody}
        output: $nobody
    """,
    "broken": """
        steps:
          lost: {run: one, model: another}
        output: $lost
    """,
}


@dataclass(frozen=True)
class Piping:
    """`url` is of an API that knows the pipelines in `folder`."""

    url: str
    folder: Path
    worker: subprocess.Popen[bytes]
    more_workers: Callable[[], contextlib.AbstractContextManager[tuple[subprocess.Popen[bytes], str]]]

    def run(self, pipeline: str, wait: float = 60, **inputs: Any) -> dict[str, Any]:
        body = {"pipeline": pipeline, "inputs": inputs}
        return dict(httpx.post(f"{self.url}/v1/jobs?wait={wait}", json=body, timeout=70).json())

    def job(self, id: str, wait: float = 0, results: bool = False) -> dict[str, Any]:
        return dict(httpx.get(f"{self.url}/v1/jobs/{id}?wait={wait}&results={str(results).lower()}", timeout=70).json())

    def steps(self, id: str) -> dict[str, dict[str, Any]]:
        return {step["name"]: step for step in self.job(id, results=True)["steps"]}


@pytest.fixture(scope="module")
def piping(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Piping]:
    folder = tmp_path_factory.mktemp("pipelines")
    for name, text in PIPELINES.items():
        (folder / f"{name}.yaml").write_text(text)

    def worker() -> contextlib.AbstractContextManager[tuple[subprocess.Popen[bytes], str]]:
        return running.process("worker", pool=POOL, processes=2, imports="tests.stepping", visibility_timeout_s=2)

    with worker() as (process, _), running.process("api", pipelines=folder) as (_, url):
        yield Piping(url, folder, process, worker)


def test_a_list_is_gone_through_and_joined_in_order(piping: Piping) -> None:
    job = piping.run("squares", count=20)
    assert (job["state"], job["result"]) == ("succeeded", {"total": 2470, "last": {"number": 2, "square": 4, "at": 2}})
    assert piping.steps(job["id"])["square"]["branches"] == {"succeeded": 20}


def test_an_empty_list_is_joined_too(piping: Piping) -> None:
    job = piping.run("squares", count=0)
    # There is no third element to show.
    assert (job["state"], job["error"]["code"]) == ("failed", "invalid_input")
    assert piping.steps(job["id"])["total"]["result"] == 0


def test_models_are_asked_in_parallel_and_as_they_are_asked_alone(piping: Piping, running: Running) -> None:
    pixels = load_digits().data[7].tolist()
    job = piping.run("digit", pixels=pixels)
    alone = httpx.post(f"{running.url}/v1/jobs?wait=30", json={"model": "digits", "inputs": [pixels], "method": "predict_proba"}).json()
    assert job["result"] == {"digit": 7, "sure": alone["result"][0]}


@pytest.mark.parametrize(("size", "found"), [(3, {"small": "small", "large": None}), (30, {"small": None, "large": "large"})])
def test_a_step_whose_condition_does_not_hold_is_skipped(piping: Piping, size: int, found: dict[str, Any]) -> None:
    job = piping.run("choice", size=size)
    assert job["result"] == found
    assert [step["name"] for step in piping.job(job["id"])["steps"] if step["state"] == "skipped"] == (
        ["large", "after_large"] if size < 10 else ["small"]
    )


def test_bytes_go_through_as_they_are_and_prints_are_kept(piping: Piping) -> None:
    image = b"\x89PNG\xff" * 20
    job = piping.run("image", image={"b64": base64.b64encode(image).decode()})
    assert job["result"] == {"bytes": 100, "back": {"b64": base64.b64encode(image[::-1]).decode()}}
    step = piping.steps(job["id"])["measure"]
    assert step["result"] == job["result"]
    assert piping.job(step["job"])["logs"] == "measuring 100 bytes\n"


def test_what_fails_is_reported_with_its_step_and_only_that_is_run_again(piping: Piping, tmp_path: Path) -> None:
    file, counted = tmp_path / "go", tmp_path / "counted"
    job = piping.run("twice", file=str(file), counted=str(counted))
    assert (job["state"], job["error"]["code"]) == ("failed", "time_limit_exceeded")
    assert job["error"]["detail"].startswith("Step 'until': ")
    assert {name: step["state"] for name, step in piping.steps(job["id"]).items()} == {"count": "succeeded", "until": "failed"}
    file.write_text("gone")
    again = httpx.post(f"{piping.url}/v1/jobs/{job['id']}/retry")
    assert again.status_code == 202
    assert piping.job(again.json()["id"], wait=60)["result"] == [1, "gone"]
    assert counted.read_text() == "run\n"
    assert httpx.post(f"{piping.url}/v1/jobs/{again.json()['id']}/retry").json()["code"] == "job_conflict"


def test_progress_of_a_step_is_seen_and_cancelling_ends_all(piping: Piping, tmp_path: Path) -> None:
    job = piping.run("slow", wait=0, file=str(tmp_path / "never"))
    step: dict[str, Any] = {}
    while step.get("progress") is None:
        time.sleep(0.02)  # it is told by another process
        step = piping.steps(job["id"])["until"]
    assert step["progress"] == {"fraction": 0.25, "text": "waiting for never"}
    assert piping.job(job["id"])["state"] == "running"
    assert httpx.delete(f"{piping.url}/v1/jobs/{job['id']}").json()["state"] == "cancelled"
    while {step["state"] for step in piping.job(job["id"])["steps"]} != {"cancelled", "waiting"}:
        time.sleep(0.02)  # by the process that looks after it
    # The processes are free again.
    assert piping.run("squares", count=3)["state"] == "succeeded"


def test_what_cannot_begin_before_the_deadline_ends_the_run(piping: Piping) -> None:
    body = {"pipeline": "late", "deadline_s": 0.2}
    job = httpx.post(f"{piping.url}/v1/jobs?wait=60", json=body, timeout=70).json()
    assert (job["state"], job["error"]["code"]) == ("failed", "deadline_exceeded")


def test_a_run_is_watched_to_its_end(piping: Piping) -> None:
    job = piping.run("squares", wait=0, count=50)
    seen: list[dict[str, Any]] = []
    with httpx.stream("GET", f"{piping.url}/v1/jobs/{job['id']}/events", timeout=70) as stream:
        seen += [json.loads(line[5:]) for line in stream.iter_lines() if line.startswith("data:")]
    assert seen[-1]["state"] == "succeeded"
    fractions = [one["progress"]["fraction"] for one in seen if "progress" in one]
    assert fractions == sorted(fractions)


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        ({"pipeline": "none"}, 404, "pipeline_not_found", "Pipelines: broken, choice"),
        ({"pipeline": "../models"}, 404, "pipeline_not_found", "Pipeline '../models' does not exist"),
        ({"pipeline": "broken"}, 409, "pipeline_unavailable", "broken.yaml, line 3: The step 'lost' must have either run"),
        ({"pipeline": "circle"}, 409, "pipeline_unavailable", "The steps wait for each other: "),
        ({"pipeline": "modelless"}, 404, "model_not_found", "Model 'nobody' does not exist"),
        ({"pipeline": "squares"}, 422, "invalid_input", "Input 'count' is missing"),
        ({"pipeline": "squares", "inputs": {"count": 1, "size": 2}}, 422, "unknown_field", "no input 'size'"),
        ({"pipeline": "squares", "inputs": [1]}, 422, "invalid_input", "must be an object"),
        ({"pipeline": 3}, 422, "invalid_input", "Field pipeline must be a string, not 3"),
        ({"pipeline": "squares", "model": "digits"}, 422, "unknown_field", "'model'"),
    ],
)
def test_a_mistake_is_reported(piping: Piping, body: dict[str, Any], status: int, code: str, words: str) -> None:
    answer = httpx.post(f"{piping.url}/v1/jobs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    ("pipeline", "inputs", "words"),
    [
        ("unknown", {}, "Step 'lost': This worker has no function 'no_such_function'; registered: choose, count"),
        ("squares", {"count": "many"}, "Step 'numbers': TypeError"),
        ("leaving", {}, "Step 'leave': RuntimeError: the code raised SystemExit, which would end the process"),
        ("digit", {"pixels": [1, 2]}, "takes 64 values per row, for example [[1, 2, …], …], not the shape [1, 2]."),
    ],
)
def test_a_step_that_cannot_run_is_reported(piping: Piping, pipeline: str, inputs: dict[str, Any], words: str) -> None:
    job = piping.run(pipeline, **inputs)
    assert job["state"] == "failed"
    assert words in job["error"]["detail"]


def test_the_same_request_is_the_same_run(piping: Piping) -> None:
    body, key = {"pipeline": "squares", "inputs": {"count": 3}}, {"idempotency-key": '"squares-of-three"'}
    first, second = (httpx.post(f"{piping.url}/v1/jobs?wait=30", json=body, headers=key, timeout=70).json() for _ in range(2))
    assert first["id"] == second["id"]
    other = httpx.post(f"{piping.url}/v1/jobs", json={**body, "inputs": {"count": 4}}, headers=key)
    assert other.json()["code"] == "idempotency_mismatch"


def test_pipelines_are_listed_and_drawn(piping: Piping) -> None:
    found = {one["name"]: one for one in httpx.get(f"{piping.url}/v1/pipelines").json()["items"]}
    assert found["squares"]["steps"] == ["numbers", "square", "total"]
    assert "line 3" in found["broken"]["reason"]
    assert "numbers --> square" in httpx.get(f"{piping.url}/v1/pipelines/squares").json()["drawing"]


def test_a_pipeline_whose_model_is_missing_is_listed_with_the_reason(piping: Piping) -> None:
    file = piping.folder / "orphaned.yaml"
    file.write_text("steps:\n  vote: {model: nobody, inputs: [[1]]}\noutput: $vote\n")
    found = {one["name"]: one for one in httpx.get(f"{piping.url}/v1/pipelines").json()["items"]}
    file.unlink()
    assert found["orphaned"]["reason"] == "Step 'vote' cannot run: the model 'nobody' does not exist."
    assert found["orphaned"]["steps"] == ["vote"]
    assert "reason" not in found["squares"]


@pytest.mark.extended
def test_a_join_of_a_thousand_branches_survives_the_death_of_workers_and_of_the_api(piping: Piping, running: Running) -> None:
    with running.process("api", pipelines=piping.folder) as (api, url):
        job = replace(piping, url=url).run("squares", wait=0, count=BRANCHES)
        api.kill()
    ended, killed = threading.Event(), 0

    def wait() -> None:
        while piping.job(job["id"], wait=10)["state"] == "running":
            pass
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    with contextlib.ExitStack() as stack:
        worker = piping.worker
        while killed < 4 and not ended.is_set():
            before = done(piping, job["id"])
            while done(piping, job["id"]) < before + 100 and not ended.wait(0.05):
                pass
            if ended.is_set():
                break
            victims = children_of(worker.pid)[:1]
            if killed % 2:
                # A whole worker: its main process and its children, while another takes over.
                victims = [*children_of(worker.pid), worker.pid]
                worker, _ = stack.enter_context(piping.more_workers())
            for pid in victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            killed += 1
        assert ended.wait(120)
    assert killed >= 2
    found = piping.job(job["id"])
    assert (found["state"], found["result"]["total"]) == ("succeeded", sum(number * number for number in range(BRANCHES)))


def done(piping: Piping, id: str) -> int:
    step: dict[str, Any] = next((one for one in piping.job(id)["steps"] if one["name"] == "square"), {})
    return int(step.get("branches", {}).get("succeeded", 0))


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
