"""What the doctor finds."""

from __future__ import annotations

import errno
import json
import re
import socket
import sys
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from celeriac_cli.errors import Exit

from app.cli import checks, lock
from app.cli.checks import Finding
from app.cli.ports import free_port
from app.registry.repository import Repository
from app.settings import Settings, settings
from app.store import keys
from app.store.quarantine import Quarantine
from app.store.redis.url import Address
from tests.cli.conftest import Celeriac, Stranger, Terminal


def states(findings: Iterable[Finding]) -> dict[str, str]:
    return {finding.what: finding.state for finding in findings}


def test_packages_as_pinned_are_right(tmp_path: Path) -> None:
    from importlib.metadata import version

    (tmp_path / "lock.txt").write_text(f"# comment\nredis=={version('redis')}\nabsent==1.0 ; sys_platform == 'win32'\n")
    assert states(checks.packages(tmp_path / "lock.txt")) == {"packages": "ok"}


def test_a_package_that_a_new_environment_has_may_differ(tmp_path: Path) -> None:
    (tmp_path / "lock.txt").write_text("setuptools==1.0\n")
    assert states(checks.packages(tmp_path / "lock.txt")) == {"packages": "ok"}


def test_a_package_of_another_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "lock.txt").write_text("redis==1.0\n")
    (finding,) = checks.packages(tmp_path / "lock.txt")
    assert (finding.state, "not 1.0" in finding.detail) == ("wrong", True)


def test_a_pin_for_each_python_is_right(tmp_path: Path) -> None:
    from importlib.metadata import version

    (tmp_path / "lock.txt").write_text(
        f"numpy==1.0 ; python_full_version < '3.9'\nnumpy=={version('numpy')} ; python_full_version >= '3.9'\n"
    )
    assert states(checks.packages(tmp_path / "lock.txt")) == {"packages": "ok"}


def test_a_folder_that_cannot_be_made_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    configured = Settings(models=tmp_path / "file" / "models", state=tmp_path / "new" / "state")
    assert states(checks.folders(configured)) == {"CELERIAC_MODELS": "wrong", "CELERIAC_STATE": "ok"}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_models_on_a_read_only_mount_are_worth_knowing_and_a_state_there_is_wrong() -> None:
    refused = OSError(errno.EROFS, "Read-only file system")
    assert checks.unwritable("CELERIAC_MODELS", Path("/models"), refused).state == "note"
    assert checks.unwritable("CELERIAC_STATE", Path("/state"), refused).state == "wrong"
    assert checks.unwritable("CELERIAC_MODELS", Path("/models"), PermissionError(errno.EACCES, "Permission denied")).state == "wrong"


def test_a_port_of_another_program_is_wrong_and_a_free_one_is_right(stranger: Stranger) -> None:
    configured = Settings(api_port=stranger.server.server_port, flower_port=free_port(), worker_port=0)
    assert states(checks.ports(configured)) == {"CELERIAC_API_PORT": "wrong", "CELERIAC_FLOWER_PORT": "ok", "CELERIAC_WORKER_PORT": "ok"}


def test_a_port_that_answers_as_we_do_is_right(stranger: Stranger) -> None:
    stranger.content = b'{"ok": true}'
    configured = Settings(api_port=stranger.server.server_port, flower_port=0, worker_port=0)
    assert states(checks.ports(configured))["CELERIAC_API_PORT"] == "ok"


def test_the_ports_of_the_running_up_count_and_not_the_settings(stranger: Stranger, tmp_path: Path) -> None:
    stranger.content = b'{"ok": true}'
    with socket.create_server(("127.0.0.1", 0)) as taken, lock.held(tmp_path) as publish:
        publish({"url": stranger.url, "worker_url": f"http://127.0.0.1:{free_port()}", "redis_url": "redis://127.0.0.1:1/0", "models": "m"})
        port = taken.getsockname()[1]
        configured = Settings(api_port=port, flower_port=0, worker_port=port, state=tmp_path)
        findings = {finding.what: finding for finding in checks.every(configured)}
    assert findings["CELERIAC_API_PORT"].state == "ok"
    assert findings["CELERIAC_API_PORT"].detail == f"{stranger.url} is used by `celeriac up`"
    # A worker that does not answer yet is not a fault of the settings.
    assert findings["CELERIAC_WORKER_PORT"].state == "note"
    # A record without Flower, of an older `up`: the setting counts.
    assert findings["CELERIAC_FLOWER_PORT"].state == "ok"


