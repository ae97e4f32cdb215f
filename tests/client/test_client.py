"""Both clients against a running system."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
from celeriac import AsyncClient, BadRequestError, Client, ConflictError, ConnectionFailed, JobCancelled, JobFailed, NotFoundError, Timeout
from sklearn.datasets import load_diabetes

from tests.client.blocking import KINDS
from tests.client.conftest import Connect
from tests.client.flaky import FlakyProxy
from tests.misbehaving import RAISE, SLEEP
from tests.running import Running

pytestmark = pytest.mark.slow
ROWS = load_diabetes().data[:5]


@pytest.fixture
def flaky(running: Running) -> Iterator[FlakyProxy]:
    with FlakyProxy(running.url) as made:
        yield made


def test_predict_answers_a_value_for_each_row(client: Client) -> None:
    answers = client.predict("diabetes", ROWS)
    assert len(answers) == 5
    assert answers == pytest.approx(client.predict("diabetes@production", ROWS.tolist()))


def test_a_method_can_be_chosen(client: Client) -> None:
    [shares] = client.predict("breast-cancer", np.zeros((1, 30)), method="predict_proba")
    assert sum(shares) == pytest.approx(1)


def test_a_submitted_job_can_be_found_again_by_its_id(client: Client) -> None:
    job = client.submit("diabetes", ROWS)
    assert client.jobs.get(job.id).result(timeout=60) == job.result(timeout=60)
    assert job.done
    assert job.id in [listed.id for listed, _ in zip(client.jobs.list(model="diabetes"), range(100), strict=False)]


def test_a_job_has_the_service_tier_that_was_chosen(client: Client) -> None:
    job = client.submit("diabetes", ROWS, service_tier="flex")
    assert job.record["service_tier"] == "flex"
    assert job.result(timeout=60) == pytest.approx(client.predict("diabetes", ROWS, service_tier="priority"))
    with pytest.raises(BadRequestError) as unknown:
        client.submit("diabetes", ROWS, service_tier="urgent")
    assert unknown.value.pointer == "/service_tier"


def test_a_failed_job_raises_with_its_code_and_traceback(client: Client) -> None:
    with pytest.raises(JobFailed, match="not in the mood") as caught:
        client.predict("moody", [[float(RAISE), 0.0]])
    assert caught.value.code == "prediction_failed"


def test_a_job_can_be_cancelled(client: Client) -> None:
    job = client.submit("orphan", [[0.0, 0.0]])
    assert job.cancel().state == "cancelled"
    with pytest.raises(JobCancelled):
        job.result()


def test_waiting_ends_after_the_timeout_and_names_the_job(client: Client) -> None:
    with pytest.raises(Timeout) as caught:
        client.predict("moody", [[float(SLEEP), 5.0]], timeout=0.5)
    job = client.jobs.get(str(caught.value.job_id))
    assert job.cancel().id == caught.value.job_id


def test_errors_are_typed_and_name_the_field(client: Client) -> None:
    with pytest.raises(NotFoundError) as missing:
        client.predict("nonesuch", ROWS)
    assert (missing.value.status, missing.value.code) == (404, "model_not_found")
    with pytest.raises(BadRequestError) as wrong:
        client.predict("diabetes", [["ten"] * 10])
    assert wrong.value.pointer == "/inputs/0/0"


def test_a_key_makes_one_job_and_refuses_another_payload(client: Client) -> None:
    key = os.urandom(8).hex()
    first = client.submit("diabetes", ROWS, key=key)
    assert client.submit("diabetes", ROWS, key=key).id == first.id
    with pytest.raises((ConflictError, BadRequestError)):
        client.submit("diabetes", ROWS[:1], key=key)


def test_a_request_whose_answer_was_lost_makes_no_second_job(flaky: FlakyProxy, client: Client, connect: Connect) -> None:
    flaky.lose_answers(1)
    with connect(flaky.url) as proxied:
        job = proxied.submit("diabetes", ROWS[:1])
    assert flaky.lost == 1
    bodies = [request for request in flaky.requests if b"POST /v1/jobs" in request]
    assert len(bodies) == 2
    assert len({line for request in bodies for line in request.split(b"\r\n") if line.lower().startswith(b"idempotency-key")}) == 1
    assert client.jobs.get(job.id).result(60) == pytest.approx(client.predict("diabetes", ROWS[:1]))


def test_a_stream_is_resumed_where_its_connection_broke(teller: str, flaky: FlakyProxy, connect: Connect) -> None:
    with connect(flaky.url) as client:
        flaky.lose_answers(1, path=b"/events")
        assert "".join(client.stream(teller, "once upon a time", timeout=60)).split() == ["once", "upon", "a", "time"]


def test_an_unreachable_server_is_named(connect: Connect) -> None:
    with (
        connect("http://127.0.0.1:9", max_retries=0) as client,
        pytest.raises(ConnectionFailed, match=r"No response from http://127.0.0.1:9"),
    ):
        client.predict("diabetes", ROWS)


def test_map_keeps_the_order_and_the_index(client: Client) -> None:
    frame = load_diabetes(as_frame=True).data
    frame.index = pd.Index([f"patient-{number}" for number in range(len(frame))])
    answers = client.map("diabetes", frame, chunk_rows=50, in_flight=4, progress=False)
    assert list(answers.index) == list(frame.index)
    assert answers.iloc[:5].tolist() == pytest.approx(client.predict("diabetes", frame.iloc[:5]))


def test_a_batch_is_uploaded_predicted_and_downloaded(client: Client, tmp_path: Path) -> None:
    load_diabetes(as_frame=True).data.to_csv(tmp_path / "patients.csv", index=False)
    batch = client.batch("diabetes", tmp_path / "patients.csv", tmp_path / "answers.parquet", progress=False, timeout=120)
    assert batch.status == "completed"
    assert len(pd.read_parquet(tmp_path / "answers.parquet")) == 442
    assert batch.download_errors(tmp_path / "errors") is None


def test_models_and_dead_letters_are_listed(client: Client) -> None:
    assert {"diabetes", "wine"} <= {model["name"] for model in client.models.list()}
    with pytest.raises(JobFailed) as caught:
        client.predict("moody", [[float(RAISE), 1.0]])
    letter = client.dead_letters.get(str(caught.value.job["id"]))
    assert letter["error"]["code"] == "prediction_failed"
    client.dead_letters.discard(str(caught.value.job["id"]))


def test_threads_share_a_client(running: Running) -> None:
    with Client(running.url) as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda row: client.predict("diabetes", [row])[0], ROWS))
        assert answers == pytest.approx(client.predict("diabetes", ROWS))


def test_threads_that_start_together_leave_no_connection_open(running: Running) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(5):
            together = threading.Barrier(8)

            def ask(client: Client, together: threading.Barrier) -> None:
                together.wait(30)
                client.models.list()

            with Client(running.url) as client:
                threads = [threading.Thread(target=ask, args=(client, together)) for _ in range(8)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


def test_a_client_works_in_a_forked_process(running: Running) -> None:
    code = f"""
