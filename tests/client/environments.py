"""Virtual environments with the client alone, built offline from the working tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Environment:
    """A virtual environment in `folder`."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def command(self) -> Path:
        """Its command `celeriac`."""
        return self.folder / "bin" / "celeriac"

    def pip(self, *arguments: str | Path) -> str:
        """What pip prints about this environment. Raises AssertionError if it fails."""
        line: list[Any] = [sys.executable, "-m", "pip", "--python", self.python, *arguments, "--disable-pip-version-check"]
        done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=self.folder, env=clean())
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def clean(**variables: str) -> dict[str, str]:
    """The environment variables of a laptop: nothing of this checkout or of pytest."""
    kept = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | variables


def wheel(folder: Path) -> Path:
    """The wheel of the client. Built from a copy, because setuptools writes beside its sources."""
    shutil.copytree(ROOT / "client", folder / "client", ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__"))
    line: list[Any] = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", folder / "client"]
    subprocess.run(line, capture_output=True, text=True, check=True)
    [built] = (folder / "dist").glob("*.whl")
    return built


def environment(folder: Path, client: Path, *, extra: str = "") -> Environment:
    """An environment with the client, and what it needs with the extra: copied from this one, so no package index is asked."""
    venv.create(folder, symlinks=True, with_pip=False)
    made = Environment(folder)
    [packages] = folder.glob("lib/python*/site-packages")
    for name in needed("celeriac", extra) - {"celeriac"}:
        _copy(name, packages)
    made.pip("install", "--no-deps", "--no-index", "--quiet", client)
    return made


def needed(name: str, extra: str) -> set[str]:
    """The distributions that one needs with an extra, itself included."""
    names: set[str] = set()
    queue = [(name, extra)]
    while queue:
        name, extra = queue.pop()
        if name in names:
            continue
        names.add(name)
        for text in distribution(name).requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                queue += [(requirement.name, choice) for choice in requirement.extras or {""}]
    return names


def _copy(name: str, packages: Path) -> None:
    source = distribution(name)
    for file in source.files or ():
        path = Path(str(source.locate_file(file)))
        if ".." not in file.parts and path.is_file():
            (packages / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, packages / file)