def test_flower_is_recognized_under_its_prefix() -> None:
    paths: list[str] = []

    class Flower(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200 if self.path == "/flower/healthcheck" else 404)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"OK" if self.path == "/flower/healthcheck" else b"no")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Flower) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            configured = Settings(api_port=0, worker_port=0, flower_port=server.server_port, flower_url_prefix="/flower/")
            assert states(checks.ports(configured))["CELERIAC_FLOWER_PORT"] == "ok"
            up = {"flower_url": f"http://127.0.0.1:{server.server_port}/flower"}
            assert states(checks.ports(Settings(api_port=0, worker_port=0), up))["CELERIAC_FLOWER_PORT"] == "ok"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("auth", "state"), [("none", "note"), ("keys", "ok")])
def test_an_api_without_keys_is_worth_a_note(auth: Any, state: str) -> None:
    assert [finding.state for finding in checks.authentication(Settings(auth=auth))] == [state]


def test_a_redis_without_a_file_is_worth_a_note(redis_url: str) -> None:
    assert [finding.state for finding in checks.redis(Address.parse(redis_url, settings()))] == ["ok", "note"]


def test_a_dead_redis_is_wrong() -> None:
    assert [finding.state for finding in checks.redis(Address.parse(f"redis://127.0.0.1:{free_port()}", settings()))] == ["wrong"]


def model(
    *versions: tuple[str, str, str], default: str, aliases: dict[str, str] | None = None, unloaded: bool = False
) -> dict[str, object]:
    listed = [{"version": version, "state": state, "reason": reason, "unloaded": unloaded} for version, state, reason in versions]
    return {"name": "wine", "default": default, "aliases": aliases or {}, "versions": listed}


def test_the_folder_of_the_running_server_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CELERIAC_MODELS", raising=False)
    (tmp_path / "state").mkdir()
    (tmp_path / "theirs").mkdir()
    about = {"url": "http://127.0.0.1:1", "redis_url": "redis://127.0.0.1:1/0", "models": str(tmp_path / "theirs")}
    (tmp_path / "state" / "up.json").write_text(json.dumps(about))
    with lock.held(tmp_path / "state") as publish:
        publish(about)
        findings = {finding.what: finding for finding in checks.every(Settings(state=tmp_path / "state"))}
    assert findings["CELERIAC_MODELS"].detail == f"{tmp_path / 'theirs'} can be written"
    assert "repository" not in findings


def test_a_superseded_version_that_is_not_loaded_is_right() -> None:
    findings = list(checks._model(model(("1", "COLD", ""), ("2", "READY", ""), default="2", aliases={"production": "2"})))
    assert [(finding.what, finding.state) for finding in findings] == [("wine@1", "ok"), ("wine@2", "ok")]
    assert findings[0].detail == "superseded version, not loaded"


@pytest.mark.parametrize(
    ("state", "reason", "unloaded", "expected"),
    [
        ("UNAVAILABLE", "no module named 'lightgbm'", False, "wrong"),
        ("UNAVAILABLE", "it was unloaded, says its code", False, "wrong"),
        ("UNAVAILABLE", "somebody did it", True, "note"),
        ("LOADING", "", False, "note"),
        ("COLD", "", False, "note"),
    ],
)
def test_a_version_that_is_used(state: str, reason: str, unloaded: bool, expected: str) -> None:
    assert [finding.state for finding in checks._model(model(("1", state, reason), default="1", unloaded=unloaded))] == [expected]


def test_a_superseded_version_that_cannot_be_served_is_worth_a_note() -> None:
    versions = ("1", "UNAVAILABLE", "it was trained with scikit-learn 0.9"), ("2", "READY", "")
    assert [finding.state for finding in checks._model(model(*versions, default="2"))] == ["note", "ok"]


@pytest.mark.parametrize(
    ("workers", "scaling", "expected"),
    [(0, None, ["wrong"]), (0, {"minimum": 0}, ["ok"]), (0, {"minimum": 1}, ["wrong"]), (2, None, [])],
)
def test_a_pool_without_workers_is_wrong_unless_a_scaler_starts_one(
    workers: int, scaling: dict[str, int] | None, expected: list[str], stranger: Stranger
) -> None:
    stranger.content = json.dumps({"items": [{"pool": "gpu", "workers": workers, "scaling": scaling}]}).encode()
    assert [finding.state for finding in checks._pools(stranger.url, {"workers": 0})] == expected


