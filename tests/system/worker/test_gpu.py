"""A pool of one process, whose model is loaded in that process and has little room; it is like a device, without one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import onnxruntime
import pytest

from tests.code import SCARCE, publish
from tests.running import Running, wait_until_ready
from tests.runtime.test_graph import graph

WAITS, TOO_MUCH = -1.0, -2.0


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gpu")


@pytest.fixture(scope="module")
def worker(running: Running, state: Path) -> Iterator[tuple[int, str]]:
    """The process id of its parent, and its URL."""
    publish(running, "scarce", SCARCE, ready=False)
    with running.process("worker", pool="gpu", processes=1, state=state, device="auto") as (process, url):
        wait_until_ready(f"{running.url}/v2/models/scarce/ready")
        yield process.pid, url
    shutil.rmtree(running.models / "scarce")


def ask(running: Running, *rows: float, wait: float = 30) -> dict[str, Any]:
    body = {"model": "scarce", "inputs": list(rows)}
    return dict(httpx.post(f"{running.url}/v1/jobs?wait={wait}", json=body, timeout=40).json())


def out_of_memory(url: str) -> float:
    """Calls for which memory was short."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("celeriac_out_of_memory_total{"))


def test_a_bare_graph_is_served(running: Running) -> None:
    folder = running.models / "sums" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(graph())
    try:
        wait_until_ready(f"{running.url}/v2/models/sums/ready")
        about = httpx.get(f"{running.url}/v2/models/sums").json()
        assert (about["platform"], [one["name"] for one in about["outputs"]]) == ("onnxruntime_onnx", ["sum", "same"])
        body = {"model": "sums", "inputs": [[[1, 2], "a"], [[3, 4], "b"]]}
        job = httpx.post(f"{running.url}/v1/jobs?wait=30", json=body, timeout=40).json()
        assert job["result"] == {"sum": [3.0, 7.0], "same": ["a", "b"]}
    finally:
        shutil.rmtree(running.models / "sums")


@pytest.mark.extended
@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this machine has CUDA")
def test_a_pool_that_is_to_run_on_a_device_says_that_it_has_none(running: Running, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graph())
    (tmp_path / "model.yaml").write_text("pool: cuda")
    publish(running, "graph", tmp_path, ready=False)
    try:
        with running.process("worker", pool="cuda", processes=1, device="cuda"):
            found: dict[str, Any] = {}
            while found.get("state") != "UNAVAILABLE":
                time.sleep(0.05)  # a worker tries it, and another process is told
                found = httpx.get(f"{running.url}/v1/models/graph/versions/1").json()
        assert found["reason"].startswith("CELERIAC_DEVICE is cuda, but this ONNX Runtime supports only the CPU")
    finally:
        shutil.rmtree(running.models / "graph")


def test_the_model_is_loaded_in_the_process_that_answers_and_not_in_its_parent(
    running: Running, worker: tuple[int, str], state: Path
) -> None:
    parent, _ = worker
    [pid] = ask(running, 1.0)["result"]["pid"]
    assert pid in map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
    loaded = set(map(int, (state / "scarce-loaded-in").read_text().split()))
    assert pid in loaded
    assert parent not in loaded


def test_rows_for_which_memory_is_short_are_halved_and_the_process_lives(running: Running, worker: tuple[int, str]) -> None:
    before, [pid] = out_of_memory(worker[1]), ask(running, 1.0)["result"]["pid"]
    result = ask(running, *map(float, range(10)))["result"]
    assert result["double"] == [2.0 * row for row in range(10)]
    assert result["rows"] == [2, 2, 3, 3, 3, 2, 2, 3, 3, 3]
    assert out_of_memory(worker[1]) == before + 3
    assert set(result["pid"]) == {pid}


@pytest.mark.extended
def test_so_are_those_of_a_step_of_a_pipeline(running: Running, worker: tuple[int, str], tmp_path: Path) -> None:
    (tmp_path / "doubled.yaml").write_text("inputs: [rows]\nsteps:\n  ask: {model: scarce, inputs: $inputs.rows}\noutput: $ask\n")
    before = out_of_memory(worker[1])
    with running.process("api", pipelines=tmp_path) as (_, url):
        body = {"pipeline": "doubled", "inputs": {"rows": list(range(10))}}
        job = httpx.post(f"{url}/v1/jobs?wait=30", json=body, timeout=40).json()
    assert job["state"] == "succeeded", job
    assert (job["result"]["double"], job["result"]["rows"]) == ([2.0 * row for row in range(10)], [2, 2, 3, 3, 3, 2, 2, 3, 3, 3])
    assert out_of_memory(worker[1]) == before + 3


def test_a_row_that_is_too_much_alone_fails_and_harms_no_other(running: Running, worker: tuple[int, str]) -> None:
    job = ask(running, TOO_MUCH)
    assert (job["state"], job["error"]["code"]) == ("failed", "out_of_memory")
    assert ask(running, 4.0)["result"]["double"] == [8.0]


def test_jobs_that_wait_travel_together_and_know_when_they_may_start(running: Running, worker: tuple[int, str], state: Path) -> None:
    held = ask(running, WAITS, wait=0)
    with ThreadPoolExecutor(9) as pool:
        # One more may leave alone; those after it gather for up to a second.
        jobs = list(pool.map(lambda row: ask(running, float(row), wait=0), range(9)))
    waiting = [httpx.get(f"{running.url}/v1/jobs/{job['id']}").json() for job in jobs]
    assert sorted(job["queue_position"] for job in waiting) == list(range(1, 10))
    assert all(job["estimated_start_s"] > 0 for job in waiting)
    (state / "scarce-go").touch()
    ended = [httpx.get(f"{running.url}/v1/jobs/{job['id']}?wait=30", timeout=40).json() for job in [held, *jobs]]
    assert [job["result"]["double"] for job in ended] == [[2 * WAITS], *([2.0 * row] for row in range(9))]
    assert max(job["result"]["rows"][0] for job in ended) > 1
    assert "estimated_start_s" not in ended[0]
