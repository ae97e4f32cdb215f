"""What the commands print on a terminal of 80 columns, and what their help says."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer
from rich.markup import render

from app import __version__
from app.cli.main import app
from tests.cli.conftest import Celeriac, Stranger, Terminal

ID = "0198c2d4-7d1e-7a33-9c1b-4f6d2a8e5b10"
JOB = {
    "id": ID, "state": "succeeded", "model": "breast-cancer", "version": "12", "rows": 1000, "attempt": 1,
    "created_at": "2026-11-28T14:51:16.234Z", "wait_s": 0.0123, "run_s": 12.5,
}  # fmt: skip
LETTER = {
    "id": ID, "model": "wine", "version": "1", "attempts": [{}], "died_at": "2026-11-28T14:51:16.234Z",
    "error": {"code": "prediction_failed", "detail": "ValueError: could not convert a string to a float in the column alcohol"},
}  # fmt: skip
BATCH = {
    "id": "batch_0198c2d47d1e7a339c1b4f6d2a8e5b10", "status": "in_progress", "model": "wine", "version": "1", "owner": "team-a",
    "request_counts": {"total": 1_000_000, "completed": 500_000, "failed": 3}, "progress": {"rows_per_s": 12345.6},
}  # fmt: skip
TRAINING = JOB | {"request": {"model": "wine", "trainer": "random-forest"}, "result": {"version": "7", "gate": {"promoted": True}}}
PIPELINE = {"name": "digit-image", "reason": "Step 'vote' cannot run: the model 'digits-linear' does not exist.", "inputs": ["image"],
            "steps": ["decode", "one", "two", "vote"]}  # fmt: skip
SCHEDULE = {"name": "nightly-retraining", "cron": "30 2 * * mon-fri", "timezone": "Europe/Zurich", "run": {"training": {}},
            "next_at": "2026-11-28T14:51:16.234Z", "paused": False}  # fmt: skip
POOL = {
    "pool": "default", "state": "draining", "waiting": {"priority": 7, "interactive": 12, "bulk": 345, "flex": 8}, "running": 3, "workers": 1, "processes": 2, "obstacles": [],
    "scaling": {"ready": 1, "wanted": 1, "minimum": 0, "maximum": 5,
                "last_event": {"at": "2026-11-28T14:51:16Z", "reason": "SuccessfulRescale"}},
}  # fmt: skip
LISTS = [
    ("jobs list", {"items": [JOB] * 2, "next": None}, "breast-cancer@12"),
    ("dead-letters list", {"items": [LETTER], "next": None}, "alcohol"),
    ("batch list", {"data": [BATCH]}, "wine@1"),
    ("trainings list", {"items": [TRAINING], "next": None}, "breast-cancer"),
    ("pipelines list", {"items": [PIPELINE]}, "does not exist."),
    ("schedules list", {"items": [SCHEDULE]}, "30 2 * * mon-fri"),
    ("pools", {"items": [POOL], "note": ""}, "345"),
]


def _plain(text: str) -> list[str]:
    return re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()


OnATerminal = Callable[[str], list[str]]


@pytest.fixture
def on_a_terminal(celeriac: Celeriac, stranger: Stranger, monkeypatch: pytest.MonkeyPatch) -> OnATerminal:
    """The lines that a command writes to a terminal of 80 columns, without colors."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")

    def written(line: str) -> list[str]:
        terminal = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", terminal)
            patch.setattr(sys, "stderr", terminal)
            assert celeriac(*line.split(), "--url", stranger.url).exit == 0
        return _plain(terminal.getvalue())

    return written


@pytest.mark.slow
def test_a_real_terminal(stranger: Stranger) -> None:
    stranger.content = json.dumps({"items": [JOB], "next": None}).encode()
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": "80"}
    command = [sys.executable, "-m", "app", "jobs", "list", "--url", stranger.url]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    written = b""
    with contextlib.suppress(OSError):  # Linux reports the end of a terminal as an error
        while chunk := os.read(ours, 1 << 16):
            written += chunk
    os.close(ours)
    assert process.wait(30) == 0
    lines = _plain(written.decode())
    assert max(map(len, lines)) <= 80
    assert any(line.startswith(ID) for line in lines)


