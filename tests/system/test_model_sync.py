"""A file that lists models, and a server that gets and keeps them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.code import GREETING
from tests.registries import running_registry
from tests.running import Running


@dataclass
class Owner:
    """Pushes folders to a registry, and changes the file that lists them."""

    running: Running
    folder: Path
    registry: str
    models: list[dict[str, Any]] = field(default_factory=list)

    def command(self, *arguments: str, exit: int = 0) -> str:
        environment = self.running.environment | {"CELERIAC_URL": self.running.url}
        line = [sys.executable, "-m", "app", "models", *arguments]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == exit, done.stdout + done.stderr
        return done.stdout

    def push(self, tag: str, text: str) -> str:
        folder = self.folder / tag
        shutil.copytree(GREETING, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "note.txt").write_text(text)
        reference = f"oci://{self.registry}/synced:{tag}"
        self.command("push", str(folder), reference, "--plain-http")
        return reference

    def sync(self, *options: str, exit: int = 0, prune: bool = False) -> list[tuple[str, str | None]]:
        file = self.folder / "models.json"
        file.write_text(json.dumps({"models": self.models, "prune": prune}))
        return [
            (change["change"], change["version"]) for change in json.loads(self.command("sync", str(file), "--json", *options, exit=exit))
        ]

    def versions(self) -> dict[str, str]:
        entry = httpx.get(f"{self.running.url}/v1/models/synced").json()
        return {"production": entry["aliases"]["production"], "all": " ".join(version["version"] for version in entry["versions"])}


@pytest.fixture(scope="module")
def owner(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    with running_registry() as registry:
        yield Owner(running, tmp_path_factory.mktemp("owner"), registry)


def test_the_server_follows_the_file(owner: Owner) -> None:
    first, second = owner.push("1", "one"), owner.push("2", "two")
    entry = {"name": "synced", "from": first, "alias": "production", "plain_http": True}
    owner.models = [entry]
    assert owner.sync("--dry-run") == [("published", None)]
    assert owner.sync() == [("published", "1")]
    assert owner.sync() == [("unchanged", "1")]
    # A tag, and a change by hand.
    owner.models = [entry | {"from": second}]
    assert owner.sync() == [("published", "2")]
    owner.command("promote", "synced", "1")
    assert owner.sync() == [("promoted", "2")]
    # Nothing is published a second time.
    owner.models = [entry]
    assert owner.sync() == [("promoted", "1")]
    assert owner.versions() == {"production": "1", "all": "1 2"}


def test_a_version_that_is_not_listed_is_deleted_if_nothing_needs_it(owner: Owner) -> None:
    third = owner.push("3", "three")
    owner.models = [{"name": "synced", "from": third, "alias": "production", "plain_http": True}]
    assert owner.sync() == [("published", "3")]
    assert owner.sync(prune=True)[0] == ("unchanged", "3")
    assert "3" in owner.versions()["all"]
    assert "2" not in owner.versions()["all"]


def test_one_failure_does_not_keep_the_other_models_back(owner: Owner) -> None:
    good = owner.models[0]
    owner.models = [{"name": "synced", "from": f"oci://{owner.registry}/absent:1", "alias": "other", "plain_http": True}, good]
    assert owner.sync(exit=4) == [("failed", None), ("unchanged", "3")]
