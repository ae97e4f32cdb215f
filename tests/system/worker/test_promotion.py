"""An alias moves to a version when a worker serves it, and not before: through every door, and whatever the version does."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import redis
from sklearn.base import BaseEstimator

from app.core.promotions import Promotion
from app.registry.repository import Repository
from app.runtime.model_yaml import publish_folder
from app.runtime.publishing import publish
from app.store import keys
from tests.code import HERE
from tests.running import ROOT, Running

POOL = "promoting"
TIMEOUT_S = 180.0


def until(done: Callable[[], Any]) -> Any:
    """What `done` returns as soon as it is true."""
    end = time.monotonic() + TIMEOUT_S
    while not (found := done()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)  # other processes set no event of ours
    return found


@dataclass(frozen=True)
class Model:
    """One model of a test, in a pool of its own."""

    running: Running
    name: str
    folder: Path

    @property
    def repository(self) -> Repository:
        return Repository(self.running.models)

    def publish(self, number: int, mood: str = "", *, promote: str | None = "production", pool: str = POOL) -> str:
        """A new version, which adds `number` to what it is asked. Returns the version."""
        source = self.folder / f"{self.name}-{number}"
        shutil.copytree(HERE / "patient", source)
        (source / "number").write_text(str(number))
        (source / "mood").write_text(mood)
        with (source / "model.yaml").open("a") as file:
            file.write(f"pool: {pool}\nsample: [1.0]\n")
        return publish_folder(self.repository, self.name, source, promote=promote).version

    def entry(self) -> dict[str, Any]:
        return dict(httpx.get(f"{self.running.url}/v1/models/{self.name}").json())

    def state(self, version: str) -> str:
        return next((one["state"] for one in self.entry().get("versions", ()) if one["version"] == version), "")

    def move(self, alias: str | None = "production") -> dict[str, Any]:
        """The move of the alias that is pending or failed, if there is one."""
        return next((one for one in self.entry().get("promotions", ()) if one["alias"] == alias), {})

    def answer(self, which: str = "") -> float:
        """What the model answers to 0: the number of the version."""
        body = {"model": self.name + which, "inputs": [0.0]}
        job = httpx.post(f"{self.running.url}/v1/jobs?wait=60", json=body, timeout=90).json()
        assert job.get("state") == "succeeded", job
        return float(job["result"][0])

    def write_aliases(self, text: str) -> None:
        """As a person edits the file."""
        (self.running.models / self.name / "aliases.json").write_text(text)


@pytest.fixture
def model(running: Running, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Model]:
    name = request.node.name.partition("[")[0].removeprefix("test_").replace("_", "-")[:50]
    yield Model(running, f"{name}-{os.urandom(2).hex()}", tmp_path)
    for folder in running.models.glob(f"{name}-*"):
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def worker(running: Running) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with running.process("worker", pool=POOL, processes=1, probe_timeout_s=5, scan_interval_s=0.2) as found:
        yield found


def celeriac(running: Running, *arguments: str, folder: Path = ROOT, without: str = "") -> subprocess.CompletedProcess[str]:
    """A command in `folder`, `without` one of the settings that the server has."""
    line = [sys.executable, "-m", "app", "models", *arguments]
    environment = running.environment | {"CELERIAC_URL": running.url}
    environment.pop(without, None)
    return subprocess.run(line, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)


class Stranger(BaseEstimator):  # type: ignore[misc]
    """Answers 0. Its module is one that workers cannot import."""

    def predict(self, data: Any) -> Any:
        return np.zeros(len(data))


Stranger.__module__ = "the_notebook"


def test_a_version_that_no_worker_can_import_is_not_promoted(running: Running, worker: object, model: Model) -> None:  # M1
    """M1, published from Python: version 1 continues, and the API says why."""
    model.publish(1)
    until(lambda: model.state("1") == "READY")
    sys.modules["the_notebook"] = sys.modules[__name__]
    publish(model.repository, Stranger(), model.name, sample=np.zeros((3, 1)), format="joblib", pool=POOL, promote="production")
    while model.move().get("state") != "failed":
        assert model.answer("@production") == model.answer() == 1.0
    assert model.answer("@production") == 1.0
    assert "the_notebook" in model.move()["reason"]
    assert model.repository.aliases(model.name) == {"production": "1"}
    # The state of a version comes with the next heartbeat of its worker.
    until(lambda: (model.state("1"), model.state("2")) == ("READY", "UNAVAILABLE"))
    # A version that is known to be unavailable is not promoted, by the command line either.
    done = celeriac(running, "promote", model.name, "2")
    assert (done.returncode, "production still points to 1" in done.stderr) == (1, True), done.stderr
    assert model.repository.aliases(model.name) == {"production": "1"}


@pytest.mark.parametrize(
    ("mood", "reason"),
    [
        ("raise", "OSError: there is no licence"),
        ("crash", "the process that loaded it was killed by SIGABRT"),
        ("exit", "the process that loaded it ended with exit code 3"),
        ("hang", "it did not answer its golden sample within 5 s (CELERIAC_PROBE_TIMEOUT_S)"),
    ],
)
def test_the_command_line_says_that_it_failed(running: Running, worker: object, model: Model, mood: str, reason: str) -> None:
    model.publish(1)
    until(lambda: model.state("1") == "READY")
    model.publish(2, mood, promote=None)
    done = celeriac(running, "promote", model.name, "2")
    assert done.returncode == 1
    assert reason in done.stderr
    assert f"{model.name}@production still points to 1." in done.stderr
    assert model.answer("@production") == 1.0
    assert model.repository.aliases(model.name) == {"production": "1"}


def test_the_command_line_says_when_it_is_served(running: Running, worker: object, model: Model) -> None:
    model.publish(1)
    until(lambda: model.state("1") == "READY")
    model.publish(2, promote=None)
    done = celeriac(running, "promote", model.name, "2")
    assert (done.returncode, done.stdout) == (0, f"{model.name}@production is now 2\n"), done.stderr
    assert done.stderr == f"note: Waiting up to 120 s until a worker serves {model.name}@2.\n"
    assert model.answer("@production") == 2.0
    assert (model.repository.aliases(model.name), model.move()) == ({"production": "2"}, {})
    assert model.repository.promotions(model.name) == {}
    # The way back is the same.
    assert celeriac(running, "promote", model.name, "1").returncode == 0
    assert model.answer("@production") == 1.0


def test_the_command_line_acts_on_the_running_system_wherever_it_is_called(
    running: Running, worker: object, model: Model, tmp_path: Path
) -> None:
    model.publish(1)
    until(lambda: model.state("1") == "READY")
    source = tmp_path / f"{model.name}-1"
    (source / "number").write_text("2")
    elsewhere = {"folder": tmp_path, "without": "CELERIAC_MODELS"}
    done = celeriac(running, "publish", model.name, str(source), "--alias", "production", **elsewhere)  # type: ignore[arg-type]
    assert (done.returncode, f"{model.name}@production is now 2" in done.stdout) == (0, True), done.stderr
    assert model.answer("@production") == 2.0
    # Where it does not, it says so, and where the model is.
    done = celeriac(running, "promote", model.name, "1", "--models", "models", **elsewhere)  # type: ignore[arg-type]
    assert done.returncode == 4
    assert (
        f"The folder ./models has no model '{model.name}'. The running server uses another one: pass --models {running.models}"
        in done.stderr
    )
    done = celeriac(running, "publish", model.name, str(source), "--models", "models", **elsewhere)  # type: ignore[arg-type]
    assert done.returncode == 0
    assert f"does not serve models: it uses {running.models}" in done.stderr
    done = celeriac(running, "publish", model.name, str(source), "--alias", "production", "--no-wait", **elsewhere)  # type: ignore[arg-type]
    assert (done.returncode, f"Pending: {model.name}@production still points to 2" in done.stdout) == (0, True), done.stderr
    until(lambda: model.entry()["aliases"] == {"production": "3"})


@pytest.mark.extended
def test_an_edited_file_that_names_a_bad_version_changes_nothing(running: Running, model: Model) -> None:
    """Also after a restart of the worker, and until the file is right."""
    pool = f"{POOL}-edited"
    with running.process("worker", pool=pool, processes=1, scan_interval_s=0.2):
        model.publish(1, pool=pool)
        until(lambda: model.state("1") == "READY")
        model.publish(2, "raise", promote=None, pool=pool)
        model.write_aliases('{"production": "2"}')
        until(lambda: model.move().get("state") == "failed")
        assert model.answer("@production") == model.answer() == 1.0
    with running.process("worker", pool=pool, processes=1, scan_interval_s=0.2):
        until(lambda: model.state("2") == "UNAVAILABLE")
        assert model.answer("@production") == model.answer() == 1.0
        move = model.move()
        assert (move["state"], move["before"], move["version"]) == ("failed", "1", "2")
        assert "there is no licence" in move["reason"]
        for text in ('{"production": "9"}', "{"):
            model.write_aliases(text)
            until(lambda: model.move().get("version") != "2")
            assert model.answer("@production") == model.answer() == 1.0
        until(lambda: "is not valid JSON" in model.move().get("reason", ""))
        model.publish(3, promote=None, pool=pool)
        model.write_aliases('{"production": "3"}')
        until(lambda: model.entry()["aliases"] == {"production": "3"})
        assert model.answer("@production") == model.answer() == 3.0
        assert model.move() == {}


def test_a_bare_name_stays_with_the_version_that_answers(running: Running, worker: object, model: Model) -> None:
    model.publish(1, promote=None)
    until(lambda: model.state("1") == "READY")
    model.publish(2, "raise", promote=None)
    until(lambda: model.move(None).get("state") == "failed")
    assert (model.answer(), model.entry()["default"]) == (1.0, "1")
    model.publish(3, promote=None)
    until(lambda: model.entry()["default"] == "3")
    assert model.answer() == 3.0


def test_versions_that_hang_or_are_slow_hold_up_nothing(running: Running, worker: object, model: Model, tmp_path: Path) -> None:
    """M2: others are loaded meanwhile."""
    others = [Model(running, f"{model.name}-{mood}", tmp_path) for mood in ("hang", "slow")]
    others[0].publish(1, "hang")
    others[1].publish(1, f"wait for {tmp_path / 'go'}")
    until(lambda: [other.state("1") for other in others] == ["LOADING", "LOADING"])
    model.publish(1)
    until(lambda: model.state("1") == "READY")
    assert others[1].state("1") == "LOADING"
    assert model.answer() == 1.0
    (tmp_path / "go").touch()
    until(lambda: others[1].state("1") == "READY")
    until(lambda: others[0].state("1") == "UNAVAILABLE")


@pytest.mark.extended
def test_a_worker_starts_beside_versions_that_hang(running: Running, model: Model, tmp_path: Path) -> None:
    pool = f"{POOL}-start"
    others = [Model(running, f"{model.name}-{number}", tmp_path) for number in range(2)]
    for other in others:
        other.publish(1, f"wait for {tmp_path / 'never'}", pool=pool)
    model.publish(1, pool=pool)
    with running.process("worker", pool=pool, processes=1, load_wait_s=3, load_timeout_s=3600) as (_, url):
        until(lambda: model.state("1") == "READY")
        assert model.answer() == 1.0
        assert [other.state("1") for other in others] == ["LOADING", "LOADING"]
        assert httpx.get(f"{url}/readyz").status_code == 200
    log = next(path.read_text() for path in running.folder.glob("worker-*.log") if path.name.endswith(f"{url.rpartition(':')[2]}.log"))
    late = re.search("still loading after 3 s: (.*)", log)
    assert late
    # On a busy machine the third one may be late, too.
    assert {f"{other.name}@1" for other in others} <= set(late[1].split(", "))


@pytest.mark.extended
def test_a_worker_does_not_wait_for_a_version_that_is_known_to_be_broken(running: Running, model: Model, tmp_path: Path) -> None:
    """An earlier worker found that it hangs. The next one is ready while it is tested again, and serves it if it passes."""
    pool = f"{POOL}-broken"
    other = Model(running, f"{model.name}-other", tmp_path)
    model.publish(1, pool=pool)
    other.publish(1, f"wait for {tmp_path / 'go'}", pool=pool)
    with running.process("worker", pool=pool, processes=1, load_timeout_s=3, scan_interval_s=0.2):
        until(lambda: (model.state("1"), other.state("1")) == ("READY", "UNAVAILABLE"))
        with redis.Redis.from_url(running.redis_url) as store:
            until(lambda: store.hkeys(keys.broken_versions(pool)) == [f"{other.name}/1".encode()])
    with running.process("worker", pool=pool, processes=1, load_wait_s=3600, load_timeout_s=3600, scan_interval_s=0.2):
        until(lambda: (model.state("1"), other.state("1")) == ("READY", "LOADING"))
        assert model.answer() == 1.0
        (tmp_path / "go").touch()
        until(lambda: other.state("1") == "READY")
        with redis.Redis.from_url(running.redis_url) as store:
            until(lambda: not store.exists(keys.broken_versions(pool)))


@pytest.mark.extended
def test_a_process_that_is_still_starting_is_not_lost(running: Running, model: Model, tmp_path: Path) -> None:
    """A library that takes long after a fork: the process must be replaced when it has started, and not before."""
    pool = f"{POOL}-forking"
    other = Model(running, f"{model.name}-other", tmp_path)
    with running.process("worker", pool=pool, processes=1, scan_interval_s=0.2):
        other.publish(1, pool=pool)
        model.publish(1, "slow after a fork", pool=pool)
        until(lambda: (other.state("1"), model.state("1")) == ("READY", "READY"))
        shutil.rmtree(running.models / other.name)  # what held it is replaced, also the process that has just begun
        until(lambda: other.state("1") == "")
        assert model.answer() == 1.0
        model.publish(2, pool=pool)
        until(lambda: model.state("2") == "READY")
        assert model.answer() == 2.0


@pytest.mark.extended
def test_a_promotion_waits_for_the_first_worker_and_outlives_one_that_dies(running: Running, model: Model, tmp_path: Path) -> None:
    pool, go = f"{POOL}-dying", tmp_path / "go"
    with running.process("worker", pool=pool, processes=1, scan_interval_s=0.2):
        model.publish(1, pool=pool)
        until(lambda: model.state("1") == "READY")
    model.publish(2, f"wait for {go}", promote=None, pool=pool)
    until(lambda: model.state("1") == "COLD")
    done = celeriac(running, "promote", model.name, "2")
    assert done.returncode == 5
    assert f"No worker of the pool '{pool}' is running" in done.stderr
    assert (model.move()["state"], model.entry()["aliases"]) == ("pending", {"production": "1"})
    with running.process("worker", pool=pool, processes=1, load_wait_s=1) as (first, _):
        until(lambda: model.state("2") == "LOADING")
        assert model.answer("@production") == 1.0
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert (model.repository.aliases(model.name), model.entry()["aliases"]) == ({"production": "1"}, {"production": "1"})
    with running.process("worker", pool=pool, processes=1, load_wait_s=1, scan_interval_s=0.2):
        go.touch()
        until(lambda: model.entry()["aliases"] == {"production": "2"})
        assert model.answer("@production") == 2.0
        until(lambda: model.repository.aliases(model.name) == {"production": "2"})


def test_a_worker_that_cannot_write_the_repository_moves_aliases_too(running: Running, worker: object, model: Model) -> None:
    model.publish(1)
    until(lambda: model.state("1") == "READY")
    model.publish(2, promote=None)
    home = running.models / model.name
    request = Promotion("a request", "production", "2", "1")
    (home / ".aliases.json.lock").unlink()
    (home / ".aliases.json.lock").mkdir()  # root may write what it likes, but not open a folder for writing
    (home / "promotions.json").write_text(json.dumps({"production": request.as_dict()}))
    until(lambda: model.entry()["aliases"] == {"production": "2"})
    assert model.answer("@production") == 2.0
    model.publish(3, "raise", promote=None)
    request = Promotion("another", "production", "3", "1")
    (home / "promotions.json").write_text(json.dumps({"production": request.as_dict()}))
    until(lambda: model.move().get("state") == "failed")
    assert "there is no licence" in model.move()["reason"]
    assert (model.answer("@production"), model.entry()["aliases"]) == (2.0, {"production": "2"})


def test_an_unloaded_model_is_promoted_when_it_is_loaded(running: Running, worker: object, model: Model) -> None:
    model.publish(1)
    until(lambda: model.state("1") == "READY")
    httpx.post(f"{running.url}/v2/repository/models/{model.name}/unload").raise_for_status()
    model.publish(2)
    assert model.repository.aliases(model.name) == {"production": "1"}
    httpx.post(f"{running.url}/v2/repository/models/{model.name}/load", timeout=60).raise_for_status()
    until(lambda: model.entry()["aliases"] == {"production": "2"})
    assert model.answer("@production") == 2.0


def test_what_redis_knew_is_found_out_again(running: Running, worker: object, model: Model) -> None:
    model.publish(1)
    until(lambda: model.state("1") == "READY")
    with redis.Redis.from_url(running.redis_url) as store:
        field = f"{model.name}/production"
        until(lambda: store.hget(keys.SERVING, field) == b"1")
        store.delete(keys.SERVING, keys.TABLES)
        until(lambda: store.hget(keys.SERVING, field) == b"1")
        (running.models / model.name / "aliases.json").write_text("{}")
        until(lambda: store.hget(keys.SERVING, field) is None)
        until(lambda: model.entry()["aliases"] == {})
