"""Trainings on the running system: from a table to a version that is served."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from celeriac_cli.errors import Exit

from app.registry.repository import Repository
from tests.cli.conftest import Celeriac, Ended
from tests.cli.conftest import celeriac as celeriac
from tests.running import TIMEOUT_S, Running
from tests.trainings.conftest import breast_cancer

GATE = {"accuracy": {"at_least": 0.9, "not_worse_than": "production"}}


@pytest.fixture(scope="module")
def worker(running: Running) -> Iterator[str]:
    """The URL of the worker that trains."""
    tables = running.folder / "tables"
    tables.mkdir(exist_ok=True)
    breast_cancer().to_csv(tables / "cancer.csv", index=False)
    with running.process("worker", pool="training", processes=1, imports="tests.trainers") as (_, url):
        yield url


@pytest.fixture(scope="module")
def api(running: Running, worker: str) -> Iterator[httpx.Client]:
    """Of an API that knows of the workers' own trainers."""
    with running.process("api", imports="tests.trainers") as (_, url), httpx.Client(base_url=url, timeout=90) as found:
        yield found


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Of a model that no other test has."""
    return str(request.node.name)[5:60].partition("[")[0].lower()


def training(model: str, **more: Any) -> dict[str, Any]:
    return {"trainer": "logistic-regression", "dataset": "cancer.csv", "target": "target", "model": model, **more}


def submit(api: httpx.Client, body: dict[str, Any], **options: Any) -> dict[str, Any]:
    answer = api.post("/v1/trainings", json=body, **options)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/trainings/{answer.json()['id']}"
    return dict(answer.json())


def ended(api: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    """A training with a gate may wait longer for a worker than one request may."""
    end = time.monotonic() + TIMEOUT_S
    while True:
        found = dict(api.get(f"/v1/trainings/{job['id']}?wait=60").json())
        if found["state"] not in ("queued", "running") or time.monotonic() > end:
            return found


def until(look: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not look():
        assert time.monotonic() < end
        time.sleep(0.02)  # another process sets no event of ours


def versions(running: Running, name: str) -> list[str]:
    repository = Repository(running.models)
    return repository.versions(name) if name in repository.models() else []


def test_a_table_becomes_a_version_that_is_served_at_once(api: httpx.Client, name: str) -> None:
    job = ended(api, submit(api, training(name, promote_if=GATE)))
    assert (job["state"], job["kind"], job["model"]) == ("succeeded", "training", name)
    assert job["request"]["dataset"] == "cancer.csv"
    assert (job["result"]["version"], job["result"]["gate"]["promoted"]) == ("1", True)
    row = breast_cancer().drop(columns="target").iloc[0].tolist()
    answer = api.post("/v1/jobs?wait=30", json={"model": f"{name}@production", "inputs": [row]}).json()
    assert (answer["version"], answer["result"]) == ("1", [0])
    until(lambda: api.get(f"/v1/models/{name}").json()["versions"][0]["state"] == "READY")
    shown = api.get(f"/v1/models/{name}/versions/1").json()
    assert shown["provenance"]["job"] == job["id"]
    assert shown["metrics"] == job["result"]["metrics"]


def test_production_moves_when_a_worker_serves_the_version(running: Running, api: httpx.Client, name: str) -> None:
    ended(api, submit(api, training(name, promote_if=GATE)))
    until(lambda: api.get(f"/v1/models/{name}").json()["versions"][0]["state"] == "READY")
    gate = ended(api, submit(api, training(name, promote_if=GATE)))["result"]["gate"]
    assert (gate["promoted"], gate["state"], gate["before"]) == (True, "served", "1"), gate
    assert Repository(running.models).aliases(name) == {"production": "2"}
    until(lambda: api.get(f"/v1/models/{name}").json()["aliases"] == {"production": "2"})


def test_the_gate_refuses_what_is_worse(running: Running, api: httpx.Client, name: str) -> None:
    ended(api, submit(api, training(name, promote_if=GATE)))
    job = ended(api, submit(api, training(name, promote_if=GATE, columns=["mean_symmetry"])))
    gate = job["result"]["gate"]
    assert (job["state"], job["result"]["version"], gate["promoted"]) == ("succeeded", "2", False)
    assert "below" in gate["reason"]
    assert Repository(running.models).aliases(name) == {"production": "1"}


def test_a_worker_process_that_is_killed_trains_once(running: Running, api: httpx.Client, name: str, tmp_path: Path) -> None:
    job = ended(api, submit(api, training(name, trainer="mortal", params={"dies_beside": str(tmp_path / "died")})))
    assert (job["state"], job["attempt"]) == ("succeeded", 2)
    assert versions(running, name) == ["1"]
    assert [path.name for path in (running.models / name).iterdir() if path.name.startswith(".staging")] == []


@pytest.mark.extended
def test_a_whole_worker_that_is_killed_trains_once(running: Running, api: httpx.Client, name: str, tmp_path: Path) -> None:
    # Its pool process may outlive it, and publish too: whoever comes first, there is one version.
    options = {"pool": "doomed", "processes": 1, "imports": "tests.trainers"}
    with running.process("worker", **options) as (doomed, _):
        job = submit(api, training(name, trainer="patient", params={"until": str(tmp_path / "go")}, pool="doomed"))
        until((tmp_path / "go.began").exists)
        doomed.kill()
        doomed.wait()
        with running.process("worker", **options):
            (tmp_path / "go").touch()
            assert ended(api, job)["state"] == "succeeded"
    assert versions(running, name) == ["1"]


def test_a_training_that_is_cancelled_leaves_no_version(running: Running, api: httpx.Client, name: str, tmp_path: Path) -> None:
    job = submit(api, training(name, trainer="patient", params={"until": str(tmp_path / "go")}))
    until((tmp_path / "go.began").exists)
    assert api.delete(f"/v1/trainings/{job['id']}").json()["state"] == "cancelled"
    # The worker is free again: it was interrupted, and does not wait for the file.
    ended(api, submit(api, training(f"{name}-next")))
    assert versions(running, name) == []
    assert not (running.models / name).exists()


def test_a_training_that_takes_too_long_is_ended(running: Running, api: httpx.Client, name: str, tmp_path: Path) -> None:
    job = ended(api, submit(api, training(name, trainer="patient", params={"until": str(tmp_path / "go")}, time_limit_s=0.5)))
    assert (job["state"], job["error"]["code"]) == ("failed", "time_limit_exceeded")
    assert versions(running, name) == []


def test_what_a_trainer_raises_is_reported(api: httpx.Client, name: str) -> None:
    job = ended(api, submit(api, training(name, trainer="fallible")))
    assert (job["state"], job["error"]) == ("failed", {"code": "work_failed", "detail": "RuntimeError: no sun today"})


def test_progress_is_reported_for_each_fold(api: httpx.Client, name: str) -> None:
    body = training(name, trainer="random-forest-classifier", params={"n_estimators": 60}, cv=8)
    with api.stream("GET", f"/v1/trainings/{submit(api, body)['id']}/events") as answer:
        lines = [line for line in answer.iter_lines() if line.startswith("data:")]
    assert any('"text":"fold ' in line for line in lines)
    assert '"state":"succeeded"' in lines[-1]


def test_the_same_request_again_is_the_same_training(api: httpx.Client, name: str) -> None:
    headers = {"Idempotency-Key": f'"{name}-again"'}
    first = submit(api, training(name), headers=headers)
    assert submit(api, training(name), headers=headers)["id"] == first["id"]
    other = api.post("/v1/trainings", json=training(name, cv=3), headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


def test_trainings_are_listed_by_model(api: httpx.Client, name: str) -> None:
    ids = [submit(api, training(name, trainer="gaussian-nb"))["id"] for _ in range(3)]
    first = api.get(f"/v1/trainings?model={name}&limit=2").json()
    rest = api.get(f"/v1/trainings?model={name}&limit=2&cursor={first['next']}").json()
    assert [one["id"] for one in (*first["items"], *rest["items"])] == ids[::-1]
    assert api.get("/v1/trainings?cursor=x").status_code == 422


def test_a_prediction_is_not_a_training(api: httpx.Client) -> None:
    job = api.post("/v1/jobs", json={"model": "diabetes", "inputs": [[0] * 10]}).json()
    assert api.get(f"/v1/trainings/{job['id']}").status_code == 404


def test_a_training_that_no_worker_can_take_says_so(api: httpx.Client, name: str) -> None:
    job = submit(api, training(name, pool="far-away"))
    assert "No worker of pool 'far-away' is running" in job["waits_for"]
    assert api.delete(f"/v1/trainings/{job['id']}").json()["state"] == "cancelled"


@pytest.mark.parametrize(
    ("more", "status", "pointer"),
    [
        ({"trainer": "sklearn.svm.NuSVC"}, 422, "/trainer"),
        ({"params": {"n_jobs": 4}}, 422, "/params/n_jobs"),
        ({"dataset": "../cancer.csv"}, 422, "/dataset"),
        ({"dataset": "nowhere.csv"}, 404, "/dataset"),
        ({"dataset": "file-0000000000000000"}, 404, None),
        ({"dataset": "s3://bucket/cancer.csv"}, 422, "/dataset"),
        ({"cv": 1}, 422, "/cv"),
        ({"promote_if": {"auc": {"at_least": 1}}}, 422, "/promote_if/auc"),
        ({"limit": 1}, 422, "/limit"),
    ],
)
def test_bad_input_is_refused_at_once(api: httpx.Client, name: str, more: dict[str, Any], status: int, pointer: str | None) -> None:
    answer = api.post("/v1/trainings", json={**training("m"), **more})
    assert (answer.status_code, answer.json().get("errors", [{}])[0].get("pointer")) == (status, pointer), answer.text


def test_what_only_the_worker_finds_is_reported_in_the_same_words(api: httpx.Client, name: str) -> None:
    job = ended(api, submit(api, training(name, params={"C": -1})))
    assert (job["error"]["code"], job["error"]["pointer"]) == ("invalid_input", "/params")


def test_a_file_that_was_uploaded(api: httpx.Client, name: str, running: Running) -> None:
    with (running.folder / "tables" / "cancer.csv").open("rb") as file:
        id = api.post("/v1/files", files={"file": ("cancer.csv", file)}, data={"purpose": "training"}).json()["id"]
    assert ended(api, submit(api, training(name, dataset=id)))["result"]["dataset"]["rows"] == 569


def test_the_worker_counts_its_trainings(api: httpx.Client, worker: str, name: str) -> None:
    ended(api, submit(api, training(name, trainer="gaussian-nb")))
    assert 'celeriac_trainings_total{outcome="published"}' in httpx.get(f"{worker}/metrics").text


Train = Callable[..., Ended]


@pytest.fixture
def train(celeriac: Celeriac, api: httpx.Client, name: str, tmp_path: Path) -> Train:
    breast_cancer().to_csv(tmp_path / "mine.csv", index=False)
    options = ("--target", "target", "--model", name, "--trainer", "random-forest-classifier", "--url", str(api.base_url))
    return lambda *more: celeriac("train", str(tmp_path / "mine.csv"), *options, *more)


def test_a_file_of_this_machine_is_trained_on(train: Train, running: Running, name: str) -> None:
    ended = train("--param", "n_estimators=20", "--search", "max_depth=2,4", "--cv", "3", "--promote-if", "accuracy>=0.9")
    assert ended.exit == Exit.OK, ended.err
    assert re.search(rf"published {name}@1: accuracy 0\.9\d+, .*cross-validation with 3 folds", ended.out)
    assert f"{name}@production is now 1" in ended.out


def test_a_gate_that_refuses_ends_the_command_with_an_error(train: Train, running: Running, name: str) -> None:
    ended = train("--param", "n_estimators=5", "--promote-if", "accuracy>=1", "--promote-if", "accuracy>=production")
    assert (ended.exit, "was not promoted: accuracy is 0." in ended.err) == (Exit.FAILED, True)
    assert versions(running, name) == ["1"]


@pytest.mark.parametrize("option", [("--param", "C"), ("--search", "C"), ("--promote-if", "accuracy=0.9")])
def test_options_that_cannot_be_read(train: Train, option: tuple[str, str]) -> None:
    ended = train(*option)
    assert (ended.exit, option[0] in ended.err) == (Exit.USAGE, True)


def test_trainings_on_the_command_line(celeriac: Celeriac, train: Train, api: httpx.Client, name: str) -> None:
    url = ("--url", str(api.base_url))
    id = train("--no-wait", "--json").json["id"]
    assert celeriac("trainings", "watch", id, "--json", *url).json["state"] == "succeeded"
    assert celeriac("trainings", "show", id, "--json", *url).json["result"]["version"] == "1"
    assert "random-forest-classifier" in celeriac("trainings", "show", id, *url).out
    assert id in celeriac("trainings", "list", "--model", name, *url).out
    assert celeriac("trainings", "cancel", id, *url).out == "succeeded\n"
    assert "n_estimators" in celeriac("trainings", "trainers", *url).out
    assert "training" in celeriac("jobs", "list", *url).out
