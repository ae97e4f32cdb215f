"""Several API processes behind one port, and the end of one."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import redis

from app.store import keys
from tests.misbehaving import SLEEP
from tests.running import Running


def job(model: str, *row: float) -> dict[str, Any]:
    return {"model": model, "inputs": [row]}


@pytest.fixture(scope="module")
def twins(running: Running) -> Iterator[str]:
    """The URL of an API of two processes. Each connection is answered by either."""
    with running.process("api", api_processes=2) as (_, url):
        with redis.Redis.from_url(running.redis_url) as store:
            while len(store.pubsub_channels(keys.reply("*"))) < 3:
                time.sleep(0.05)  # the one is ready before the other, and tells nobody
        yield url


def test_a_job_is_awaited_at_another_process(twins: str, running: Running) -> None:
    submitted = httpx.post(f"{twins}/v1/jobs", json=job("moody", SLEEP, 0.3)).json()
    found = httpx.get(f"{running.url}/v1/jobs/{submitted['id']}?wait=20", timeout=30).json()
    assert found["state"] == "succeeded"
    assert found == httpx.get(f"{twins}/v1/jobs/{submitted['id']}").json()


def test_events_are_sent_by_another_process(twins: str, running: Running) -> None:
    submitted = httpx.post(f"{twins}/v1/jobs", json=job("moody", SLEEP, 0.3)).json()
    stream = httpx.get(f"{running.url}/v1/jobs/{submitted['id']}/events", timeout=30).text
    assert "event: completed" in stream


def test_each_process_gets_its_own_answers(twins: str) -> None:
    def ask(number: int) -> Any:
        body = {"inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [0, number]}]}
        # A connection each, so that the kernel deals them out to both.
        return httpx.post(f"{twins}/v2/models/moody/infer", json=body, timeout=30).json()["outputs"][0]["data"]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(40))) == [[float(number)] for number in range(40)]


def test_metrics_are_the_sum_of_the_processes(twins: str) -> None:
    def counted() -> float:
        lines = httpx.get(f"{twins}/metrics").text.splitlines()
        prefix = 'celeriac_http_requests_total{method="GET",route="/v2",status="200"}'
        return sum(float(line.split()[-1]) for line in lines if line.startswith(prefix))

    before = counted()
    for _ in range(20):
        httpx.get(f"{twins}/v2")
    assert {counted() for _ in range(5)} == {before + 20}


def test_predictions_are_counted(twins: str) -> None:
    httpx.post(f"{twins}/v1/jobs?wait=20", json=job("moody", 0, 1), timeout=30)
    found = httpx.get(f"{twins}/metrics").text
    assert 'celeriac_jobs_submitted_total{kind="job",model="moody",version="1"}' in found
    assert 'celeriac_delivery_rows_count{model="moody",version="1"}' in found


def in_background(work: Callable[[], httpx.Response]) -> Future[httpx.Response]:
    found: Future[httpx.Response] = Future()

    def run() -> None:
        try:
            found.set_result(work())
        except Exception as error:  # noqa: BLE001 - the test that waits for it is told
            found.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return found


@pytest.mark.parametrize(
    ("processes", "number"), [(1, signal.SIGTERM), pytest.param(1, signal.SIGINT, marks=pytest.mark.extended), (2, signal.SIGTERM)]
)
def test_the_end_of_a_process_answers_everyone_who_waits(running: Running, processes: int, number: signal.Signals) -> None:
    with running.process("api", api_processes=processes) as (process, url):
        ids = [httpx.post(f"{running.url}/v1/jobs", json=job("orphan", 0, 1)).json()["id"] for _ in range(2)]
        body = {"inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [SLEEP, 1]}]}
        computed = in_background(lambda: httpx.post(f"{url}/v2/models/moody/infer", json=body, timeout=30))
        held = in_background(lambda: httpx.get(f"{url}/v1/jobs/{ids[0]}?wait=60", timeout=70))
        streamed = in_background(lambda: httpx.get(f"{url}/v1/jobs/{ids[1]}/events", timeout=70))
        with redis.Redis.from_url(running.redis_url) as store:
            watched, held_by_worker = [keys.event(id) for id in ids], f"{keys.PREFIX}{keys.unacked('default')}"
            while not all(count for _, count in store.pubsub_numsub(*watched)) or not store.hlen(held_by_worker):
                time.sleep(0.02)  # until all three are on their way
        began = time.monotonic()
        process.send_signal(number)
        assert computed.result(30).json()["outputs"][0]["data"] == [SLEEP + 1.0]
        assert held.result(30).json()["state"] == "queued"
        assert streamed.result(30).text.endswith(": waiting\n\n")
        assert process.wait(30) == 0
        assert time.monotonic() - began < 10


def test_a_process_that_is_asked_to_stop_works_on_un_ready_until_a_second_signal(running: Running) -> None:
    with running.process("api", api_linger_s=600) as (process, url), httpx.Client(base_url=url, timeout=30) as client:
        assert "connection" not in client.get("/livez").headers
        process.send_signal(signal.SIGTERM)
        while (ready := client.get("/readyz")).status_code == 200:
            time.sleep(0.02)  # a signal tells nobody that it has arrived
        assert (ready.status_code, ready.headers["connection"]) == (503, "close")
        assert client.get("/v2/health/ready").status_code == 503
        done = client.post("/v1/jobs?wait=20", json=job("moody", 0, 1))
        assert (done.json()["state"], done.headers["connection"]) == ("succeeded", "close")
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def test_a_process_that_kubernetes_stops_stays_ready_while_it_lingers(running: Running) -> None:
    with (
        running.process("api", api_linger_s=600, api_linger_ready=True) as (process, url),
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        process.send_signal(signal.SIGTERM)
        while (ready := client.get("/readyz")).headers.get("connection") != "close":
            time.sleep(0.02)  # a signal tells nobody that it has arrived
        assert ready.status_code == 200
        assert client.get("/v2/health/ready").status_code == 200
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def test_a_process_that_lingers_ends_on_its_own(running: Running) -> None:
    with running.process("api", api_linger_s=0.5) as (process, _):
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.mark.extended
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_several_processes_that_linger_end_at_a_second_signal(running: Running, number: signal.Signals) -> None:
    with running.process("api", api_processes=2, api_linger_s=600) as (process, url):
        process.send_signal(number)
        while httpx.get(f"{url}/readyz").status_code == 200:
            time.sleep(0.02)  # a signal tells nobody that it has arrived
        process.send_signal(number)
        assert process.wait(30) == 0


@pytest.mark.extended
def test_the_second_of_two_signals_at_once_is_heard(running: Running) -> None:
    with running.process("api", api_processes=2, api_linger_s=600) as (process, _):
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
