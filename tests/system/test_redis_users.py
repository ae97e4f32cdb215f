"""The users of k8s/redis/users.acl: each can do its work, and no more."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from app.cli import redis_server as servers
from app.cli.ports import free_port
from app.store import keys, schedules
from tests import tools
from tests.running import ROOT, Running, wait_until_ready
from tests.topologies import until

USERS = ("admin", "api", "worker", "beat", "flower", "keda")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL, without a user, of a server with the file as it is shipped; the password of each user is its name."""
    folder = tmp_path_factory.mktemp("users")
    text = (ROOT / "k8s" / "redis" / "users.acl").read_text()
    for user in USERS:
        text = text.replace(f"{user.upper()}_PASSWORD_SHA256", hashlib.sha256(user.encode()).hexdigest())
    (folder / "users.acl").write_text(text)
    with servers.running(tools.redis_server(), folder, aclfile=str(folder / "users.acl")) as url:
        yield url


def as_(user: str, url: str) -> str:
    return url.replace("redis://", f"redis://{user}:{user}@")


@pytest.fixture(scope="module")
def platform(server: str, sample_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An API, a worker and Flower, each as the user that is meant for it."""
    folder = tmp_path_factory.mktemp("platform")
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "CELERIAC_STATE": str(folder),
        "CELERIAC_WEBHOOK_ALLOW_PRIVATE": "true",
        "CELERIAC_FILE_ROOTS": str(folder),
        "CELERIAC_TRAINING_POOL": "default",
        "CELERIAC_KEEP_VERSIONS": "1",
    }
    models = folder / "models"
    shutil.copytree(sample_models, models)
    environment["CELERIAC_MODELS"] = str(models)
    (folder / "rows.csv").write_text("x,y\n" + "1,a\n2,b\n" * 20)
    here = Running("", models, server, environment, folder)
    with here.process("worker", redis_url=as_("worker", server)), here.process("api", redis_url=as_("api", server)) as (_, url):
        wait_until_ready(f"{url}/v2/models/diabetes/ready")
        yield Running(url, models, server, environment, folder)


def refused(url: str) -> set[str]:
    """What the server refused to anybody, but for the name that redis-py gives itself, which it can do without."""
    with redis.Redis.from_url(as_("admin", url), decode_responses=True) as admin:
        log: Any = admin.acl_log(128)
        return {f"{one['username']}: {one['reason']} {one['object']}" for one in log if not str(one["object"]).startswith("client")}


def test_a_job_passes_under_these_users_and_nothing_is_refused(platform: Running) -> None:
    with httpx.Client(base_url=platform.url, timeout=30) as http:
        row = [0.0] * 10
        job = http.post("/v1/jobs?wait=20", json={"model": "diabetes", "inputs": [row]}).json()
        assert job["state"] == "succeeded"
        assert http.get(f"/v1/jobs/{job['id']}?details=true").json()["inputs"] == [row]
        assert http.get(f"/v1/jobs/{job['id']}/diagnosis").json()["state"] == "succeeded"
        assert http.get("/v1/jobs").json()["items"]
        assert http.get(f"/v1/jobs/{job['id']}/events").text.startswith("id:")
        later = http.post("/v1/jobs", json={"model": "diabetes", "inputs": [row]}).json()
        assert http.delete(f"/v1/jobs/{later['id']}").status_code == 200
        assert http.get(f"/v1/jobs/{job['id']}?wait=1").json()["state"] == "succeeded"
        assert http.get("/v1/jobs?limit=1").json()["next"]
        assert http.get(f"/v1/jobs?limit=1&cursor={http.get('/v1/jobs?limit=1').json()['next']}").status_code == 200
        assert http.get("/v1/dead-letters").json()["items"] == []
        train = {"trainer": "gaussian-nb", "dataset": "rows.csv", "target": "y", "model": "m"}
        trained = http.get(f"/v1/trainings/{http.post('/v1/trainings', json=train).json()['id']}?wait=30").json()
        assert (trained["state"], http.get("/v1/trainings").json()["items"]) == ("succeeded", [trained])
        trained = http.get(f"/v1/trainings/{http.post('/v1/trainings', json=train).json()['id']}?wait=30").json()
        assert trained["result"]["removed"] == ["1"]
        assert http.delete("/v1/models/m/versions/2").json()["code"] == "model_conflict"
        hook = http.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/", "events": ["completed"]})
        assert hook.status_code == 201
        reported = http.post("/v1/jobs?wait=20", json={"model": "diabetes", "inputs": [row]}).json()
        sent = f"/v1/webhooks/{hook.json()['id']}/deliveries"
        until(lambda: any(one["job"] == reported["id"] for one in http.get(sent).json()["items"]), "the event is recorded for the webhook")
        assert http.delete(f"/v1/webhooks/{hook.json()['id']}").is_success
        for verb in ("pause", "drain", "resume"):
            assert http.post(f"/v1/pools/default/{verb}").is_success
        assert http.post("/v1/models/diabetes/pause").is_success
        paused = http.post("/v1/jobs", json={"model": "diabetes", "inputs": [row]}).json()
        assert http.post("/v1/models/diabetes/resume").is_success
        assert http.get(f"/v1/jobs/{paused['id']}?wait=20").json()["state"] == "succeeded"
        assert http.post(
            "/v2/models/diabetes/infer", json={"inputs": [{"name": "input", "shape": [1, 10], "datatype": "FP64", "data": row}]}
        )
    assert refused(platform.redis_url) == set()


def test_a_schedule_runs_under_these_users_and_nothing_is_refused(platform: Running) -> None:
    train = {"trainer": "gaussian-nb", "dataset": "rows.csv", "target": "y", "model": "m"}
    run = {"name": "often", "every_s": 10, "missed": "run_once", "run": {"training": train}}
    with (
        platform.process("beat", redis_url=as_("beat", platform.redis_url)),
        httpx.Client(base_url=platform.url, timeout=30) as http,
    ):
        assert http.post("/v1/schedules", json=run).status_code == 201
        with redis.Redis.from_url(as_("admin", platform.redis_url)) as admin:
            admin.hset(keys.schedule("often"), "meta", schedules.meta(time.time() - 3600))
            admin.zadd(keys.SCHEDULES, {keys.schedule("often"): 1})
        until(lambda: bool(http.get("/v1/schedules/often/runs").json()["items"]), "the run is to begin")
        assert http.post("/v1/schedules/often/pause").json()["paused"]
        assert http.get("/v1/schedules").json()["items"]
        assert http.delete("/v1/schedules/often").is_success
    assert refused(platform.redis_url) == set()


@pytest.mark.parametrize(("user", "names"), [("api", "*"), ("worker", "start finish requeue enqueue chunks serve audit pauses")])
def test_a_user_may_run_every_command_of_the_scripts(user: str, names: str) -> None:
    scripts = [path for path in (ROOT / "app" / "store").glob("*.lua") if names == "*" or path.stem in names.split()]
    needed = {command.lower() for path in scripts for command in re.findall(r"redis\.call\('(\w+)'", path.read_text())}
    (line,) = (line for line in (ROOT / "k8s" / "redis" / "users.acl").read_text().splitlines() if line.startswith(f"user {user} "))
    assert needed - {one[1:] for one in line.split() if one.startswith("+")} == set()


def test_flower_sees_the_workers(platform: Running) -> None:
    port = free_port()
    own = {"REDIS_URL": as_("flower", platform.redis_url), "FLOWER_PORT": str(port), "FLOWER_BASIC_AUTH": "me:secret"}
    environment = platform.environment | {f"CELERIAC_{name}": value for name, value in own.items()}
    with (platform.folder / "flower.log").open("wb") as log:
        flower = subprocess.Popen([sys.executable, "-m", "app", "flower"], env=environment, cwd=ROOT, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=("me", "secret"), timeout=30) as http:
            wait_until_ready(f"{http.base_url}/healthcheck", flower)
            until(lambda: bool(http.get("/api/workers?refresh=1").json() or refused(platform.redis_url)), "Flower hears of the worker")
    finally:
        flower.terminate()
        flower.wait(30)
    assert refused(platform.redis_url) == set()


def test_keda_counts_what_waits_and_what_runs(server: str) -> None:
    script = "return redis.call('llen', KEYS[1]) + redis.call('hlen', KEYS[2])"
    # A pool that no worker serves: how long one holds its last message is up to it.
    waiting, running = keys.list_of("idle.bulk"), keys.PREFIX + keys.unacked("idle")
    with redis.Redis.from_url(as_("admin", server)) as admin:
        admin.lpush(waiting, "one", "two")
        admin.hset(running, "three", "[]")
    with redis.Redis.from_url(as_("keda", server)) as keda:
        assert keda.eval(script, 2, waiting, running) == 3
        assert keda.type(waiting) == b"list"


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("keda", "DEL celeriac:default"),
        ("keda", "LRANGE celeriac:default 0 -1"),
        ("keda", "HGETALL celeriac:job:1"),
        ("keda", "EVAL return(redis.call('del',KEYS[1])) 1 celeriac:default"),
        ("beat", "LPUSH celeriac:default {}"),
        ("beat", "HGETALL celeriac:job:1"),
        ("flower", "LPUSH celeriac:default {}"),
        ("flower", "BRPOP celeriac:default 1"),
        ("flower", "HGETALL celeriac:job:1"),
        ("api", "BRPOP celeriac:default 1"),
        ("api", "PSUBSCRIBE celeriac:*"),
        ("worker", "SUBSCRIBE another"),
        *((user, command) for user in ("api", "worker") for command in ("GET another", "FLUSHALL", "KEYS *", "CONFIG GET *", "ACL LIST")),
    ],
)
def test_a_user_cannot_do_what_it_should_not(server: str, user: str, command: str) -> None:
    with (
        redis.Redis.from_url(as_(user, server)) as client,
        pytest.raises(redis.ResponseError, match=r"(?i)permission|can.t run this command"),
    ):
        client.execute_command(*command.split(" "))


@pytest.mark.parametrize("user", ["default", "nobody"])
def test_without_a_password_of_its_own_nobody_gets_in(server: str, user: str) -> None:
    with redis.Redis.from_url(server.replace("redis://", f"redis://{user}:@")) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
