"""`celeriac up` restarts what dies, and keeps every answer."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis

from tests.system.conftest import Installation
from tests.system.test_up import session_of

pytestmark = pytest.mark.extended
ROW = [[0.0] * 10]


@pytest.fixture(scope="module")
def own(sample_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation whose processes the tests kill. Somebody has unloaded one of its sample models before it starts."""
    folder = tmp_path_factory.mktemp("restarts")
    shutil.copytree(sample_models, folder / "models")
    first = Installation.start(folder)
    httpx.post(f"{first.url}/v2/repository/models/digits/unload").raise_for_status()
    first.stop()
    found = Installation.start(folder)
    yield found
    found.stop()


def pid_of(installation: Installation, name: str) -> int:
    """The process that `up` started as `python -m app NAME`; the worker of trainings comes after the other one."""
    line = f"-m\0app\0{name}\0".encode()
    found = sorted(pid for pid in session_of(installation.process.pid) if line in Path(f"/proc/{pid}/cmdline").read_bytes())
    return next(
        pid for pid in found if int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == installation.process.pid
    )


def wait_for(installation: Installation, line: str) -> None:
    end = time.monotonic() + 120
    while not any(line in one for one in list(installation.lines)):
        assert installation.process.poll() is None, "\n".join(installation.lines[-40:])
        assert time.monotonic() < end, f"{line!r} was not written"
        time.sleep(0.05)  # another process sets no event of ours


def test_an_unloaded_sample_model_does_not_stop_the_start(own: Installation) -> None:
    wait_for(own, "the sample model digits does not answer: it was unloaded")
    assert any(line.startswith("wine ") for line in own.lines)
    assert not any(line.startswith("digits ") for line in own.lines)


@pytest.mark.parametrize("name", ["worker", "api"])
def test_a_process_that_is_killed_is_restarted(name: str, own: Installation) -> None:
    url, job = own.url, httpx.post(f"{own.url}/v1/jobs?wait=20", json={"model": "diabetes", "inputs": ROW}, timeout=30).json()
    os.kill(pid_of(own, name), signal.SIGKILL)
    wait_for(own, f"{name} was killed by SIGKILL: restarting it now")
    wait_for(own, f"{name} is ready again")
    found = httpx.get(f"{url}/v1/jobs/{job['id']}").json()
    assert found["state"] == "succeeded"
    assert httpx.post(f"{url}/v1/jobs?wait=60", json={"model": "diabetes", "inputs": ROW}, timeout=90).json()["state"] == "succeeded"


def test_redis_is_restarted_with_all_that_it_held(own: Installation) -> None:
    about, before = own.about, len(own.lines)
    with redis.Redis.from_url(about["redis_url"]) as client:
        client.set("kept", "1")
        httpx.post(f"{own.url}/v1/pools/training/pause").raise_for_status()
        [pid] = [pid for pid in session_of(own.process.pid) if Path(f"/proc/{pid}/exe").readlink().name == "redis-server"]
        os.kill(pid, signal.SIGKILL)
        wait_for(own, "redis is ready again")
        assert len([line for line in own.lines if "redis was killed by SIGKILL" in line]) == 1
        assert client.get("kept") == b"1"
    [training] = [pool for pool in httpx.get(f"{own.url}/v1/pools").json()["items"] if pool["pool"] == "training"]
    assert training["state"] == "paused"
    assert httpx.post(f"{own.url}/v1/jobs?wait=60", json={"model": "diabetes", "inputs": ROW}, timeout=90).json()["state"] == "succeeded"
    # One sentence of `up`, and from the others lines of their logs: neither tracebacks nor lines that go on.
    lines = own.lines[before:]
    assert all(re.match(r"(\w+ +│ [\d:.]+ (info|warning|error) )|up ", line) for line in lines), "\n".join(lines)
