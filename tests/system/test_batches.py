"""Batches that meet with an accident: every row is answered in the end, once, and as in this process."""

from __future__ import annotations

import io
import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest

from app.registry.repository import Repository
from app.runtime.publishing import publish
from tests.misbehaving import DIE, SLEEP, WELL, Moody
from tests.running import Running, wait_until_ready

POOL, MODEL = "batching", "slow"
Batch = dict[str, Any]


@pytest.fixture(scope="module")
def pool(running: Running) -> None:
    """A model in a pool of its own; who wants a worker starts one."""
    publish(
        Repository(running.models),
        Moody(),
        MODEL,
        sample=np.zeros((3, 2)),
        columns=["a", "b"],
        format="joblib",
        pool=POOL,
        promote="production",
    )
    with running.process("worker", pool=POOL, processes=2):
        wait_until_ready(f"{running.url}/v2/models/{MODEL}/ready")


@pytest.fixture(scope="module")
def worker(running: Running, pool: None) -> Iterator[None]:
    with running.process("worker", pool=POOL, processes=2):
        yield


def slow(rows: int, seconds: float = 0.05) -> np.ndarray[Any, Any]:
    """A slice of these takes so long; each row has its own sum."""
    return np.column_stack([np.full(rows, SLEEP), np.full(rows, seconds) - np.arange(rows) / 1e6])


def started(url: str, values: np.ndarray[Any, Any], **more: Any) -> Batch:
    text = "a,b,id\n" + "".join(f"{a!r},{b!r},{at}\n" for at, (a, b) in enumerate(values.tolist()))
    file = httpx.post(f"{url}/v1/files", files={"file": ("rows.csv", text.encode())}).json()["id"]
    answer = httpx.post(f"{url}/v1/batches", json={"model": MODEL, "input": file} | more, timeout=30)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def events(url: str, batch: Batch) -> Iterator[Batch]:
    with httpx.stream("GET", f"{url}/v1/batches/{batch['id']}/events", timeout=60) as stream:
        for line in stream.iter_lines():
            if line.startswith("data:"):
                yield json.loads(line[5:])


def begun(url: str, batch: Batch) -> Batch:
    """The batch when some of it is done, and not all."""
    found = next(one for one in events(url, batch) if one["request_counts"]["completed"])
    assert found["status"] == "in_progress"
    return found


def ended(url: str, batch: Batch) -> Batch:
    *_, last = events(url, batch)
    return last


def answers(url: str, batch: Batch) -> list[tuple[int, float]]:
    content = httpx.get(f"{url}/v1/files/{batch['output_file_id']}/content").text
    head, *lines = content.splitlines()
    assert head == '"id","predict"'
    return [(int(one.strip('"')), float(answer)) for one, answer in (line.split(",") for line in lines)]


def expected(values: np.ndarray[Any, Any]) -> list[tuple[int, float]]:
    return list(enumerate(values.sum(axis=1).tolist()))


@pytest.mark.extended
def test_it_survives_the_death_of_every_worker_and_of_the_api_that_took_it(running: Running, pool: None) -> None:
    values = slow(600)
    with running.process("worker", pool=POOL, processes=2) as (worker, _):
        with running.process("api") as (api, url):
            batch = started(url, values)
            begun(running.url, batch)
            api.send_signal(signal.SIGKILL)
            worker.send_signal(signal.SIGKILL)
            worker.wait(10)
        with running.process("worker", pool=POOL, processes=2):
            batch = ended(running.url, batch)
    assert (batch["status"], batch["request_counts"]) == ("completed", {"total": 600, "completed": 600, "failed": 0})
    assert answers(running.url, batch) == expected(values)


def test_a_row_that_kills_its_worker_ends_alone(running: Running, worker: None) -> None:
    values = np.column_stack([np.full(40, WELL), np.arange(40.0)])
    values[17, 0] = DIE
    batch = ended(running.url, started(running.url, values))
    assert (batch["status"], batch["request_counts"]) == ("completed", {"total": 40, "completed": 39, "failed": 1})
    assert answers(running.url, batch) == [one for one in expected(values) if one[0] != 17]
    [error] = map(json.loads, httpx.get(f"{running.url}/v1/files/{batch['error_file_id']}/content").text.splitlines())
    assert (error["row"], error["code"]) == (17, "worker_lost")


def test_what_was_done_can_be_read_while_it_runs_and_after_it_was_cancelled_and_the_rest_resumed(running: Running, worker: None) -> None:
    values = slow(600, 0.25)
    batch = begun(running.url, started(running.url, values))
    address = f"{running.url}/v1/batches/{batch['id']}"
    first = httpx.get(f"{address}/parts").json()["data"][0]
    part = httpx.get(f"{address}/parts/{first['first']}/content").text.splitlines()
    assert (part[0], len(part) - 1) == ('"id","predict"', first["rows"])
    assert httpx.post(f"{address}/cancel").json()["status"] == "cancelling"
    batch = ended(running.url, batch)
    assert (batch["status"], batch["partial_failure"]) == ("cancelled", True)
    done = answers(running.url, batch)
    assert 0 < len(done) == batch["request_counts"]["completed"] < 600
    assert set(done) < set(expected(values))
    assert done == sorted(done)
    assert httpx.post(f"{address}/resume").json()["status"] == "in_progress"
    batch = ended(running.url, batch)
    assert batch["status"] == "completed"
    assert answers(running.url, batch) == expected(values)
    assert httpx.get(f"{address}/parts").json()["data"] == []