import os, sys
from celeriac import Client
client = Client({running.url!r})
expected = client.predict("diabetes", [[0.0] * 10])
child = os.fork()
if child == 0:
    os._exit(0 if client.predict("diabetes", [[0.0] * 10]) == expected else 1)
assert client.predict("diabetes", [[0.0] * 10]) == expected
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_the_synchronous_client_works_inside_a_running_loop(running: Running) -> None:
    with Client(running.url) as client:
        assert len(client.predict("diabetes", ROWS)) == 5


async def test_the_asynchronous_client_predicts_concurrently(running: Running) -> None:
    async with AsyncClient(running.url) as client:
        answers = await asyncio.gather(*(client.predict("diabetes", [row.tolist()]) for row in ROWS))
        # How many rows share a call decides the last digit.
        assert [answer for [answer] in answers] == pytest.approx(await client.predict("diabetes", ROWS))


def test_a_job_shows_itself_in_a_notebook(client: Client) -> None:
    job = client.submit("diabetes", ROWS).wait(60)
    assert "succeeded" in job._repr_html_()
    assert job.id in repr(job)


@pytest.mark.parametrize("kind", KINDS)
def test_a_url_without_a_scheme_is_refused(kind: type[Client] | type[AsyncClient]) -> None:
    with pytest.raises(ValueError, match="Use http:// or https://"):
        kind("localhost:8000")


def test_the_key_is_sent_as_a_bearer_token(flaky: FlakyProxy, connect: Connect) -> None:
    with connect(flaky.url, api_key="cel_test") as client:
        client.models.list()
    assert b"authorization: Bearer cel_test" in flaky.requests[0]


def test_the_server_agrees_that_the_job_was_made_once(running: Running, client: Client) -> None:
    key = os.urandom(8).hex()
    job = client.submit("diabetes", ROWS[:1], key=key)
    body = {"model": "diabetes", "inputs": ROWS[:1].tolist()}
    response = httpx.post(f"{running.url}/v1/jobs", json=body, headers={"idempotency-key": f'"{key}"'})
    assert response.json()["id"] == job.id
