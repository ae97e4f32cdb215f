"""Every command that uses the API, run as `pip install 'celeriac[cli]'` installs it, against a server on the same machine."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from celeriac_cli.errors import Exit

from app.registry.repository import Repository
from app.runtime.publishing import publish
from tests.cli.conftest import Ended
from tests.client.conftest import client_wheel as client_wheel
from tests.client.conftest import laptop as laptop
from tests.client.environments import Environment, clean
from tests.code import GREETING
from tests.documentation.blocks import block
from tests.misbehaving import RAISE, Moody
from tests.registries import running_registry
from tests.running import wait_until_ready
from tests.system.conftest import Installation

pytestmark = pytest.mark.extended
ON_THE_SERVER = (". .venv/", "celeriac doctor", "celeriac pipelines samples")
"""Lines of the tutorial for the machine of the server."""
ALL_COMMANDS = """
import typer
from celeriac_cli import main

def walk(command, *words):
    children = {name: child for name, child in getattr(command, "commands", {}).items() if not child.hidden}
    if not children or command.invoke_without_command and words:
        print(*words)
    for name, child in children.items():
        walk(child, *words, name)

app = main.program()
main.add_commands(app)
walk(typer.main.get_command(app))
"""


@dataclass
class Laptop:
    """Runs commands in a folder of their own."""

    environment: Environment
    folder: Path
    url: str
    commands: set[str]

    def __call__(self, *arguments: str, exit: Exit = Exit.OK, words: int = 2) -> Ended:
        """Run one command, of which the first `words` are its name."""
        self.commands.add(" ".join(arguments[:words]))
        line: list[Any] = [self.environment.command, *arguments]
        done = subprocess.run(line, cwd=self.folder, env=clean(CELERIAC_URL=self.url), capture_output=True, text=True, check=False)
        assert done.returncode == exit, f"{arguments}: {done.stdout}{done.stderr}"
        return Ended(done.returncode, done.stdout, done.stderr)

    def id(self, *arguments: str, words: int = 2) -> str:
        """The id in what a command prints."""
        return str(self(*arguments, "--json", words=words).json["id"])


@pytest.fixture(scope="module")
def celeriac(laptop: Environment, installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    folder = tmp_path_factory.mktemp("laptop")
    repository = Repository(installation.folder / "models")
    rows = [example["input"] for example in repository.examples("wine", "1")]
    with (folder / "wine.csv").open("w") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    (folder / "moody.json").write_text(json.dumps([[float(RAISE), 0.0]]))
    (folder / "calm.json").write_text("[[0.0, 0.0]]")
    (folder / "run.json").write_text(json.dumps({"pipeline": {"pipeline": "digit-image", "inputs": {"image": {"b64": ""}}}}))
    publish(repository, Moody(), "moody", sample=np.zeros((3, 2)), format="joblib", promote="production")
    line = [sys.executable, "-m", "app", "pipelines", "samples", "--models", str(repository.root)]
    subprocess.run(line, env=installation.environment, capture_output=True, check=True)
    wait_until_ready(f"{installation.url}/v2/models/moody/ready")
    return Laptop(laptop, folder, installation.url, set())


@pytest.mark.parametrize(
    ("page", "word", "printed"),
    [
        ("docs/tutorial/1-first-prediction.md", "celeriac models list", "succeeded"),
        ("docs/tutorial/3-a-batch.md", "celeriac batch run", "442 of 442 answered"),
        ("docs/tutorial/4-a-pipeline.md", "celeriac pipelines run", '"digit": 7'),
        ("docs/tutorial/5-train-and-promote.md", "celeriac train", "cancer@production"),
    ],
)
def test_the_tutorial_runs_with_the_client_alone(celeriac: Laptop, tmp_path: Path, page: str, word: str, printed: str) -> None:
    lines = [line for line in block(page, word, "sh").splitlines() if not line.startswith(ON_THE_SERVER)]
    (tmp_path / "celeriac").symlink_to(celeriac.environment.command)
    # The `python` of this test has scikit-learn, which makes the data.
    path = f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = clean(CELERIAC_URL=celeriac.url) | {"PATH": path}
    done = subprocess.run(["sh", "-ec", "\n".join(lines)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout


def test_predictions_and_jobs(celeriac: Laptop) -> None:
    done = celeriac("predict", "wine", "--data", "wine.csv", "--json", words=1).json
    assert len(done["result"]) == len((celeriac.folder / "wine.csv").read_text().splitlines()) - 1
    id = celeriac.id("predict", "wine", "--data", "wine.csv", "--wait", "0", words=1)
    assert celeriac("jobs", "watch", id, "--json").json["state"] == "succeeded"
    assert id in celeriac("jobs", "show", id).out
    assert "attempts" in celeriac("jobs", "show", id, "--details").out
    assert "queued" in celeriac("jobs", "why", id).out
    assert id in [job["id"] for job in celeriac("jobs", "list", "--json").json]
    assert celeriac("jobs", "list", "--id-prefix", id, "--kind", "pipeline", "--since", "2026-01-01T00:00:00Z", "--json").json == []
    assert celeriac("jobs", "cancel", id, "--json").json["state"] == "succeeded"
    celeriac("jobs", "retry", id, exit=Exit.CONFLICT)
    assert celeriac("jobs", "cancel", "--model", "wine", "--dry-run").out == "0 would be cancelled\n"
    assert celeriac("jobs", "cancel", "--model", "wine").out == "0 cancelled\n"
    celeriac("jobs", "cancel", exit=Exit.USAGE)


def test_models_and_pools(celeriac: Laptop) -> None:
    assert "wine" in celeriac("models", "list").out
    assert "alcohol" in celeriac("models", "show", "wine").out
    assert "wine@1, last 24h" in celeriac("models", "drift", "wine").out
    assert "Wrote drift.html" in celeriac("models", "drift", "wine", "--html", "drift.html").out
    assert celeriac("models", "captures", "wine").out.endswith("0 rows in 0 files.\n")
    assert "No rows were captured" in celeriac("models", "quality", "wine").out
    (celeriac.folder / "truths.jsonl").write_text('{"model": "wine", "job": "order-4711", "actual": 1}\n')
    assert "captures no outputs" in celeriac("models", "feedback", "truths.jsonl", exit=Exit.USAGE).err
    for command, paused in (("pause", True), ("resume", False)):
        assert bool(celeriac("models", command, "wine", "--json").json["pause"]) == paused
    shutil.copytree(GREETING, celeriac.folder / "greeting", dirs_exist_ok=True)
    assert "laptop@production is now 1" in celeriac("models", "publish", "laptop", "./greeting", "--alias", "production").out
    assert "laptop@champion is now 1" in celeriac("models", "promote", "laptop", "1", "--alias", "champion").out
    assert "laptop@champion is now 2" in celeriac("models", "publish", "laptop", "./greeting", "--alias", "champion").out
    assert celeriac("models", "rollout", "laptop", "2", "--steps", "10", "--json").json["percent"] == 10
    assert celeriac("models", "status", "laptop", "--json").json["state"] == "running"
    assert celeriac("models", "rollback", "laptop", "--json").json["state"] == "rolled_back"
    assert celeriac("models", "shadow", "laptop", "2", "--rate", "1", "--json").json["shadow"] == "2"
    celeriac("models", "shadow", "laptop", "--off")
    assert celeriac("models", "replay", "laptop", "--to", "2", "--json").json["rows"] == 0
    follow = celeriac("models", "follow", "wine", "--from", "models:/wine@champion", "--once", exit=Exit.USAGE)
    assert "MLFLOW_TRACKING_URI is not set" in follow.err
    with running_registry() as registry:
        reference = f"oci://{registry}/acme/carried:1"
        celeriac("models", "push", "./greeting", reference, "--plain-http")
        assert "carried@production is now 1" in celeriac("models", "pull", reference, "--plain-http", "--alias", "production").out
        (celeriac.folder / "models.yaml").write_text(f"models: [{{name: carried, from: '{reference}', plain_http: true}}]")
        assert celeriac("models", "sync", "models.yaml").out == "Nothing to change: 1 models.\n"
        digest = celeriac("models", "push", "./greeting", reference, "--plain-http", "--json").json["digest"]
        assert celeriac("models", "show", "carried@1", "--json").json["description"] == reference.replace(":1", f"@{digest}")
    assert "default" in celeriac("pools", words=1).out
    for command, state in (("pause", "paused"), ("drain", "draining"), ("resume", "active")):
        assert celeriac("pools", command, "training", "--json").json["state"] == state
    changes = celeriac("audit", "list", "--action", "pool.*", "--json").json
    assert [change["action"] for change in changes] == ["pool.resumed", "pool.drained", "pool.paused"]
    assert celeriac("audit", "verify", "--json").json["valid"] is True
    assert celeriac("limits").out == "No limits.\n"
    assert "wait p95" in celeriac("stats", "--since", "-2h", words=1).out
    assert "run_s" in celeriac("usage", "--group-by", "model", words=1).out


def test_batches(celeriac: Laptop) -> None:
    id = celeriac.id("batch", "run", "wine", "wine.csv", "out.jsonl")
    assert "predict" in (celeriac.folder / "out.jsonl").read_text()
    assert id in celeriac("batch", "list").out
    assert id in celeriac("batch", "show", id).out
    assert celeriac("batch", "watch", id, "--json").json["status"] == "completed"
    celeriac("batch", "cancel", id, exit=Exit.CONFLICT)
    celeriac("batch", "resume", id, exit=Exit.CONFLICT)


def test_dead_letters(celeriac: Laptop) -> None:
    for _ in range(2):
        celeriac("predict", "moody", "--data", "moody.json", exit=Exit.FAILED, words=1)
    letters = celeriac("dead-letters", "list", "--model", "moody", "--json").json
    assert len(letters) == 2
    [group] = celeriac("dead-letters", "groups", "--model", "moody", "--json").json
    assert (group["count"], group["exception"], group["newest"]) == (2, "ValueError", letters[0]["id"])
    assert "not in the mood" in celeriac("dead-letters", "show", letters[0]["id"]).out
    replayed = celeriac("dead-letters", "replay", letters[0]["id"], "--data", "calm.json", "--json").json
    assert celeriac("jobs", "watch", replayed["jobs"][0]["id"], "--json").json["state"] == "succeeded"
    celeriac("dead-letters", "discard", exit=Exit.USAGE)
    assert celeriac("dead-letters", "discard", "--model", "moody").out == "1 discarded\n"


def test_keys_cannot_be_changed_while_none_is_needed(celeriac: Laptop) -> None:
    assert celeriac("keys", "list").out == "No keys.\n"
    celeriac("keys", "show", "7Jq2mX0a", exit=Exit.NOT_FOUND)
    assert "CELERIAC_AUTH is none" in celeriac("keys", "create", "ci", "--role", "user", exit=Exit.CONFLICT).err
    for command in ("rotate", "disable", "enable", "delete"):
        celeriac("keys", command, "7Jq2mX0a", exit=Exit.CONFLICT)


def test_pipelines(celeriac: Laptop) -> None:
    assert "digit-image" in celeriac("pipelines", "list").out
    assert "flowchart" in celeriac("pipelines", "show", "digit-image").out
    celeriac("pipelines", "run", "digit-image", "image", exit=Exit.USAGE)
    assert celeriac("pipelines", "run", "digit-image", "image=@wine.csv", "--wait", "0", "--json").json["pipeline"] == "digit-image"


def test_trainings(celeriac: Laptop) -> None:
    options = ("--target", "alcohol", "--model", "strength", "--trainer", "ridge", "--cv", "2", "--no-wait")
    assert "ridge" in celeriac("trainings", "trainers").out
    id = celeriac.id("train", "wine.csv", *options, words=1)
    assert celeriac("trainings", "watch", id, "--json").json["result"]["version"] == "1"
    assert id in celeriac("trainings", "list").out
    assert "ridge" in celeriac("trainings", "show", id).out
    assert celeriac("trainings", "cancel", id).out == "succeeded\n"


def test_schedules(celeriac: Laptop) -> None:
    celeriac("schedules", "create", "weekdays", "--run", "run.json", "--cron", "30 2 * * mon-fri", "--timezone", "Europe/Zurich")
    assert "weekdays" in celeriac("schedules", "list").out
    assert celeriac("schedules", "pause", "weekdays", "--json").json["paused"] is True
    assert celeriac("schedules", "resume", "weekdays", "--json").json["paused"] is False
    celeriac("schedules", "run", "weekdays")
    assert len(celeriac("schedules", "history", "weekdays", "--json").json) == 1
    assert "30 2 * * mon-fri" in celeriac("schedules", "show", "weekdays").out
    celeriac("schedules", "delete", "weekdays")
    celeriac("schedules", "show", "weekdays", exit=Exit.NOT_FOUND)


def test_the_tests_above_have_run_every_command(celeriac: Laptop) -> None:
    line: list[Any] = [celeriac.environment.python, "-c", ALL_COMMANDS]
    commands = subprocess.run(line, env=clean(), capture_output=True, text=True, check=True).stdout.splitlines()
    assert celeriac.commands == set(commands)
