"""`scripts/setup` on a machine that has nothing yet: what it shows while pip works, and that it works once."""

from __future__ import annotations

import os
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.running import ROOT

BACKEND = """
import zipfile

def build_editable(directory, config_settings=None, metadata_directory=None):
    name = "{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(directory + "/" + name, "w") as wheel:
        wheel.writestr("{name}-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n{requires}")
        wheel.writestr("{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("{name}-1.0.dist-info/RECORD", "")
    return name
"""


def project(folder: Path, name: str, requires: str = "") -> None:
    """A project that pip installs without a build system."""
    folder.mkdir(exist_ok=True)
    lines = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (folder / "pyproject.toml").write_text(f'{lines}[project]\nname = "{name}"\nversion = "1.0"\n' + 'dynamic = ["dependencies"]\n')
    text = "".join(f"Requires-Dist: {required}\\n" for required in requires.split())
    (folder / "backend.py").write_text(BACKEND.replace("{name}", name).replace("{requires}", text))


def wheel(index: Path, name: str) -> None:
    """A package in a folder that, served as files, is an index."""
    (index / name).mkdir(parents=True)
    with zipfile.ZipFile(index / name / f"{name}-1.0-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{name}-1.0.dist-info/RECORD", "")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """The folder of a package index, and its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "index"))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield tmp_path / "index", f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.extended
def test_a_cold_installation_shows_each_package_and_a_second_one_nothing(tmp_path: Path, index: tuple[Path, str]) -> None:
    project(tmp_path, "server", "alpha beta")
    project(tmp_path / "client", "client")
    for name in ("alpha", "beta"):
        wheel(index[0], name)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "lock.txt").touch()
    (tmp_path / "scripts" / "setup").write_bytes((ROOT / "scripts" / "setup").read_bytes())
    environment = os.environ | {"PIP_INDEX_URL": index[1], "PIP_NO_CACHE_DIR": "1", "PIP_CONFIG_FILE": os.devnull}
    command = ["sh", str(tmp_path / "scripts" / "setup")]
    first = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    assert first.stderr.splitlines() == [
        "Installing Celeriac and its dependencies into .venv (once, one or two minutes)",
        *(f"  {number} packages: {name} (from server==1.0)" for number, name in enumerate(("alpha", "beta"), 1)),
        "  installing 2 packages",
    ]
    second = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
