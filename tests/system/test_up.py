"""From nothing to real answers, and back to nothing."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from app.cli.ports import free_port
from tests.running import ROOT
from tests.system.conftest import Installation


def session_of(pid: int) -> set[int]:
    """Every process that this one started, and they, and they."""
    found: set[int] = set()
    children = {int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()}
    for child in children:
        found |= {child} | session_of(child)
    return found


def test_it_shows_what_each_sample_answered_beside_what_is_true(installation: Installation) -> None:
    written = "\n".join(installation.lines)
    assert all(
        re.search(rf"^{name} +1 +\S+ +\S+ +[\d.]+$", written, re.MULTILINE) for name in ("breast-cancer", "diabetes", "digits", "wine")
    )


def test_the_curl_line_that_it_prints_can_be_pasted(installation: Installation) -> None:
    (line,) = (line for line in installation.lines if line.startswith("curl"))
    done = subprocess.run(shlex.split(line), capture_output=True, text=True, check=True)
    assert '"state":"succeeded"' in done.stdout


def test_its_log_has_no_errors_and_no_colour_in_a_pipe(installation: Installation) -> None:
    # A pause is a figure of the machine: other tests run beside this one.
    wrong = re.compile(r"\x1b|Traceback|│ [\d:.]+ (warning (?!pauses )|error|critical) ")
    assert [line for line in installation.lines if wrong.search(line)] == []


def test_flower_shows_the_tasks(installation: Installation) -> None:
    (url,) = re.findall(r"Flower +(\S+)", "\n".join(installation.lines))
    table = "draw=1&start=0&length=10&search[value]=&order[0][column]=0&order[0][dir]=asc&columns[0][data]=name"
    end = time.monotonic() + 10
    while "celeriac.predict" not in httpx.get(f"{url}/tasks/datatable?{table}").text:
        assert time.monotonic() < end, "Flower shows no task"
        time.sleep(0.1)  # workers tell Flower twice a second, and nobody else


def test_a_second_one_beside_it_says_so_and_stops(installation: Installation) -> None:
    done = subprocess.run([sys.executable, "-m", "app", "up"], env=installation.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 6
    assert f"process {installation.process.pid}, {installation.url}" in done.stderr
    assert httpx.get(f"{installation.url}/readyz").is_success


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.extended)])
def test_whatever_ends_it_nobody_stays(number: signal.Signals, sample_models: Path, tmp_path: Path) -> None:
    if number is signal.SIGKILL:  # once, `up` trains the samples itself
        shutil.copytree(sample_models, tmp_path / "models")
    installation = Installation.start(tmp_path)
    started = session_of(installation.process.pid)
    names = {Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[-2] for pid in started}
    assert {b"api", b"worker", b"flower"} <= names
    # Open before the end: a pid may be given again, this handle stays with its process.
    handles = [os.pidfd_open(pid) for pid in started]
    code = installation.stop(number)
    assert code == (0 if number is signal.SIGINT else -signal.SIGKILL)
    for handle in handles:
        wait_for(handle)


def test_ctrl_c_while_it_trains_the_samples_is_quiet(tmp_path: Path) -> None:
    installation = Installation.begin(tmp_path)
    end = time.monotonic() + 60
    while not any(b"samples" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in session_of(installation.process.pid)):
        assert time.monotonic() < end, "\n".join(installation.lines)
        time.sleep(0.05)  # another process sets no event of ours
    # A terminal signals the process group of `up` alone: its programs have sessions of their own.
    assert (installation.stop(), installation.welcomed.wait(60)) == (0, True)
    assert not any("Traceback" in line for line in installation.lines)


def wait_for(handle: int) -> None:
    import select

    ended, _, _ = select.select([handle], [], [], 30)
    os.close(handle)
    assert ended


@pytest.mark.extended
def test_an_installation_that_fails_says_so_and_is_tried_again_next_time(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    for name in ("scripts/setup", "scripts/lock.txt", "pyproject.toml", "README.md", "LICENSE"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    shutil.copytree(ROOT / "client", tmp_path / "client")
    (tmp_path / "scripts" / "setup").chmod(0o755)
    nowhere = os.environ | {"PIP_INDEX_URL": f"http://127.0.0.1:{free_port()}", "PIP_RETRIES": "0", "PIP_NO_INPUT": "1"}
    done = subprocess.run([tmp_path / "scripts" / "setup"], env=nowhere, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Installing Celeriac and its dependencies into .venv")
    assert "check the connection to the package index" in done.stderr
    assert not list((tmp_path / ".venv").glob("installed-*"))
