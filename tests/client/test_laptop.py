"""`pip install 'celeriac[cli]'` on a machine without the server's libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.client.environments import Environment, clean, environment
from tests.running import Running

pytestmark = pytest.mark.slow


def python(laptop: Environment, code: str, cwd: Path, **variables: str) -> str:
    """What a program prints in the environment."""
    done = subprocess.run([laptop.python, "-c", code], cwd=cwd, env=clean(**variables), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_nothing_of_the_server_is_installed(laptop: Environment) -> None:
    names = {line.split()[0].lower() for line in laptop.pip("list").splitlines()[2:]}
    assert {"celeriac", "httpx", "typer", "rich"} <= names
    assert not names & {"celeriac-server", "scikit-learn", "celery", "kombu", "redis", "fastapi", "numpy", "pandas", "pyarrow"}
    assert laptop.pip("check").strip() == "No broken requirements found."


def test_without_the_extra_the_command_says_what_to_install(client_wheel: Path, tmp_path: Path) -> None:
    bare = environment(tmp_path / "env", client_wheel)
    assert python(bare, "import celeriac; print(celeriac.Client('http://a:1').url)", tmp_path) == "http://a:1"
    done = subprocess.run([bare.command, "jobs", "list"], env=clean(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr == "error: The command line needs typer and rich. Install them with: pip install 'celeriac[cli]'\n"


def test_help_lists_the_commands_that_use_the_api_and_no_others(laptop: Environment, tmp_path: Path) -> None:
    done = subprocess.run([laptop.command, "--help"], env=clean(COLUMNS="200"), cwd=tmp_path, capture_output=True, text=True, check=True)
    words = done.stdout.split()
    assert {"predict", "batch", "jobs", "dead-letters", "pipelines", "models", "pools", "train", "trainings", "schedules"} <= set(words)
    assert not {"up", "worker", "beat", "flower", "doctor"} & set(words)
    assert "3 unreachable" in " ".join(words)


def test_the_server_reads_tables_that_this_machine_has_no_library_for(laptop: Environment, running: Running, tmp_path: Path) -> None:
    rows = np.zeros((2, 10))
    np.save(tmp_path / "rows.npy", rows)
    pd.DataFrame(rows).rename(columns=str).to_parquet(tmp_path / "rows.parquet")
    for name in ("rows.npy", "rows.parquet"):
        line: list[Any] = [laptop.command, "predict", "diabetes", "--data", tmp_path / name, "--json", "--url", running.url]
        done = subprocess.run(line, env=clean(), capture_output=True, text=True, check=True)
        assert len(json.loads(done.stdout)["result"]) == 2


def test_a_package_app_of_the_user_works_beside_the_client(laptop: Environment, running: Running, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("name = 'the app of the user'\n")
    assert python(laptop, "import app, celeriac; print(app.name)", tmp_path, PYTHONPATH=".") == "the app of the user"
    line: list[Any] = [laptop.command, "models", "list", "--url", running.url]
    done = subprocess.run(line, cwd=tmp_path, env=clean(PYTHONPATH="."), capture_output=True, text=True, check=True)
    assert "diabetes" in done.stdout


def test_code_of_models_runs_without_a_server(laptop: Environment, tmp_path: Path) -> None:
    code = """
from celeriac import progress, step, trainer

@step
def clean(text: str) -> str:
    progress(0.5, "half")
    return text.lower()

@trainer("shallow-tree")
def shallow_tree(rows, target, depth=3):
    return depth

print(clean("ABC"), shallow_tree([], []))
"""
    assert python(laptop, code, tmp_path) == "abc 3"


def test_a_program_that_uses_the_client_passes_mypy_strict(laptop: Environment, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("""
import asyncio
from celeriac import AsyncClient, Batch, Client, Event, Job, JobFailed, Model, progress, step, trainer


@step
def lower(text: str) -> str:
    progress(0.5, "half")
    return text.lower()


@trainer("shallow-tree")
def shallow_tree(rows: object, target: object, depth: int = 3) -> int:
    return depth


def use(client: Client) -> list[str]:
    job: Job = client.submit("digits", [[1.0]], method="predict")
    for event in job.events(timeout=5):
        name: Event = event
    batch: Batch = client.batch("digits", "in.csv", "out.csv")
    models: list[Model] = client.models.list()
    try:
        job.result(timeout=5)
    except JobFailed as error:
        return [error.code, error.traceback, batch.id, lower("A")]
    return [model["name"] for model in models] + [listed.id for listed in client.jobs.list(limit=3)]


async def main() -> None:
    async with AsyncClient("http://localhost:8000", timeout=5) as client:
        print(await client.predict("digits", [[1.0]]), [job.id async for job in client.trainings.list(state="failed")])


asyncio.run(main())
""")
    line: list[Any] = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--python-executable",
        laptop.python,
        "--cache-dir",
        tmp_path / "cache",
        "program.py",
    ]
    done = subprocess.run(line, cwd=tmp_path, env=clean(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("shell", "script", "variables"),
    [
        ("bash", ".bash_completions/celeriac.sh", {"COMP_WORDS": "celeriac jo", "COMP_CWORD": "1"}),
        ("zsh", ".zfunc/_celeriac", {"_TYPER_COMPLETE_ARGS": "celeriac jo"}),
        (
            "fish",
            ".config/fish/completions/celeriac.fish",
            {"_TYPER_COMPLETE_ARGS": "celeriac jo", "_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_WORD_TO_COMPLETE": "jo"},
        ),
    ],
)
def test_a_shell_completes_commands(shell: str, script: str, variables: dict[str, str], laptop: Environment, tmp_path: Path) -> None:
    # Without the variable the shell is that of the process above, which is a test here.
    home = {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    for option in ("--show-completion", "--install-completion"):
        line: list[Any] = [laptop.command, option, shell]
        printed = subprocess.run(line, env=clean(**home), capture_output=True, text=True, check=True).stdout
        assert "_CELERIAC_COMPLETE" in printed or option == "--install-completion"
    assert "_CELERIAC_COMPLETE" in (tmp_path / script).read_text()
    environment = clean(_CELERIAC_COMPLETE=f"complete_{shell}", **variables)
    assert "jobs" in subprocess.run([laptop.command], env=environment, capture_output=True, text=True, check=False).stdout


def test_bash_completes_what_was_installed(laptop: Environment, tmp_path: Path) -> None:
    """As a person: install once, open a shell, press tab."""
    installed = subprocess.run(
        ["bash", "-c", f"{laptop.command} --install-completion; true"],
        env=clean(HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "bash completion installed" in installed.stdout, installed.stderr
    shell = f"""
PATH={laptop.command.parent}:$PATH
source {tmp_path}/.bashrc
COMP_WORDS=(celeriac jobs wa) COMP_CWORD=2
_celeriac_completion celeriac wa jobs
echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", shell], env=clean(HOME=str(tmp_path)), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["watch"]