def test_requests_that_were_not_run_in_time_are_reported(running: Running, worker: None) -> None:
    values = slow(100, 0.2)
    url = f"/v2/models/{MODEL}/infer"
    lines = (
        {"custom_id": f"r{at}", "method": "POST", "url": url, "body": {"inputs": [{"name": "input", "datatype": "FP64", "shape": [1, 2], "data": row}]}}
        for at, row in enumerate(values.tolist())
    )  # fmt: skip
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    file = httpx.post(f"{running.url}/v1/files", files={"file": ("requests.jsonl", content)}).json()["id"]
    order = {"input_file_id": file, "endpoint": url, "completion_window": "1s"}
    batch = ended(running.url, httpx.post(f"{running.url}/v1/batches", json=order, timeout=30).json())
    assert batch["status"] == "expired"
    reported = {}
    for which in ("output_file_id", "error_file_id"):
        if batch[which]:
            for line in httpx.get(f"{running.url}/v1/files/{batch[which]}/content").text.splitlines():
                one = json.loads(line)
                reported[one["custom_id"]] = one["error"]["code"] if one["error"] else "answered"
    assert len(reported) == 100
    assert list(reported.values()).count("answered") == batch["request_counts"]["completed"] < 100
    assert set(reported.values()) <= {"answered", "batch_expired"}


def test_what_failed_for_want_of_a_folder_continues_when_it_is_there(running: Running, worker: None) -> None:
    values, later = slow(600), running.folder / "tables" / "later"
    later.mkdir()
    batch = started(running.url, values, output="later/answers.csv", keep=["id"])
    later.rmdir()
    batch = ended(running.url, batch)
    [error] = batch["errors"]["data"]
    assert (batch["status"], "cannot be written" in error["message"]) == ("failed", True)
    later.mkdir()
    httpx.post(f"{running.url}/v1/batches/{batch['id']}/resume").raise_for_status()
    batch = ended(running.url, batch)
    assert batch["status"] == "completed"
    found = np.genfromtxt(io.StringIO((later / "answers.csv").read_text().replace('"', "")), delimiter=",", skip_header=1)
    assert found.tolist() == [[at, answer] for at, answer in expected(values)]


@pytest.mark.extended
def test_a_prediction_is_answered_while_large_files_are_looked_through(running: Running, pool: None) -> None:
    large, row = running.folder / "tables" / "large.csv", b'1.0,2.0,"some, text"\n'
    large.write_bytes(b"a,b,id\n" + row * (150_000_000 // len(row)))
    order = {"model": MODEL, "input": "large.csv"}
    with running.process("worker", pool=POOL, processes=1), ThreadPoolExecutor() as threads:
        creating = [threads.submit(httpx.post, f"{running.url}/v1/batches", json=order, timeout=120) for _ in range(3)]
        try:
            planning = validating(running.url, 3)
            job = httpx.post(f"{running.url}/v1/jobs?wait=60", json={"model": MODEL, "inputs": [[WELL, 1.0]]}, timeout=90).json()
            assert job["state"] == "succeeded"
            assert validating(running.url, 3) == planning
        finally:
            for batch in planning:
                httpx.post(f"{running.url}/v1/batches/{batch}/cancel").raise_for_status()
            large.unlink()
        for one in creating:
            one.result()


def validating(url: str, count: int) -> set[str]:
    """The batches whose files are looked through, once there are this many."""
    end = time.monotonic() + 60
    while True:
        found = {one["id"] for one in httpx.get(f"{url}/v1/batches").json()["data"] if one["status"] == "validating"}
        if len(found) >= count or time.monotonic() > end:
            return found
        time.sleep(0.05)  # batches that others make send us no event


def test_a_file_that_takes_several_jobs_to_look_through_is_answered_whole(running: Running, worker: None) -> None:
    name, rows = running.folder / "tables" / "several.csv", 400_000
    name.write_text("a,b,id\n" + "".join(f'{WELL},{at},"{"x" * 150}"\n' for at in range(rows)))
    order = {"model": MODEL, "input": name.name, "keep": []}
    batch = ended(running.url, httpx.post(f"{running.url}/v1/batches", json=order, timeout=120).json())
    assert (batch["status"], batch["request_counts"]["completed"]) == ("completed", rows)
    content = httpx.get(f"{running.url}/v1/files/{batch['output_file_id']}/content").text
    assert [float(line) for line in content.split()[1:]] == [WELL + at for at in range(rows)]
