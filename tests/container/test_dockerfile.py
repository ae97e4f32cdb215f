"""What the Dockerfile installs, read without building it."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FILES = ("image.txt", "image-gpu.txt")
PIP = '#!/bin/sh\necho "$@" >> pip.log\n'
CPU = ["install --require-hashes -r image.txt"]
GPU = [*CPU, "uninstall --yes onnxruntime", "install --require-hashes -r image-gpu.txt"]


def pinned(name: str) -> set[str]:
    """The versions that a file in scripts pins, without their hashes and markers."""
    text = (ROOT / "scripts" / name).read_text().replace("\\\n", " ")
    return {line.split(" ")[0] for line in text.splitlines() if line and not line.startswith("#")}


def names(requirements: set[str]) -> set[str]:
    return {Requirement(requirement).name for requirement in requirements}


def install(folder: Path, gpu: str) -> subprocess.CompletedProcess[str]:
    """Runs the step that installs the dependencies, with a `pip` that only notes how it was called."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    [step] = re.findall(r"^RUN (.*--require-hashes.*)$", text, re.MULTILINE)
    (folder / "pip").write_text(PIP)
    (folder / "pip").chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "GPU": gpu}
    return subprocess.run(["sh", "-c", step], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_cpu_is_the_default() -> None:
    assert re.search(r"^ARG GPU=false$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


@pytest.mark.parametrize(("gpu", "calls"), [("false", CPU), ("true", GPU)])
def test_every_dependency_is_installed_by_its_hash(tmp_path: Path, gpu: str, calls: list[str]) -> None:
    assert install(tmp_path, gpu).returncode == 0
    assert (tmp_path / "pip.log").read_text().splitlines() == calls


@pytest.mark.parametrize("gpu", ["", "yes"])
def test_anything_else_is_refused(tmp_path: Path, gpu: str) -> None:
    done = install(tmp_path, gpu)
    assert (done.returncode, done.stderr) == (2, f"GPU must be true or false, not {gpu}\n")
    assert not (tmp_path / "pip.log").exists()


@pytest.mark.parametrize("name", FILES)
def test_every_pinned_requirement_has_a_hash(name: str) -> None:
    lines = (ROOT / "scripts" / name).read_text().replace("\\\n", " ").splitlines()
    assert [line for line in lines if "==" in line and "--hash=sha256:" not in line] == []


def test_the_image_has_the_versions_that_were_tested() -> None:
    assert pinned("image.txt") <= pinned("lock.txt"), "Run scripts/lock."


def test_the_image_has_every_declared_dependency() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert names(set(declared)) - {"celeriac"} <= names(pinned("image.txt")), "Run scripts/lock."


def test_onnx_runtime_has_the_same_version_for_a_gpu() -> None:
    [cpu] = [one for one in pinned("image.txt") if one.startswith("onnxruntime==")]
    assert cpu.replace("onnxruntime", "onnxruntime-gpu") in pinned("image-gpu.txt"), "Run scripts/lock."
