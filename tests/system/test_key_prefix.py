"""Two whole systems on one Redis: with prefixes of their own they do not see each other, with the same one the second is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import redis

from app.cli.ports import free_port
from app.registry.repository import Repository
from app.runtime.publishing import publish
from tests.misbehaving import Moody
from tests.running import ROOT, Running, wait_until_ready
from tests.topologies import until

PREFIX = "other.team-1:"


@pytest.fixture(scope="module")
def other_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of another release: it has a model of the same name, and one that the first does not have."""
    folder = tmp_path_factory.mktemp("other") / "models"
    folder.mkdir()
    for name in ("moody", "private"):
        publish(Repository(folder), Moody(), name, sample=np.zeros((3, 2)), format="joblib")
    return folder


@pytest.fixture(scope="module")
def other(running: Running, other_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A second system on the Redis of the first. Its prefix is given without the colon."""
    folder = tmp_path_factory.mktemp("second")
    own = {"KEY_PREFIX": PREFIX.removesuffix(":"), "MODELS": other_models, "STATE": folder, "FILES": folder / "files"}
    environment = running.environment | {f"CELERIAC_{name}": str(value) for name, value in own.items()}
    second = replace(running, models=other_models, environment=environment, folder=folder)
    with second.process("worker"), second.process("api") as (_, url):
        wait_until_ready(f"{url}/v2/models/private/ready")
        yield replace(second, url=url)


def submit(system: Running, model: str) -> dict[str, Any]:
    body = {"model": model, "inputs": [[0, 0]]}
    return dict(httpx.post(f"{system.url}/v1/jobs?wait=30", json=body, timeout=60).raise_for_status().json())


def ids(system: Running) -> set[str]:
    return {job["id"] for job in httpx.get(f"{system.url}/v1/jobs?limit=100").json()["items"]}


def test_two_systems_do_not_see_each_other(running: Running, other: Running) -> None:
    private = [submit(other, "private") for _ in range(10)]
    ours = [submit(running, "moody") for _ in range(10)]
    assert {job["state"] for job in private + ours} == {"succeeded"}
    assert ids(running).isdisjoint(job["id"] for job in private)
    assert ids(other).isdisjoint(job["id"] for job in ours)
    [pool] = httpx.get(f"{other.url}/v1/pools").json()["items"]
    assert (pool["pool"], pool["workers"]) == ("default", 1)
    assert httpx.get(f"{running.url}/v2/models/private/ready").status_code == 404


@contextmanager
def flower_of(system: Running) -> Iterator[str]:
    """The URL of a Flower of the system."""
    port = free_port()
    own = {"CELERIAC_FLOWER_PORT": str(port), "FLOWER_UNAUTHENTICATED_API": "true"}
    path = system.folder / f"flower-{port}.log"
    with path.open("wb") as log:
        flower = subprocess.Popen([sys.executable, "-m", "app", "flower"], env=system.environment | own, cwd=ROOT, stdout=log, stderr=log)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}/healthcheck", flower, path)
        yield f"http://127.0.0.1:{port}"
    finally:
        flower.terminate()
        flower.wait(30)


@pytest.mark.extended
def test_beat_and_flower_of_the_second_system_see_only_the_second(running: Running, other: Running) -> None:
    schedule = {
        "name": "second",
        "every_s": 10,
        "run": {"training": {"trainer": "gaussian-nb", "dataset": "x.csv", "target": "y", "model": "m"}},
    }
    assert httpx.post(f"{other.url}/v1/schedules", json=schedule).status_code == 201
    assert [one["name"] for one in httpx.get(f"{other.url}/v1/schedules").json()["items"]] == ["second"]
    assert "second" not in [one["name"] for one in httpx.get(f"{running.url}/v1/schedules").json()["items"]]
    with other.process("beat"), httpx.Client(timeout=30) as http, redis.Redis.from_url(other.redis_url) as client:
        until(lambda: bool(client.exists(f"{PREFIX}redbeat::lock")), "the beat of the second system leads")
        with flower_of(other) as url:
            until(lambda: len(http.get(f"{url}/api/workers?refresh=1").json()) == 1, "Flower sees one worker")
    httpx.delete(f"{other.url}/v1/schedules/second")


def test_every_key_and_channel_has_one_of_the_prefixes(running: Running, other: Running) -> None:
    submit(running, "moody")
    submit(other, "private")
    with redis.Redis.from_url(running.redis_url, decode_responses=True) as client:
        names = set(client.keys()) | set(client.pubsub_channels()) | set(client.pubsub_numsub())
    assert any(name.startswith(PREFIX) for name in names)
    # Tests that ran before may have started processes with other prefixes on this Redis.
    prefixes = ("celeriac:", PREFIX, *running.key_prefixes)
    assert {name for name in names if not name.startswith(prefixes)} == set()


@pytest.mark.parametrize("process", ["api", pytest.param("worker", marks=pytest.mark.extended)])
def test_a_second_system_with_other_models_is_refused_under_the_same_prefix(process: str, running: Running, other_models: Path) -> None:
    own = {"CELERIAC_MODELS": str(other_models), "CELERIAC_RELEASE": "fraud/celeriac", f"CELERIAC_{process.upper()}_PORT": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "app", process],
        env=running.environment | own,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    for part in ("'celeriac:'", str(running.models), str(other_models), "fraud/celeriac", "CELERIAC_KEY_PREFIX"):
        assert part in done.stderr


@pytest.mark.extended
def test_a_replica_of_the_same_system_is_welcome(running: Running) -> None:
    with running.process("api") as (_, url):
        assert httpx.get(f"{url}/readyz").status_code == 200


def test_service_links_of_kubernetes_change_nothing(running: Running) -> None:
    links = {f"CELERIAC_{name}_PORT": "tcp://10.96.0.1:8000" for name in ("API", "WORKER", "BEAT", "FLOWER")}
    links |= {
        "CELERIAC_API_PORT_8000_TCP": "tcp://10.96.0.1:8000",
        "CELERIAC_API_SERVICE_HOST": "10.96.0.1",
        "CELERIAC_API_SERVICE_PORT": "8000",
    }
    done = subprocess.run(
        [sys.executable, "-m", "app", "pools", "--url", running.url],
        env=os.environ | links,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