def test_faults_of_the_repository_are_reported_without_an_api(tmp_path: Path) -> None:
    (tmp_path / "digits" / "1").mkdir(parents=True)
    assert states(checks.models(f"http://127.0.0.1:{free_port()}", Repository(tmp_path))) == {"API": "note", "repository": "wrong"}


@pytest.mark.parametrize("content", [b"[1]", b"nothing"])
def test_another_program_in_the_place_of_the_api_breaks_nothing(content: bytes, stranger: Stranger, tmp_path: Path) -> None:
    stranger.content = content
    assert states(checks.models(stranger.url, Repository(tmp_path))) == {"API": "note"}


async def test_what_loops_could_not_handle_is_shown(redis_url: str) -> None:
    address = Address.parse(redis_url, Settings())
    assert list(checks.set_aside(address)) == []
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        await client.zadd(keys.EVENTS, {b"\xff": 0})
        await Quarantine(client, Settings()).aside(keys.EVENTS, b"\xff", ValueError("it is not UTF-8"), attempts=1)
        assert await client.zcard(keys.EVENTS) == 0
    [finding] = checks.set_aside(address)
    assert finding.state == "note"
    assert "\\xff" in finding.detail
    assert "it is not UTF-8" in finding.detail


async def test_the_quarantine_is_bounded_and_survives_keys_of_a_wrong_type(redis_url: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        await client.rpush(keys.QUARANTINE, "x")
        await client.set(keys.QUARANTINE_NOTES, "x")
        quarantine = Quarantine(client, Settings(max_quarantine=5))
        for number in range(8):
            await quarantine.aside(keys.EVENTS, str(number).encode(), ValueError(number), attempts=1)
        assert await client.zcard(keys.QUARANTINE) == await client.hlen(keys.QUARANTINE_NOTES) == 5
        assert await client.ttl(keys.QUARANTINE) > 0
    notes = [finding.detail for finding in checks.set_aside(Address.parse(redis_url, Settings()))]
    assert ["'7'" in notes[0], "'3'" in notes[-1]] == [True, True]


FINDINGS = [
    Finding("packages", "ok", "Python 3.13.5; all as in lock.txt"),
    Finding("CELERIAC_API_PORT", "wrong", "8000 is used by another program", "set CELERIAC_API_PORT to another port, or to 0 for any"),
    Finding("breast-cancer-of-the-second-clinic@2026.11.28", "note", "not loaded; the first request loads it"),
    Finding(
        "pool gpu-of-the-second-clinic",
        "wrong",
        "No worker is running: jobs wait.",
        "start one: CELERIAC_POOL=gpu-of-the-second-clinic celeriac worker",
    ),
    Finding("Redis", "wrong", "maxmemory-policy is volatile-lru, which drops keys when memory is full. " * 3, "see docs/how-to/redis.md"),
]


def test_everything_is_readable_on_80_columns(celeriac: Celeriac, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(checks, "every", lambda settings: iter(FINDINGS))
    with monkeypatch.context() as patch:
        terminal = Terminal()
        patch.setattr(sys, "stdout", terminal)
        ended = celeriac("doctor")
    written = re.sub(r"\x1b\[[\d;]*m", "", terminal.getvalue())
    lines = written.splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(written.split())
    for finding in FINDINGS:
        advice = f" → {finding.remedy}" if finding.remedy else ""
        assert f"{finding.state} {finding.what}: {finding.detail.strip()}{advice}" in text
    # What is wrong comes first.
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["wrong", "wrong", "wrong", "note", "ok"]
    assert (ended.exit, "3 of 5 checks found something wrong" in ended.err) == (Exit.FAILED, True)


def test_a_pipe_gets_a_line_for_each_text(celeriac: Celeriac, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "every", lambda settings: iter(FINDINGS[-1:]))
    lines = [line.rstrip() for line in celeriac("doctor").out.splitlines()]
    assert lines == [f"wrong  Redis: {FINDINGS[-1].detail.strip()}", "       → see docs/how-to/redis.md"]
