"""A version takes over an alias in steps, and is rolled back when it fails."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.system.worker.test_promotion import Model, celeriac, model, until, worker

__all__ = ["model", "worker"]
pytestmark = pytest.mark.usefixtures("worker")


def start(model: Model, version: str, **fields: Any) -> httpx.Response:
    body = {"version": version, "steps": [50, 100], "step_s": 0.1, "min_jobs": 4} | fields
    return httpx.put(address(model), json=body)


def address(model: Model) -> str:
    return f"{model.running.url}/v1/models/{model.name}/aliases/production/rollout"


def status(model: Model) -> dict[str, Any]:
    response = httpx.get(address(model))
    assert response.is_success, response.text
    return dict(response.json())


def submit(model: Model, key: str = "") -> dict[str, Any]:
    headers = {"Idempotency-Key": f'"{key}"'} if key else {}
    body = {"model": f"{model.name}@production", "inputs": [0.0]}
    response = httpx.post(f"{model.running.url}/v1/jobs?wait=60", json=body, headers=headers, timeout=90)
    assert response.is_success, response.text
    return dict(response.json())


def actions(model: Model) -> list[str]:
    """What the audit log says of the model, the newest first."""
    entries = httpx.get(f"{model.running.url}/v1/audit?limit=50").json()["items"]
    return [entry["action"] for entry in entries if model.name in str(entry)]


def busy_until(model: Model, state: str) -> None:
    """Submits jobs until the rollout has a state."""

    def reached() -> bool:
        submit(model)
        return str(status(model)["state"]) == state

    until(reached)


@pytest.fixture
def two(model: Model) -> Model:
    """A model whose production is 1, and which has a version 2."""
    model.publish(1)
    until(lambda: model.state("1") == "READY" and model.entry()["aliases"] == {"production": "1"})
    model.publish(2, promote=None)
    return model


def test_a_version_that_does_well_takes_over_the_alias(two: Model) -> None:
    started = start(two, "2").json()
    assert (started["state"], started["percent"], started["before"]) == ("running", 50, "1")
    until(lambda: two.state("2") == "READY")
    busy_until(two, "completed")
    assert two.repository.aliases(two.name) == {"production": "2"}
    until(lambda: two.answer("@production") == 2.0)
    assert status(two)["step"] is None


def test_a_version_that_raises_is_rolled_back(two: Model) -> None:
    two.publish(3, "stumble", promote=None)
    start(two, "3")
    until(lambda: two.state("3") == "READY")
    busy_until(two, "aborted")
    ended = status(two)
    assert "jobs failed" in ended["reason"]
    assert two.entry()["canaries"] == {}
    until(lambda: two.answer("@production") == 1.0)
    # The entry follows the record.
    until(lambda: actions(two)[0] == "model.rollout_aborted")
    assert "model.rollout_started" in actions(two)


def test_a_repeated_request_gets_the_job_of_the_first(two: Model) -> None:
    start(two, "2", steps=[50], min_jobs=1000)
    until(lambda: {submit(two)["result"][0] for _ in range(10)} == {1.0, 2.0})
    jobs = {key: submit(two, key) for key in ("a", "b", "c", "d", "e")}
    assert {key: submit(two, key)["id"] for key in jobs} == {key: job["id"] for key, job in jobs.items()}
    assert {job["result"][0] for job in jobs.values()} <= {1.0, 2.0}


def test_the_value_of_an_input_keeps_its_version(two: Model) -> None:
    start(two, "2", steps=[50], by="key:x", min_jobs=1000)
    until(lambda: two.state("2") == "READY" and two.entry()["canaries"])
    bodies = [{"model": f"{two.name}@production", "inputs": [float(x)]} for x in range(12)]

    def versions() -> list[str]:
        return [str(httpx.post(f"{two.running.url}/v1/jobs?wait=60", json=body).json()["version"]) for body in bodies]

    until(lambda: set(versions()) == {"1", "2"})
    assert versions() == versions()


def test_a_rollout_is_led_by_the_command_line(two: Model) -> None:
    line = ("rollout", two.name, "2", "--steps", "10", "--min-jobs", "1000")
    assert celeriac(two.running, *line).returncode == 0
    shown = celeriac(two.running, "status", two.name)
    assert "running" in shown.stdout, shown.stderr
    assert "jobs" in shown.stdout
    assert celeriac(two.running, *line).returncode == 6
    assert "rolled_back" in celeriac(two.running, "rollback", two.name).stdout
    assert two.entry()["canaries"] == {}


def test_a_promotion_ends_the_rollout(two: Model) -> None:
    start(two, "2", steps=[10], min_jobs=1000)
    two.repository.promote(two.name, "production", "2")
    until(lambda: status(two)["state"] == "completed")


def shadow(model: Model) -> dict[str, Any]:
    return dict(httpx.get(address(model).replace("rollout", "shadow")).json())


def test_a_shadow_predicts_again_and_no_caller_notices(two: Model) -> None:
    two.publish(3, "stumble", promote=None)
    body = {"version": "2", "rate": 1}
    assert httpx.put(address(two).replace("rollout", "shadow"), json=body).json()["agreement"] is None
    until(lambda: two.state("2") == "READY")

    def compared() -> bool:
        assert submit(two)["result"] == [1.0]
        return bool(shadow(two)["rows"])

    until(compared)
    report = shadow(two)
    assert (report["version"], report["shadow"], report["agreement"], report["failed"]) == ("1", "2", 0.0, 0)
    assert report["largest_difference"] == 1.0
    # One that raises costs no caller an answer, and leaves no dead letter.
    assert httpx.put(address(two).replace("rollout", "shadow"), json={"version": "3", "rate": 1}).is_success
    until(lambda: two.state("3") == "READY")
    until(lambda: submit(two)["result"] == [1.0] and shadow(two)["failed"])
    assert [letter for letter in httpx.get(f"{two.running.url}/v1/dead-letters").json()["items"] if letter["model"] == two.name] == []
    shown = celeriac(two.running, "shadow", two.name)
    assert "agreement" in shown.stdout, shown.stderr
    assert celeriac(two.running, "shadow", two.name, "--off").returncode == 0
    assert shadow(two)["code"] == "shadow_not_found"
