"""Schedules on the running system: beats that die, a Redis that restarts, runs that begin once."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from celeriac_cli.errors import Exit

from app.cli import redis_server as servers
from app.cli.parent_death import end_with_parent
from app.cli.ports import free_port
from app.store import keys
from app.store.schedules import meta
from tests import tools
from tests.cli.conftest import Celeriac
from tests.cli.conftest import celeriac as celeriac
from tests.running import Running
from tests.trainings.conftest import breast_cancer

HOUR = 3600


@pytest.fixture(scope="module")
def worker(running: Running) -> Iterator[None]:
    tables = running.folder / "tables"
    tables.mkdir(exist_ok=True)
    breast_cancer().to_csv(tables / "cancer.csv", index=False)
    with running.process("worker", pool="scheduled", processes=1):
        yield


@pytest.fixture
def api(running: Running, worker: None) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=60) as found:
        yield found
        for one in found.get("/v1/schedules").json()["items"]:
            found.delete(f"/v1/schedules/{one['name']}")


@pytest.fixture
def store(running: Running) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(running.redis_url, decode_responses=True) as found:
        yield found


def body(name: str, **more: Any) -> dict[str, Any]:
    train = {"trainer": "gaussian-nb", "dataset": "cancer.csv", "target": "target", "model": f"by-{name}", "pool": "scheduled"}
    return {"name": name, "every_s": HOUR, "run": {"training": train}, **more}


def create(api: httpx.Client, name: str, **more: Any) -> dict[str, Any]:
    answer = api.post("/v1/schedules", json=body(name, **more))
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def make_due(store: redis.Redis, name: str) -> None:
    """As if two hours had passed."""
    last = time.time() - 2 * HOUR
    store.hset(keys.schedule(name), "meta", meta(last))
    store.zadd(keys.SCHEDULES, {keys.schedule(name): last + 1})


def until(look: Callable[[], Any]) -> Any:
    end = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < end
        time.sleep(0.05)  # another process sets no event of ours
    return found


def ended(api: httpx.Client, name: str) -> list[dict[str, Any]]:
    """The runs of a schedule, when there are some and each has ended."""

    def look() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = api.get(f"/v1/schedules/{name}/runs").json()["items"]
        return found if found and all(run["state"] in ("succeeded", "completed", "failed", "missed") for run in found) else []

    return list(until(look))


def test_a_run_that_is_due_begins_once_though_two_beats_run(running: Running, api: httpx.Client, store: redis.Redis) -> None:
    create(api, "twice", missed="run_once")
    with running.process("beat") as (_, one), running.process("beat") as (_, other):
        roles = sorted(httpx.get(f"{url}/readyz").json()["detail"] for url in (one, other))
        assert roles == ["another beat fires", "it fires"]
        make_due(store, "twice")
        [run] = ended(api, "twice")
        assert run["state"] == "succeeded"
        assert api.get(f"/v1/trainings/{run['id']}").json()["result"]["version"] == "1"


@pytest.mark.extended
def test_a_beat_that_is_killed_is_replaced(running: Running, api: httpx.Client, store: redis.Redis) -> None:
    create(api, "survivor", missed="run_once")
    with running.process("beat") as (first, _), running.process("beat") as (_, url):
        first.kill()
        first.wait()
        make_due(store, "survivor")
        assert [run["state"] for run in ended(api, "survivor")] == ["succeeded"]
        assert httpx.get(f"{url}/readyz").json() == {"ok": True, "detail": "it fires"}


def test_beat_ends_cleanly_and_gives_the_lead_back(running: Running, store: redis.Redis) -> None:
    with running.process("beat") as (process, url):
        assert "celeriac_scheduled_runs" in httpx.get(f"{url}/metrics").text
        until(lambda: store.exists(keys.BEAT))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert not store.exists(keys.BEAT)


@pytest.mark.extended
def test_beat_and_its_schedules_survive_a_restart_of_redis(running: Running, tmp_path: Path) -> None:
    port = free_port()

    def start() -> subprocess.Popen[bytes]:
        line = servers.command(tools.redis_server(), port, tmp_path, durable=True)
        return subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=end_with_parent)

    url = f"redis://127.0.0.1:{port}/0"
    server = start()
    with redis.Redis.from_url(url, decode_responses=True) as client:
        until(lambda: answers(client))
        with running.process("api", redis_url=url) as (_, api), running.process("beat", redis_url=url) as (beat, probes):
            assert httpx.post(f"{api}/v1/schedules", json=body("kept", missed="run_once")).status_code == 201
            server.terminate()
            server.wait()
            until(lambda: httpx.get(f"{probes}/readyz").status_code == 503)
            assert httpx.get(f"{probes}/livez").status_code == 200
            server = start()
            until(lambda: httpx.get(f"{probes}/readyz").status_code == 200)
            make_due(client, "kept")
            [run] = until(lambda: httpx.get(f"{api}/v1/schedules/kept/runs").json().get("items"))
            assert run["state"] == "queued"
            assert beat.poll() is None
    server.terminate()
    server.wait()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_a_schedule_is_shown_with_its_next_time(api: httpx.Client) -> None:
    found = create(api, "weekly", every_s=None, cron="30 2 * * sun", timezone="Europe/Zurich")
    assert found["next_at"].endswith(("00:30:00.000Z", "01:30:00.000Z"))
    assert "start one" in found["waits_for"]
    assert api.get("/v1/schedules/weekly").json() == found
    assert found in api.get("/v1/schedules").json()["items"]


def test_pause_and_resume(api: httpx.Client) -> None:
    create(api, "sometimes")
    assert api.post("/v1/schedules/sometimes/pause").json()["next_at"] is None
    assert api.get("/v1/schedules/sometimes").json()["paused"]
    assert api.post("/v1/schedules/sometimes/resume").json()["next_at"] is not None


def test_it_runs_now_where_it_is_paused_too(api: httpx.Client) -> None:
    create(api, "now", paused=True)
    run = api.post("/v1/schedules/now/run")
    assert run.status_code == 202
    [found] = ended(api, "now")
    assert (found["id"], found["state"]) == (run.json()["id"], "succeeded")


def test_a_schedule_that_is_deleted_is_gone(api: httpx.Client) -> None:
    create(api, "short")
    assert api.delete("/v1/schedules/short").status_code == 200
    for path in ("", "/runs"):
        assert api.get(f"/v1/schedules/short{path}").status_code == 404
    create(api, "short")


def test_a_name_is_taken_once(api: httpx.Client) -> None:
    create(api, "one")
    answer = api.post("/v1/schedules", json=body("one"))
    assert (answer.status_code, answer.json()["code"]) == (409, "schedule_conflict")


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"every_s": None, "cron": "0 0 30 2 *"}, "/cron"),
        ({"every_s": None, "cron": "every day"}, "/cron"),
        ({"timezone": "Mars/Olympus"}, "/timezone"),
        ({"every_s": 1}, "/every_s"),
        ({"run": {"prediction": {}}}, "/run/prediction"),
        ({"run": {"pipeline": {}}}, "/run/pipeline/pipeline"),
        ({"run": {"training": {"trainer": "svm.NuSVC", "dataset": "a", "target": "b", "model": "c"}}}, "/run/training/trainer"),
        ({"run": {"training": {}}}, "/run/training/trainer"),
        ({"paused": "yes"}, "/paused"),
    ],
)
def test_bad_input_is_reported_with_its_field(api: httpx.Client, more: dict[str, Any], pointer: str) -> None:
    answer = api.post("/v1/schedules", json=body("bad", **more))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert api.get("/v1/schedules/bad").status_code == 404


def test_a_run_that_fails_is_reported(running: Running, api: httpx.Client) -> None:
    train = {**body("x")["run"]["training"], "dataset": "not-yet.csv"}
    create(api, "early", run={"training": train})
    api.post("/v1/schedules/early/run")
    [run] = ended(api, "early")
    assert (run["state"], run["error"]["code"]) == ("failed", "file_not_found")


def test_a_batch_is_run_at_its_time(running: Running, api: httpx.Client) -> None:
    rows = breast_cancer().drop(columns="target").head(20)
    rows.to_csv(running.folder / "tables" / "rows.csv", index=False)
    create(api, "scores", run={"batch": {"model": "breast-cancer", "input": "rows.csv", "output": "scores.csv"}})
    run = api.post("/v1/schedules/scores/run").json()
    [found] = ended(api, "scores")
    assert (found["kind"], found["id"], found["state"]) == ("batch", run["id"], "completed")
    assert len((running.folder / "tables" / "scores.csv").read_text().splitlines()) == 21


def test_a_batch_of_an_unknown_model_is_refused(api: httpx.Client) -> None:
    answer = api.post("/v1/schedules", json=body("bad", run={"batch": {"model": "nothing", "input": "a.csv"}}))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (404, "/run/batch/model")


def test_schedules_on_the_command_line(celeriac: Celeriac, api: httpx.Client, running: Running, tmp_path: Path) -> None:
    url = ("--url", running.url)
    (tmp_path / "run.json").write_text(json.dumps(body("hourly")["run"]))
    options = ("--cron", "0 * * * *", "--missed", "run_once", "--run", str(tmp_path / "run.json"))
    made = celeriac("schedules", "create", "hourly", *options, "--json", *url)
    assert (made.json["cron"], made.json["missed"]) == ("0 * * * *", "run_once")
    assert "hourly" in celeriac("schedules", "list", *url).out
    assert celeriac("schedules", "pause", "hourly", "--json", *url).json["paused"]
    assert not celeriac("schedules", "resume", "hourly", "--json", *url).json["paused"]
    id = celeriac("schedules", "run", "hourly", "--json", *url).json["id"]
    assert id in celeriac("schedules", "history", "hourly", *url).out
    assert "0 * * * *" in celeriac("schedules", "show", "hourly", *url).out
    assert celeriac("schedules", "delete", "hourly", *url).exit == Exit.OK
    assert celeriac("schedules", "show", "hourly", *url).exit == Exit.NOT_FOUND


@pytest.mark.parametrize(("text", "exit"), [(None, Exit.NOT_FOUND), ("{", Exit.USAGE), ("{}", Exit.USAGE)])
def test_what_to_run_cannot_be_read(
    celeriac: Celeriac, api: httpx.Client, running: Running, tmp_path: Path, text: str | None, exit: Exit
) -> None:
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    ended = celeriac("schedules", "create", "x", "--every", "60", "--run", str(tmp_path / "run.json"), "--url", running.url)
    assert ended.exit == exit


def test_a_pipeline_is_run_at_its_time(running: Running, api: httpx.Client) -> None:
    folder = running.models / ".pipelines"
    folder.mkdir(exist_ok=True)
    (folder / "twice.yaml").write_text(
        "steps: {one: {model: diabetes, inputs: [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]}}\noutput: [$one.0, $one.0]\n"
    )
    create(api, "survey", run={"pipeline": {"pipeline": "twice"}})
    run = api.post("/v1/schedules/survey/run").json()
    [found] = ended(api, "survey")
    assert (found["kind"], found["id"], found["state"]) == ("pipeline", run["id"], "succeeded")
    answer = api.post("/v1/schedules", json=body("bad", run={"pipeline": {"pipeline": "thrice"}}))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (404, "/run/pipeline/pipeline")
