"""A worker as it runs: what its processes share, what happens when one dies, and how new versions come."""

from __future__ import annotations

import copy
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import redis
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import ExtraTreesRegressor

from app.registry.repository import Repository
from app.runtime.publishing import publish
from app.store import keys
from tests.misbehaving import DEAF, SLEEP, WELL, Moody
from tests.running import Running

POOL = "apart"
TIMEOUT_S = 180.0
Worker = tuple[subprocess.Popen[bytes], str]


@pytest.fixture(scope="module")
def worker(running: Running) -> Iterator[Worker]:
    """A worker of one process in a pool of its own, which holds `restless` and nothing else."""
    publish(Repository(running.models), Moody(), "restless", sample=np.zeros((3, 2)), format="joblib", pool=POOL, time_limit_s=60)
    with running.process("worker", pool=POOL, processes=1, cancel_grace_s=0.5) as found:
        until(lambda: httpx.get(f"{running.url}/v2/models/restless/ready").status_code == 200)
        yield found


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not done():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)  # other processes set no event of ours


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def shared_out(pid: int) -> float:
    """Proportional set size in MiB: pages that n processes share count a n-th in each."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024


def sleep_for(running: Running, seconds: float, mood: int = SLEEP) -> str:
    body = {"model": "restless", "inputs": [[mood, seconds]]}
    id = str(httpx.post(f"{running.url}/v1/jobs", json=body).raise_for_status().json()["id"])
    until(lambda: httpx.get(f"{running.url}/v1/jobs/{id}").json()["state"] == "running")
    return id


def test_a_process_that_dies_is_replaced_and_its_job_is_run_again(running: Running, worker: Worker) -> None:
    (child,) = children(worker[0].pid)
    job = sleep_for(running, 2)
    os.kill(child, signal.SIGKILL)
    found = httpx.get(f"{running.url}/v1/jobs/{job}?wait=50", timeout=60).json()
    assert (found["state"], found["attempt"]) == ("succeeded", 2)
    assert children(worker[0].pid) != [child]


def test_the_lease_of_what_runs_is_renewed(running: Running, worker: Worker) -> None:
    sleep_for(running, 10)
    with redis.Redis.from_url(running.redis_url) as store:
        index = keys.held(POOL)[1]
        [(tag, first)] = store.zrange(index, 0, -1, withscores=True)
        score = first
        while score == first:
            time.sleep(0.05)  # another process sets no event of ours
            score = store.zscore(index, tag) or 0.0
    assert score > first, "the work ended, and its lease was never renewed"


def test_a_running_job_that_is_cancelled_gives_its_process_back(running: Running, worker: Worker) -> None:
    job = sleep_for(running, 50)
    assert httpx.delete(f"{running.url}/v1/jobs/{job}").json()["state"] == "cancelled"
    after = httpx.post(f"{running.url}/v1/jobs?wait=20", json={"model": "restless", "inputs": [[0, 1]]}, timeout=30).json()
    assert after["result"] == [1.0]


def test_one_that_does_not_listen_is_killed_and_those_that_travel_with_it_lose_no_attempt(running: Running, worker: Worker) -> None:
    def submit(mood: int) -> str:
        return str(httpx.post(f"{running.url}/v1/jobs", json={"model": "restless", "inputs": [[mood, 50]]}).json()["id"])

    def state(job: str) -> str:
        return str(httpx.get(f"{running.url}/v1/jobs/{job}").json()["state"])

    company = list[str]()
    while not company:
        sleep_for(running, 2)
        with ThreadPoolExecutor(9) as pool:
            # While the process is busy they gather, but for one that may leave alone: where it is this one, again.
            deaf, *others = pool.map(submit, [DEAF] + [WELL] * 8)
        until(lambda deaf=deaf: state(deaf) == "running")  # type: ignore[misc]
        company = [job for job in others if state(job) == "running"]
        (child,) = children(worker[0].pid)
        assert httpx.delete(f"{running.url}/v1/jobs/{deaf}").json()["state"] == "cancelled"
    ended = [httpx.get(f"{running.url}/v1/jobs/{job}?wait=40", timeout=50).json() for job in company]
    assert {(job["state"], job["attempt"]) for job in ended} == {("succeeded", 1)}
    assert state(deaf) == "cancelled"
    assert children(worker[0].pid) != [child]


def test_a_worker_that_is_asked_to_stop_ends_what_runs(running: Running, worker: Worker) -> None:
    with running.process("worker", pool=POOL, processes=1) as (second, _):
        jobs = [sleep_for(running, 1.5), sleep_for(running, 1.5)]
        second.send_signal(signal.SIGTERM)
        assert second.wait(30) == 0
    ended = [httpx.get(f"{running.url}/v1/jobs/{job}?wait=30", timeout=40).json() for job in jobs]
    assert [(one["state"], one["attempt"]) for one in ended] == [("succeeded", 1), ("succeeded", 1)]


def test_a_new_version_answers_without_a_restart_and_without_a_gap(running: Running, worker: Worker) -> None:
    """Under a steady load every request is answered, by the old version until the new one can."""
    rows, repository = np.zeros((3, 2)), Repository(running.models)
    constant = [DummyRegressor(strategy="constant", constant=value).fit(rows, [0, 0, 0]) for value in (1.0, 2.0)]
    publish(repository, constant[0], "constant", sample=rows, pool=POOL, promote="production")
    body = {"inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [0, 0]}]}
    until(lambda: httpx.get(f"{running.url}/v2/models/constant/ready").status_code == 200)
    answers: list[tuple[int, float]] = []
    changed = threading.Event()

    def ask() -> None:
        with httpx.Client(timeout=30) as client:
            while not changed.is_set():
                found = client.post(f"{running.url}/v2/models/constant/infer", json=body)
                answers.append((found.status_code, found.json()["outputs"][0]["data"][0] if found.status_code == 200 else 0.0))
                if answers[-1][1] == 2.0:
                    changed.set()

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: len(answers) > 5)
    publish(repository, constant[1], "constant", sample=rows, pool=POOL, promote="production")
    asking.join(TIMEOUT_S)
    assert changed.is_set()
    assert {status for status, _ in answers} == {200}
    values = [value for _, value in answers]
    assert values == sorted(values)


@pytest.fixture
def broken(running: Running) -> Iterator[None]:
    folder = running.models / "broken"
    folder.mkdir()
    (folder / "model.joblib").write_bytes(b"no model")
    yield
    shutil.rmtree(folder)


def test_a_broken_version_is_reported_and_the_others_are_served(running: Running, worker: Worker, broken: None) -> None:
    until(lambda: "cannot be loaded" in httpx.get(f"{running.url}/v1/models/broken").text)
    (version,) = httpx.get(f"{running.url}/v1/models/broken").json()["versions"]
    assert version["state"] == "UNAVAILABLE"
    refused = httpx.post(f"{running.url}/v1/jobs", json={"model": "broken", "inputs": [[1]]})
    assert (refused.status_code, refused.json()["code"]) == (409, "model_unavailable")
    assert httpx.get(f"{running.url}/v2/models/restless/ready").status_code == 200


@pytest.mark.extended
def test_a_further_process_costs_a_tenth_of_a_big_model_at_most(running: Running, tmp_path: Path) -> None:
    """A forest of some hundred MiB is loaded once, before the fork, and its pages are shared."""
    rows = np.random.default_rng(0).normal(size=(30_000, 8))
    forest = ExtraTreesRegressor(1, random_state=0).fit(rows, rows[:, 0])
    forest.estimators_ = [copy.deepcopy(forest.estimators_[0]) for _ in range(60)]
    forest.set_params(n_estimators=60)
    manifest = publish(Repository(tmp_path), forest, "forest", sample=rows[:3], format="joblib", pool="big")
    size = (tmp_path / "forest" / manifest.version / manifest.artifact).stat().st_size / 2**20
    del forest
    used = {}
    # What a tracer of this test run keeps in each process is not the model's.
    environment = {name: value for name, value in running.environment.items() if not name.startswith("COVERAGE")}
    untraced = replace(running, environment=environment)
    for processes in (1, 3):
        with untraced.process("worker", pool="big", processes=processes, models=tmp_path, key_prefix="big") as (parent, url):
            until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
            until(lambda: len(children(parent.pid)) == processes)  # noqa: B023
            time.sleep(1)  # until the last child has warmed up, which nobody tells
            used[processes] = sum(map(shared_out, [parent.pid, *children(parent.pid)]))
    each = (used[3] - used[1]) / 2
    print(f"\nmodel {size:.0f} MiB on disk; {used[1]:.0f} MiB with one process, {each:.0f} MiB for each further one")
    assert size > 150
    assert each < 0.1 * size


def test_the_store_forgets_a_worker_that_stops(running: Running) -> None:
    with running.process("worker", pool="short", processes=1), redis.Redis.from_url(running.redis_url) as store:
        until(lambda: any(b"short@" in name for name in store.hkeys("celeriac:workers")))
    assert not any(b"short@" in name for name in store.hkeys("celeriac:workers"))