@pytest.mark.parametrize(("line", "content", "last"), LISTS, ids=[line for line, *_ in LISTS])
def test_a_list_fits_on_80_columns_and_keeps_what_names_a_row(
    line: str, content: Any, last: str, stranger: Stranger, on_a_terminal: OnATerminal
) -> None:
    stranger.content = json.dumps(content).encode()
    lines = on_a_terminal(line)
    assert max(map(len, lines)) <= 80
    items = content.get("items") or content.get("data")
    name = str(items[0].get("id") or items[0].get("name") or items[0].get("pool"))
    assert any(row.startswith(name) for row in lines)


@pytest.mark.parametrize(("line", "content", "last"), LISTS, ids=[line for line, *_ in LISTS])
def test_wide_prints_everything(line: str, content: Any, last: str, stranger: Stranger, on_a_terminal: OnATerminal) -> None:
    stranger.content = json.dumps(content).encode()
    lines = on_a_terminal(f"{line} --wide")
    assert not any("…" in row for row in lines)
    assert any(last in row for row in lines)


def test_a_reason_wraps_and_is_not_cut(stranger: Stranger, on_a_terminal: OnATerminal) -> None:
    stranger.content = json.dumps({"items": [PIPELINE]}).encode()
    text = " ".join(" ".join(on_a_terminal("pipelines list")).split())
    assert "UNAVAILABLE" in text
    assert "does not exist." in text


def test_what_a_narrow_terminal_hides_is_named(stranger: Stranger, on_a_terminal: OnATerminal) -> None:
    stranger.content = json.dumps({"items": [JOB], "next": None}).encode()
    assert "--wide also shows rows, attempt, created." in on_a_terminal("jobs list")


@pytest.mark.parametrize("name", ["show", "get"])
def test_a_job_is_shown_under_the_new_name_and_the_old_one(name: str, celeriac: Celeriac, stranger: Stranger) -> None:
    stranger.content = json.dumps(JOB).encode()
    assert ID in celeriac("jobs", name, ID, "--url", stranger.url).out
    assert (" get " in celeriac("jobs", "--help").out) is False


def test_the_version(celeriac: Celeriac) -> None:
    assert celeriac("--version").out == f"celeriac {__version__}\n"


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(shell: str) -> None:
    environment = os.environ | {"_CELERIAC_COMPLETE": f"source_{shell}"}
    script = subprocess.run([sys.executable, "-m", "app"], env=environment, capture_output=True, text=True, check=True).stdout
    assert "_CELERIAC_COMPLETE" in script
    if shell != "bash":
        return
    completion = os.environ | {"_CELERIAC_COMPLETE": "complete_bash", "COMP_WORDS": "celeriac jo", "COMP_CWORD": "1"}
    candidates = subprocess.run([sys.executable, "-m", "app"], env=completion, capture_output=True, text=True, check=False).stdout
    assert "jobs" in candidates.split()


def helps() -> Iterator[tuple[str, str]]:
    def walk(command: Any, path: str) -> Iterator[tuple[str, str]]:
        for parameter in command.params:
            if text := getattr(parameter, "help", None):
                yield f"{path} {parameter.name}", text
        for name, sub in getattr(command, "commands", {}).items():
            yield from walk(sub, f"{path} {name}")

    yield from walk(typer.main.get_command(app), "celeriac")


def test_no_part_of_a_help_text_is_taken_for_markup() -> None:
    texts = dict(helps())
    assert len(texts) > 100
    assert {where: render(text).plain for where, text in texts.items()} == {
        where: text.replace("\\[", "[") for where, text in texts.items()
    }
