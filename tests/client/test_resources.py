"""The resources of both clients, as a user goes through them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import celeriac
import numpy as np
import pandas as pd
import pytest
import redis
from celeriac import (
    APIError,
    BadRequestError,
    CeleriacError,
    Client,
    ConflictError,
    JobCancelled,
    JobExpired,
    JobFailed,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    Timeout,
)
from sklearn.linear_model import LinearRegression

from app.registry.repository import Repository
from app.runtime.publishing import publish as publish_estimator
from app.store import workers
from tests.client.conftest import Connect
from tests.code import GREETING
from tests.misbehaving import RAISE, Moody
from tests.running import Running, wait_until_ready
from tests.topologies import until
from tests.trainings.conftest import breast_cancer

pytestmark = pytest.mark.slow
PIPELINES = {
    "moody-twice": """
        inputs: [row]
        steps:
          first: {model: moody, inputs: [$inputs.row]}
          second: {model: moody, inputs: [[0.0, $first.0]]}
        output: $second.0
    """,
}


@pytest.fixture(scope="module")
def pipelines(running: Running) -> Iterator[None]:
    """The pipelines, in the folder that the API reads."""
    folder = running.models / ".pipelines"
    folder.mkdir(exist_ok=True)
    for name, text in PIPELINES.items():
        (folder / f"{name}.yaml").write_text(text)
    yield
    for name in PIPELINES:
        (folder / f"{name}.yaml").unlink()


@pytest.fixture
def name() -> str:
    """A name that nothing else has."""
    return f"n-{os.urandom(6).hex()}"


def publish_moody(running: Running, model: str, versions: int = 1) -> str:
    for _ in range(versions):
        publish_estimator(Repository(running.models), Moody(), model, sample=np.zeros((3, 2)), format="joblib")
    wait_until_ready(f"{running.url}/v2/models/{model}/ready")
    return model


@pytest.fixture(scope="module")
def owned(running: Running) -> str:
    """A model that no other file of tests uses."""
    return publish_moody(running, "of-the-clients")


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """A table whose second row cannot be predicted by `moody`."""
    path = tmp_path / "numbers.csv"
    path.write_text(f"a,b\n0,1\n{RAISE},2\n0,3\n")
    return path


# Jobs


def test_the_events_of_a_job_end_with_its_state(client: Client) -> None:
    job = client.submit("moody", [[0.0, 3.0]])
    names = [event.name for event in job.events(timeout=60)]
    assert names[-1] == "completed"
    assert (job.state, job.result()) == ("succeeded", [3.0])


def test_a_job_streams_the_text_of_its_model(client: Client, teller: str) -> None:
    job = client.submit(teller, ["once upon a time"])
    assert "".join(job.stream(timeout=60)).split() == ["once", "upon", "a", "time"]


def test_a_stream_raises_what_the_job_failed_of(client: Client) -> None:
    with pytest.raises(JobFailed, match="not in the mood"):
        list(client.submit("moody", [[float(RAISE), 0.0]]).stream(timeout=60))


def test_a_job_is_read_again(client: Client) -> None:
    job = client.submit("orphan", [[0.0, 0.0]])
    client.jobs.get(job.id).cancel()
    assert (job.state, job.refresh().state) == ("queued", "cancelled")


def test_a_job_whose_deadline_passes_is_expired(client: Client) -> None:
    with pytest.raises(JobExpired):
        client.submit("orphan", [[0.0, 0.0]], deadline_s=1).result(60)


def test_jobs_are_listed_by_state_and_model_over_several_pages(client: Client) -> None:
    cancelled = [client.submit("orphan", [[0.0, 0.0]], deadline_s=600).cancel().id for _ in range(3)]
    listed = [job.id for job in client.jobs.list(state="cancelled", model="orphan", limit=3)]
    assert listed == cancelled[::-1]
    client.map("moody", [[0.0, 1.0]] * 101, chunk_rows=1, progress=False)
    first = client.jobs.list(id_prefix=listed[0], owner="default", kind="prediction", pool="nobody", since="2026-01-01T00:00:00Z")
    assert [job.id for job in first] == listed[:1]
    many = [job.id for job in client.jobs.list(model="moody", limit=101)]
    assert len(set(many)) == 101


def test_a_list_that_is_not_read_to_its_end_leaves_the_client_usable(client: Client) -> None:
    client.submit("moody", [[0.0, 1.0]]).wait(60)
    assert next(iter(client.jobs.list())).done
    assert client.predict("moody", [[0.0, 1.0]]) == [1.0]


def test_a_table_is_submitted_as_a_file_or_as_bytes(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("10,2\n20,3\n")
    assert client.submit_table("moody", path, header="false").result(60) == [12.0, 23.0]
    assert client.submit_table("moody", path.read_bytes(), media_type="text/csv", header="false").result(60) == [12.0, 23.0]


def test_a_failing_chunk_of_a_map_cancels_the_others(client: Client) -> None:
    with pytest.raises(JobFailed, match="not in the mood"):
        client.map("moody", [[float(RAISE), 0.0], *[[0.0, 1.0]] * 5], chunk_rows=1, in_flight=3, progress=False)


def test_any_path_of_the_api_can_be_read(client: Client) -> None:
    assert client.get("/v2")["name"] == "celeriac"
    with pytest.raises(CeleriacError, match="did not return JSON"):
        client.get("/docs")


# Batches and files


def test_a_batch_is_watched_while_it_runs_and_keeps_its_rows(client: Client, numbers: Path, tmp_path: Path) -> None:
    batch = client.batches.start("moody", numbers, format="csv")
    assert [event.name for event in batch.events(timeout=120)][-1] == "completed"
    assert batch.done
    assert batch.record["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
    assert len(batch.download(tmp_path / "answers.csv").read_text().splitlines()) == 3
    errors = batch.download_errors(tmp_path / "errors.jsonl")
    assert errors is not None
    assert "not in the mood" in errors.read_text()
    assert batch.id in repr(batch)
    assert "2 of 3 rows, 1 failed" in batch._repr_html_()


def test_a_batch_is_not_downloaded_over_its_input(client: Client, numbers: Path) -> None:
    batch = client.batches.start("orphan", numbers)
    with pytest.raises(ValueError, match="input"):
        batch.download(numbers)
    batch.cancel()


def test_a_batch_is_cancelled_resumed_and_found_in_the_list(client: Client, numbers: Path) -> None:
    batch = client.batches.start("orphan", numbers)
    with pytest.raises(Timeout):
        batch.wait(0.1)
    with pytest.raises(CeleriacError, match="has no output file"):
        batch.download(numbers.with_name("answers.csv"))
    batch.cancel()
    assert batch.wait(60).status == "cancelled"
    assert batch.resume().status in ("validating", "in_progress")
    assert client.batches.get(batch.id).id == batch.id
    assert [listed.id for listed in client.batches.list(limit=1)] == [batch.id]
    assert batch.cancel().wait(60).done


def test_a_batch_that_does_not_complete_raises_its_reason(running: Running, connect: Connect, client: Client, numbers: Path) -> None:
    def predict() -> None:
        with connect(running.url) as other:
            other.batch("orphan", numbers, numbers.with_name("answers.csv"), progress=False, timeout=120)

    def started() -> list[Any]:
        return [batch for batch in client.batches.list(limit=5) if batch.record["model"].startswith("orphan") and not batch.done]

    with ThreadPoolExecutor(1) as thread:
        predicting = thread.submit(predict)
        until(lambda: bool(started()), "the batch is started")
        started()[0].cancel()
        with pytest.raises(CeleriacError, match=r"Batch batch_\w+ cancelled"):
            predicting.result(120)


def test_a_file_is_uploaded_read_and_deleted(client: Client, numbers: Path, tmp_path: Path) -> None:
    file = client.files.upload(numbers)
    assert client.files.get(file["id"])["bytes"] == numbers.stat().st_size
    assert client.files.download(file["id"], tmp_path / "copy.csv").read_bytes() == numbers.read_bytes()
    client.files.delete(file["id"])
    with pytest.raises(NotFoundError):
        client.files.download(file["id"], tmp_path / "gone.csv")
    assert not (tmp_path / "gone.csv").exists()


# Models and pools


def test_a_model_is_shown_with_its_versions(client: Client) -> None:
    assert client.models.get("diabetes")["name"] == "diabetes"
    assert client.models.version("diabetes", "1")["version"] == "1"
    with pytest.raises(NotFoundError):
        client.models.get("nonesuch")


def test_a_version_is_deleted_unless_it_is_the_newest(client: Client, running: Running, name: str) -> None:
    publish_moody(running, name, versions=2)
    client.models.delete_version(name, "1")
    with pytest.raises(NotFoundError):
        client.models.version(name, "1")
    with pytest.raises(ConflictError):
        client.models.delete_version(name, "2")


def test_a_folder_is_published_and_every_worker_serves_it(client: Client, running: Running, name: str) -> None:
    with running.process("worker"):
        published = client.models.publish(name, GREETING, alias="production", metrics={"error": 1e-05}, key=name)
        assert (published.version, published.inputs, published.outputs) == ("1", {"name": "BYTES"}, {"greeting": "BYTES"})
        assert client.models.publish(name, GREETING, alias="production", metrics={"error": 1e-05}, key=name).version == "1"
        assert client.models.version(name, "1")["metrics"] == {"error": 1e-05}
        with redis.Redis.from_url(running.redis_url) as server:
            until(lambda: sum([name, "1"] in worker.ready for worker in workers.living(server)) == 2, "both workers serve it")
        assert client.predict(f"{name}@production", ["Ada"]) == ["Hello, Ada!"]
        with pytest.raises(ConflictError):
            client.models.publish(name, GREETING, version="1")


def test_an_estimator_is_published_to_a_url(running: Running) -> None:
    rows = pd.DataFrame({"x": [0.0, 1.0, 2.0]})
    estimator = LinearRegression().fit(rows, [1.0, 3.0, 5.0])
    published = celeriac.publish(estimator, "line-by-url", sample=rows, url=running.url, promote="production", metrics={"r2": 1.0})
    assert (published.version, published.format) == ("1", "skops")
    with Client(running.url) as client:
        assert client.predict("line-by-url@production", [{"x": 3.0}]) == pytest.approx([7.0])


def test_options_of_a_folder_are_refused_beside_a_url() -> None:
    with pytest.raises(TypeError, match="are for a folder"):
        celeriac.publish(None, "line", sample=None, url="http://127.0.0.1:1", tolerance=0.1)


def test_what_cannot_be_published_is_refused_before_it_is_sent(client: Client, tmp_path: Path) -> None:
    for model in (tmp_path / "nothing", Path(__file__), object()):
        with pytest.raises(ValueError, match=r"does not exist|supported format|fitted estimator"):
            client.models.publish("nothing", model)


def test_a_model_is_unloaded_and_loaded(client: Client, owned: str) -> None:
    client.models.unload(owned)
    with pytest.raises(APIError, match=r"unloaded|out of service"):
        client.predict(owned, [[0.0, 1.0]])
    client.models.load(owned)
    assert client.predict(owned, [[0.0, 1.0]], timeout=60) == [1.0]


def test_a_model_is_paused_and_resumed(client: Client, owned: str) -> None:
    assert client.models.pause(owned, reason="wrong labels")["pause"]["reason"] == "wrong labels"
    assert client.models.get(owned)["pause"]["reason"] == "wrong labels"
    with pytest.raises(Timeout):
        client.predict(owned, [[0.0, 1.0]], timeout=1)
    assert client.models.resume(owned)["pause"] is None
    assert client.predict(owned, [[0.0, 1.0]], timeout=60) == [1.0]
    with pytest.raises(NotFoundError):
        client.models.pause("nothing")


def test_pools_show_their_workers(client: Client) -> None:
    [pool] = [pool for pool in client.pools.list() if pool["pool"] == "default"]
    assert pool["workers"] >= 1


def test_a_pool_says_how_many_processes_it_wants_and_how_long_its_worker_took_to_start(client: Client) -> None:
    assert client.pools.wanted("default")["reasons"]
    # It comes with the worker's next heartbeat.
    until(lambda: client.pools.wanted("default")["start_s"] > 0, "the worker reports how long it took to start")


def test_a_pool_is_paused_drained_and_resumed(client: Client) -> None:
    assert client.pools.pause("nobody", reason="kernel update")["reason"] == "kernel update"
    assert client.pools.drain("nobody")["state"] == "draining"
    with pytest.raises(ConflictError, match="accepts no new work"):
        client.submit("orphan", [[0.0, 1.0]])
    assert client.pools.resume("nobody")["state"] == "active"
    with pytest.raises(NotFoundError):
        client.pools.pause("nowhere")


# Pipelines


def test_a_pipeline_is_run_and_shown(client: Client, pipelines: None) -> None:
    assert "moody-twice" in [pipeline["name"] for pipeline in client.pipelines.list()]
    assert client.pipelines.get("moody-twice")["name"] == "moody-twice"
    run = client.pipelines.run("moody-twice", {"row": [0.0, 4.0]})
    assert run.result(60) == 4.0
    assert run.model == "moody-twice"


def test_a_failed_run_is_retried_as_another_job(client: Client, pipelines: None) -> None:
    run = client.pipelines.run("moody-twice", {"row": [float(RAISE), 4.0]})
    with pytest.raises(JobFailed):
        run.result(60)
    again = run.retry()
    assert again.id != run.id
    with pytest.raises(JobFailed):
        again.result(60)


# Trainings


@pytest.fixture(scope="module")
def table(running: Running) -> str:
    """The name of a table on the server."""
    breast_cancer().to_csv(running.folder / "tables" / "clients.csv", index=False)
    return "clients.csv"


def test_a_training_publishes_a_version(client: Client, table: str, name: str) -> None:
    fields: dict[str, Any] = {"trainer": "gaussian-nb", "dataset": table, "target": "target", "model": name, "pool": "default"}
    training = client.trainings.start(key=name, **fields)
    assert client.trainings.start(key=name, **fields).id == training.id
    assert training.result(120)["version"] == "1"
    assert client.trainings.get(training.id).state == "succeeded"
    assert [listed.id for listed in client.trainings.list(model=name)] == [training.id]


def test_a_training_is_cancelled(client: Client, table: str, name: str) -> None:
    training = client.trainings.start(trainer="gaussian-nb", dataset=table, target="target", model=name, pool="nobody")
    assert training.cancel().state == "cancelled"
    with pytest.raises(JobCancelled):
        training.result()


def test_trainers_are_listed_with_their_parameters(client: Client) -> None:
    assert "gaussian-nb" in [trainer["name"] for trainer in client.trainings.trainers()]


# Schedules


def test_a_schedule_goes_through_its_life(client: Client, pipelines: None, name: str) -> None:
    run = {"pipeline": {"pipeline": "moody-twice", "inputs": {"row": [0.0, 1.0]}}}
    assert client.schedules.create(name, every_s=3600, run=run)["paused"] is False
    assert client.schedules.pause(name)["paused"] is True
    assert client.schedules.resume(name)["paused"] is False
    client.schedules.run(name)
    [started] = client.schedules.runs(name, limit=5)
    assert client.jobs.get(started["id"]).result(60) == 1.0
    assert name in [schedule["name"] for schedule in client.schedules.list()]
    assert client.schedules.get(name)["every_s"] == 3600
    assert client.schedules.delete(name)["name"] == name
    with pytest.raises(NotFoundError):
        client.schedules.get(name)


# Bulk actions


def test_all_jobs_of_a_model_are_counted_and_cancelled(client: Client) -> None:
    jobs = [client.submit("orphan", [[0.0, 1.0]]) for _ in range(2)]
    assert client.bulk_actions.cancel(model="orphan", dry_run=True)["matching"] >= 2
    record = client.bulk_actions.cancel(model="orphan", state="queued")
    assert client.bulk_actions.wait(record["id"], 60)["done"] >= 2
    assert [job.refresh().state for job in jobs] == ["cancelled", "cancelled"]
    assert record["id"] in [action["id"] for action in client.bulk_actions.list(limit=5)]
    with pytest.raises(BadRequestError):
        client.bulk_actions.cancel()


def test_all_dead_letters_of_a_model_are_replayed(client: Client, letters: list[str], owned: str) -> None:
    record = client.bulk_actions.replay(model=owned, to="orphan")
    assert client.bulk_actions.wait(record["id"], 60)["done"] == len(letters)
    client.bulk_actions.wait(client.bulk_actions.cancel(model="orphan")["id"], 60)


def test_all_dead_letters_of_a_model_are_discarded(client: Client, letters: list[str], owned: str) -> None:
    assert client.bulk_actions.discard(model=owned, dry_run=True)["matching"] == len(letters)
    record = client.bulk_actions.discard(model=owned, error="prediction_failed")
    assert client.bulk_actions.wait(record["id"], 60)["done"] == len(letters)
    assert list(client.dead_letters.list(model=owned)) == []


# Dead letters


@pytest.fixture
def letters(client: Client, owned: str) -> list[str]:
    """Two dead letters of a model of their own, the newest first."""
    client.dead_letters.discard_all(model=owned)
    jobs = [client.submit(owned, [[float(RAISE), float(value)]]).wait(60) for value in range(2)]
    return [job.id for job in jobs[::-1]]


def test_dead_letters_are_selected_and_shown(client: Client, letters: list[str], owned: str) -> None:
    assert [letter["id"] for letter in client.dead_letters.list(model=owned, error="prediction_failed")] == letters
    assert [letter["id"] for letter in client.dead_letters.list(model=owned, limit=1)] == letters[:1]
    assert client.dead_letters.get(letters[0])["inputs"] == [[RAISE, 1.0]]


def test_a_dead_letter_is_replayed_with_other_rows_or_another_model(client: Client, letters: list[str]) -> None:
    assert client.dead_letters.replay(letters[0], rows=[[0.0, 6.0]]).result(60) == [6.0]
    assert client.dead_letters.replay(letters[1], model="orphan").cancel().state == "cancelled"


def test_dead_letters_are_replayed_together(client: Client, letters: list[str], owned: str) -> None:
    replayed = client.dead_letters.replay_all(model=owned, to="orphan")
    assert (len(replayed["jobs"]), replayed["refused"]) == (2, [])
    assert list(client.dead_letters.list(model=owned)) == []


def test_dead_letters_are_discarded_one_by_one_and_together(client: Client, letters: list[str], owned: str) -> None:
    client.dead_letters.discard(letters[0])
    assert client.dead_letters.discard_all(model=owned) == 1
    with pytest.raises(NotFoundError):
        client.dead_letters.get(letters[1])
    with pytest.raises(BadRequestError):
        client.dead_letters.discard_all()


# Webhooks


def test_a_webhook_goes_through_its_life(client: Client, name: str) -> None:
    # Nothing is sent: no job has this model.
    webhook = client.webhooks.register("https://8.8.8.8/hook", events=["completed"], models=[name])
    assert webhook["secret"].startswith("whsec_")
    assert client.webhooks.update(webhook["id"], description="for tests")["description"] == "for tests"
    assert client.webhooks.get(webhook["id"])["models"] == [name]
    assert webhook["id"] in [listed["id"] for listed in client.webhooks.list()]
    assert client.webhooks.deliveries(webhook["id"]) == []
    client.webhooks.delete(webhook["id"])
    with pytest.raises(NotFoundError):
        client.webhooks.get(webhook["id"])


# Keys


@pytest.fixture(scope="module")
def guarded(running: Running) -> Iterator[tuple[str, str]]:
    """The URL of an API that demands keys, and the key of its administrator."""
    settings = {"auth": "keys", "key_prefix": "clients"}
    with running.process("api", **settings) as (_, url):
        environment = running.environment | {f"CELERIAC_{name.upper()}": value for name, value in settings.items()}
        line = [sys.executable, "-m", "app", "keys", "bootstrap"]
        yield url, subprocess.run(line, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_a_key_goes_through_its_life(guarded: tuple[str, str], connect: Connect, name: str) -> None:
    url, admin = guarded
    with connect(url, api_key=admin) as client:
        key = client.keys.create(name, role="viewer", owner="team-a")
        with connect(url, api_key=key["key"]) as viewer, pytest.raises(PermissionDeniedError):
            viewer.keys.list()
        assert client.keys.get(key["id"])["owner"] == "team-a"
        assert client.keys.rotate(key["id"], overlap_s=0)["key"] != key["key"]
        assert client.keys.disable(key["id"])["disabled"] is True
        assert client.keys.enable(key["id"])["disabled"] is False
        assert key["id"] in [listed["id"] for listed in client.keys.list()]
        assert client.keys.delete(key["id"])["id"] == key["id"]
        changes = [entry["action"] for entry in client.audit.list(action="key.*") if entry["targets"][0]["id"] == key["id"]]
        assert changes == ["key.deleted", "key.enabled", "key.disabled", "key.rotated", "key.created"]
        assert client.audit.verify()["valid"] is True
        with pytest.raises(NotFoundError):
            client.keys.get(key["id"])


def test_a_limited_key_is_refused_with_the_time_to_wait(guarded: tuple[str, str], connect: Connect, name: str) -> None:
    url, admin = guarded
    with connect(url, api_key=admin) as client:
        limited = client.keys.create(name, role="user", limits={"requests_per_hour": 1})
        assert client.keys.get(limited["id"])["limits"] == {"requests_per_hour": 1}
    with connect(url, api_key=limited["key"], max_retries=0) as client:
        client.submit("diabetes", [[0.0] * 10])
        with pytest.raises(RateLimitError) as refused:
            client.submit("diabetes", [[0.0] * 10])
    error = refused.value
    assert (error.code, error.policy, error.limit, error.used) == ("rate_limited", "key_requests_per_hour", 1, 1)
    assert error.retry_after is not None
    assert 3000 < error.retry_after <= 3600


def test_the_client_waits_until_the_quota_returns(guarded: tuple[str, str], connect: Connect, name: str) -> None:
    url, admin = guarded
    with connect(url, api_key=admin) as client:
        limited = client.keys.create(name, role="user", limits={"requests_per_second": 1})
    with connect(url, api_key=limited["key"]) as client:
        jobs = {client.submit("diabetes", [[0.0] * 10]).id for _ in range(3)}
        assert len(jobs) == 3, "none of them was refused in the end"
