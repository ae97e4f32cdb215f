"""`up` reports an obstacle in one sentence, before it starts anything."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celeriac_cli import running
from celeriac_cli.errors import CLIError, Exit

from app.cli import lock, samples
from app.cli.dev_stack import _answers
from app.cli.ports import check_distinct, free_port
from app.cli.program import Program
from app.cli.supervisor import Supervisor
from app.core.special_addresses import is_loopback
from app.registry.repository import Repository
from app.settings import settings
from tests.cli.conftest import Celeriac, Ended, Stranger

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """An installation of its own: free ports, its own folders."""
    for name in ("API_PORT", "FLOWER_PORT", "WORKER_PORT"):
        monkeypatch.setenv(f"CELERIAC_{name}", "0")
    monkeypatch.setenv("CELERIAC_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("CELERIAC_STATE", str(tmp_path / "state"))
    settings.cache_clear()
    yield monkeypatch
    settings.cache_clear()


def refused(celeriac: Celeriac) -> Ended:
    ended = celeriac("up")
    assert ended.err.count("\n") == 1
    assert ended.out == ""
    return ended


@pytest.mark.parametrize("process", ["API", "FLOWER", "WORKER"])
def test_a_taken_port(process: str, celeriac: Celeriac, place: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        place.setenv(f"CELERIAC_{process}_PORT", str(port))
        ended = refused(celeriac)
    assert ended.exit == Exit.CONFLICT
    assert f"port {port}, which is taken. Set CELERIAC_{process}_PORT" in ended.err


@pytest.mark.parametrize(("first", "second"), [("API", "FLOWER"), ("API", "WORKER"), ("FLOWER", "WORKER")])
def test_two_processes_on_one_port(first: str, second: str, celeriac: Celeriac, place: pytest.MonkeyPatch) -> None:
    port = free_port()
    place.setenv(f"CELERIAC_{first}_PORT", str(port))
    place.setenv(f"CELERIAC_{second}_PORT", str(port))
    ended = refused(celeriac)
    assert ended.exit == Exit.CONFLICT
    assert f"CELERIAC_{first}_PORT and CELERIAC_{second}_PORT are both {port}. Set one of them to another port" in ended.err


def test_an_api_for_other_machines_needs_keys(celeriac: Celeriac, place: pytest.MonkeyPatch) -> None:
    place.setenv("CELERIAC_API_HOST", "0.0.0.0")
    ended = refused(celeriac)
    assert ended.exit == Exit.REFUSED
    assert "everybody who reaches the API could use it without a key. Set CELERIAC_AUTH=keys" in ended.err


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("box", False)],
)
def test_only_this_machine_reaches_a_loopback_address(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_a_port_on_all_addresses_conflicts_with_that_port_on_one() -> None:
    with pytest.raises(CLIError, match="A and B are both 8000"):
        check_distinct({"A": ("0.0.0.0", 8000), "B": ("127.0.0.1", 8000)})
    check_distinct({"A": ("127.0.0.2", 8000), "B": ("127.0.0.1", 8000), "C": ("127.0.0.1", 0), "D": ("127.0.0.1", 0)})


def test_an_address_of_another_machine(celeriac: Celeriac, place: pytest.MonkeyPatch) -> None:
    place.setenv("CELERIAC_AUTH", "keys")
    place.setenv("CELERIAC_API_HOST", "192.0.2.1")
    place.setenv("CELERIAC_API_PORT", "8000")
    assert "This machine does not have the address" in refused(celeriac).err


def test_a_dead_redis(celeriac: Celeriac, place: pytest.MonkeyPatch) -> None:
    place.setenv("CELERIAC_REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    ended = refused(celeriac)
    assert ended.exit == Exit.UNREACHABLE
    assert "unset it so that `celeriac up` starts one" in ended.err


def test_a_redis_that_drops_keys(celeriac: Celeriac, place: pytest.MonkeyPatch, redis_url: str) -> None:
    place.setenv("CELERIAC_REDIS_URL", redis_url)
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory-policy", "volatile-lru")
        client.config_set("maxmemory", "100mb")
        try:
            ended = refused(celeriac)
        finally:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", "0")
    assert ended.exit == Exit.REFUSED
    assert "volatile-lru" in ended.err


@pytest.mark.parametrize("setting", ["CELERIAC_MODELS", "CELERIAC_STATE"])
def test_a_folder_that_cannot_be_written(setting: str, celeriac: Celeriac, place: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place.setenv(setting, str(tmp_path / "file" / "folder"))
    ended = refused(celeriac)
    assert ended.exit == Exit.REFUSED
    assert setting in ended.err


def test_a_second_one_says_where_the_first_is(celeriac: Celeriac, tmp_path: Path) -> None:
    with lock.held(tmp_path / "state") as publish:
        publish({"url": "http://127.0.0.1:8000"})
        ended = refused(celeriac)
    assert ended.exit == Exit.CONFLICT
    assert f"process {os.getpid()}, http://127.0.0.1:8000" in ended.err


def test_the_file_of_an_ended_up_is_ignored(tmp_path: Path) -> None:
    with lock.held(tmp_path) as publish:
        publish({"url": "http://127.0.0.1:8000"})
    assert running.read(tmp_path) == {}


def test_too_old_a_python(tmp_path: Path) -> None:
    checkout, old = tmp_path / "checkout" / "scripts", tmp_path / "old"
    checkout.mkdir(parents=True)
    for name in ("up", "setup", "lock.txt"):
        (checkout / name).write_bytes((ROOT / "scripts" / name).read_bytes())
        (checkout / name).chmod(0o755)
    (checkout.parent / "pyproject.toml").touch()
    (checkout.parent / "client").mkdir()
    (checkout.parent / "client" / "pyproject.toml").touch()
    old.mkdir()
    (old / "python3").write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2"\nexit $([ "$1" = --version ]; echo $?)\n')
    (old / "python3").chmod(0o755)
    for tool in ("sh", "dirname", "cat", "cksum"):
        (old / tool).symlink_to(Path("/usr/bin") / tool)
    done = subprocess.run([checkout / "up"], env={"PATH": str(old)}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Celeriac needs Python 3.11 or newer, and python3 here is Python 3.9.2: install one")


def test_the_names_of_the_samples_are_those_that_are_trained() -> None:
    from app.samples.models import SAMPLES

    assert set(samples.NAMES) == set(SAMPLES)


def test_the_missing_samples_are_those_that_the_repository_lacks(sample_models: Path, tmp_path: Path) -> None:
    assert samples.missing(Repository(sample_models)) == []
    assert samples.missing(Repository(tmp_path)) == list(samples.NAMES)


def test_each_sample_has_held_out_rows_with_their_labels(sample_models: Path) -> None:
    examples = samples.examples(Repository(sample_models))
    assert list(examples) == list(samples.NAMES)
    assert all(row.keys() == {"input", "label"} for rows in examples.values() for row in rows)


async def test_a_process_that_is_not_ready_is_reported_with_the_text_of_its_probe(stranger: Stranger) -> None:
    stranger.status, stranger.content = 503, b'{"ok": false, "detail": "still loading lgbm@2"}'
    supervisor = Supervisor(lambda name, line: None)
    program = Program("worker", [sys.executable, "-c", "import time; time.sleep(60)"], _answers(stranger.url), timeout_s=5)
    with pytest.raises(CLIError, match=r"^worker is not ready after 5 s: still loading lgbm@2$"):
        await supervisor.run(supervisor.start(program))


async def test_samples_that_do_not_answer_are_skipped_with_the_reason(stranger: Stranger) -> None:
    def version(state: str, reason: str = "") -> list[dict[str, str]]:
        return [{"version": "1", "state": state, "reason": reason}]

    items = [
        {"name": "digits", "default": "1", "versions": version("UNAVAILABLE", "it was unloaded")},
        {"name": "wine", "default": "1", "versions": version("LOADING")},
    ]
    stranger.content = json.dumps({"items": items}).encode()
    row = [{"input": [0.0], "label": 1}]
    answers = await samples.ask(stranger.url, {"digits": row, "wine": row}, timeout_s=5)
    assert answers.jobs == []
    assert answers.skipped == {"digits": "it was unloaded", "wine": "it was still LOADING after 5 s"}
