"""An API process is killed between an event and its delivery: another one delivers."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook as Verifier

from tests.cli.conftest import Celeriac, celeriac
from tests.hooks.conftest import Receiver, receiver
from tests.misbehaving import RAISE
from tests.running import Running

__all__ = ["celeriac", "receiver"]


@pytest.fixture
def here(running: Running, redis_url: str, tmp_path: Path) -> Running:
    """With a Redis of its own: an API process that may not call this machine would take the event from there too."""
    own = {"CELERIAC_REDIS_URL": redis_url, "CELERIAC_STATE": str(tmp_path), "CELERIAC_WEBHOOK_ALLOW_PRIVATE": "1"}
    return Running("", running.models, redis_url, running.environment | own, tmp_path)


def test_what_a_killed_process_was_sending_is_delivered_by_another(
    redis_url: str, sample_models: Path, tmp_path: Path, receiver: Receiver
) -> None:
    own = {
        "CELERIAC_REDIS_URL": redis_url,
        "CELERIAC_MODELS": str(sample_models),
        "CELERIAC_STATE": str(tmp_path),
        "CELERIAC_WEBHOOK_ALLOW_PRIVATE": "1",
        "CELERIAC_WEBHOOK_TIMEOUT_S": "2",
    }
    here = Running("", sample_models, redis_url, os.environ | own, tmp_path)
    with here.process("api") as (process, url):
        secret = httpx.post(f"{url}/v1/webhooks", json={"url": receiver.url}).json()["secret"]
        receiver.holding.clear()
        job = httpx.post(f"{url}/v1/jobs", json={"model": "digits", "inputs": [[0.0] * 64]}).json()["id"]
        httpx.delete(f"{url}/v1/jobs/{job}")
        cut_off = receiver.get()
        process.kill()
        process.wait()
    receiver.holding.set()
    with here.process("api"):
        again = receiver.get(60)
    assert again.headers["webhook-id"] == cut_off.headers["webhook-id"]
    assert Verifier(secret).verify(again.body, again.headers)["data"]["id"] == job


def test_a_worker_that_fails_a_job_reports_its_start_its_end_and_leaves_a_letter_with_the_models_frames(
    here: Running, receiver: Receiver
) -> None:
    with here.process("worker"), here.process("api") as (_, url):
        hook = {"url": receiver.url, "events": ["start", "completed"]}
        job = httpx.post(f"{url}/v1/jobs", json={"model": "moody", "inputs": [[RAISE, 0.0]], "webhook": hook}).json()["id"]
        bodies = sorted((receiver.get().json for _ in range(2)), key=lambda body: str(body["type"]))
        letter = httpx.get(f"{url}/v1/dead-letters/{job}").json()
    assert [(body["type"], body["data"]["state"]) for body in bodies] == [("job.completed", "failed"), ("job.started", "running")]
    assert letter["inputs"] == [[RAISE, 0.0]]
    assert "misbehaving.py" in letter["traceback"]


@pytest.mark.extended
def test_a_batch_reports_its_start_and_its_end_and_one_that_is_refused_nothing(here: Running, receiver: Receiver) -> None:
    with here.process("worker"), here.process("api") as (_, url):
        hook = {"url": receiver.url, "events": ["start", "completed"]}

        def started(text: str) -> httpx.Response:
            file = httpx.post(f"{url}/v1/files", files={"file": ("rows.csv", text.encode())}).json()["id"]
            return httpx.post(
                f"{url}/v1/batches", json={"model": "moody", "input": file, "columns": ["a", "b"], "webhook": hook}, timeout=30
            )

        assert started("a,c\n1,2\n").status_code == 422
        batch = started("a,b\n0,1\n0,2\n").json()["id"]
        second, first = sorted((receiver.get().json for _ in range(2)), key=lambda body: str(body["type"]))
        deliveries = httpx.get(f"{url}/v1/webhooks/default/deliveries").json()["items"]
    assert [(body["type"], body["data"]["id"]) for body in (first, second)] == [("batch.started", batch), ("batch.completed", batch)]
    assert second["data"]["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
    assert {(one["type"], one["batch"]) for one in deliveries} == {("batch.started", batch), ("batch.completed", batch)}


@pytest.mark.extended
def test_a_batch_from_the_command_line_reports_its_end(here: Running, receiver: Receiver, celeriac: Celeriac, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n0,1\n0,2\n")
    with here.process("worker"), here.process("api") as (_, url):
        files = str(tmp_path / "rows.csv"), str(tmp_path / "out.csv")
        ended = celeriac("batch", "run", "moody", *files, "--columns", "a,b", "--webhook", receiver.url, "--json", "--url", url)
        reported = receiver.get().json
    assert (reported["type"], reported["data"]["id"]) == ("batch.completed", ended.json["id"])
    assert receiver.all() == []
