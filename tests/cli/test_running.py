"""Commands and canvas find the `celeriac up` that runs in their folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celeriac_cli import running
from celeriac_cli.address import default_url

from app.cli import lock
from app.cli.program import PYTHON, python_path
from app.settings import settings
from tests.cli.conftest import Celeriac, Stranger

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory without settings."""
    for name in [name for name in os.environ if name.startswith("CELERIAC_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def test_a_command_asks_the_server_of_its_folder(folder: Path, celeriac: Celeriac, stranger: Stranger) -> None:
    stranger.content = b'{"items": [], "next": null}'
    with lock.held(Path(".celeriac")) as publish:
        publish({"url": stranger.url})
        assert celeriac("jobs", "list").out == "No jobs.\n"
        (folder / "notebooks").mkdir()
        os.chdir("notebooks")
        assert celeriac("jobs", "list").out == "No jobs.\n"
        assert celeriac("jobs", "list", "--url", "http://127.0.0.1:1").exit == 3


@pytest.mark.parametrize("named", [{"CELERIAC_URL": "http://a:1"}, {"CELERIAC_API_PORT": "1"}, {"CELERIAC_API_HOST": "127.0.0.9"}])
def test_a_setting_goes_before_it(named: dict[str, str], folder: Path) -> None:
    with lock.held(Path(".celeriac")) as publish:
        publish({"url": "http://127.0.0.1:4711"})
        for ignored in ({}, {"CELERIAC_API_PORT": "tcp://10.0.0.7:8000"}, {"CELERIAC_API_PORT": "0"}):
            assert default_url(ignored) == "http://127.0.0.1:4711"
        assert default_url(named) != "http://127.0.0.1:4711"


def test_one_that_was_killed_is_not_found(folder: Path) -> None:
    script = """
import time
from pathlib import Path
from app.cli import lock
with lock.held(Path(".celeriac")) as publish:
    publish({"url": "http://127.0.0.1:4711"})
    print("held", flush=True)
    time.sleep(60)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment)
    assert process.stdout
    with process.stdout:
        process.stdout.readline()
        assert running.read(Path(".celeriac"))["url"] == "http://127.0.0.1:4711"
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert (folder / ".celeriac" / "up.json").read_text()
    assert running.read(Path(".celeriac")) == {}


def test_canvas_uses_its_redis(folder: Path) -> None:
    script = "from app.canvas import app; print(app.conf.broker_url, app.conf.result_backend)"
    with lock.held(Path(".celeriac")) as publish:
        publish({"redis_url": "redis://127.0.0.1:4711/0"})
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        printed = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["redis://127.0.0.1:4711/0"] * 2


@pytest.mark.parametrize("path", ["", "."])
def test_a_package_app_of_the_caller_does_not_come_before_ours(path: str, folder: Path) -> None:
    (folder / "app").mkdir()
    (folder / "app" / "__init__.py").write_text("raise ImportError('the app of the caller')")
    (folder / "steps.py").touch()
    environment = os.environ | {"PYTHONPATH": path}
    script = Path(sys.executable).with_name("celeriac")
    assert subprocess.run([script, "--version"], env=environment, capture_output=True, text=True, check=True).stdout
    # As `up` starts its processes: modules of the caller beside it are still found.
    command = [*PYTHON, "--version"]
    environment["PYTHONPATH"] = python_path()
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert subprocess.run([*PYTHON[:2], "-c", "import steps"], env=environment, check=True).returncode == 0
