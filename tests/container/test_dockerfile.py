"""What the Dockerfile installs, read without building it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIP = '#!/bin/sh\necho "$@" >> pip.log\n'


def install(folder: Path, gpu: str) -> subprocess.CompletedProcess[str]:
    """Runs the step that installs the dependencies in a copy of what it reads, with a `pip` that only notes how it was called."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    [step] = re.findall(r"^RUN (.*pip install -c .*)$", text, re.MULTILINE)
    (folder / "scripts").mkdir()
    for name in ("pyproject.toml", "scripts/lock.txt"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "pip").write_text(PIP)
    (folder / "pip").chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "GPU": gpu}
    return subprocess.run(["sh", "-c", step], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def reported(folder: Path) -> tuple[list[str], list[str]]:
    """What is asked of ONNX Runtime, and what the lock holds it to."""
    asked = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["dependencies"]
    locked = (folder / "scripts" / "lock.txt").read_text().splitlines()
    return [one for one in asked if one.startswith("onnxruntime")], [one for one in locked if one.startswith("onnxruntime")]


def test_the_cpu_is_the_default() -> None:
    assert re.search(r"^ARG GPU=false$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_for_the_cpu_what_is_declared_is_installed(tmp_path: Path) -> None:
    assert install(tmp_path, "false").returncode == 0
    assert reported(tmp_path) == reported(ROOT)
    assert (tmp_path / "pip.log").read_text().startswith("install -c scripts/lock.txt ./client .\n")


def test_for_a_gpu_its_onnx_runtime_takes_the_place_of_the_other_in_the_same_version(tmp_path: Path) -> None:
    assert install(tmp_path, "true").returncode == 0
    ([asked], [locked]), ([there], [pinned]) = reported(ROOT), reported(tmp_path)
    assert there == asked.replace("onnxruntime", "onnxruntime-gpu[cuda,cudnn]")
    assert pinned == locked.replace("onnxruntime", "onnxruntime-gpu")
    assert (tmp_path / "pip.log").read_text().startswith("install -c scripts/lock.txt ./client .\n")


@pytest.mark.parametrize("gpu", ["", "yes"])
def test_anything_else_is_refused(tmp_path: Path, gpu: str) -> None:
    done = install(tmp_path, gpu)
    assert (done.returncode, done.stderr) == (2, f"GPU must be true or false, not {gpu}\n")
    assert not (tmp_path / "pip.log").exists()
