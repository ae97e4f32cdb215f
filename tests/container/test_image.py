"""One image, every process; each is PID 1, needs no root, writes nowhere but to its two folders, and ends with 0 on SIGTERM."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools import need

pytestmark = pytest.mark.docker
ROOT = Path(__file__).parents[2]
HEALTH = {
    "api": "http://127.0.0.1:8000/livez",
    "worker": "http://127.0.0.1:9808/livez",
    "beat": "http://127.0.0.1:9809/livez",
    "flower": "http://127.0.0.1:5555/healthcheck",
}
STRICT = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/state"]


def docker(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(
        [need("docker", "it builds and runs the image"), *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert not (check and done.returncode), done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="session")
def image() -> str:
    """The image, built from this tree. PYTHON_IMAGE and DOCKER_BUILD_ARGS are what scripts/kind knows too."""
    if not docker("info", "--format={{.ServerVersion}}", check=False):
        pytest.skip("no docker daemon answers")
    base = [f"--build-arg=BASE_IMAGE={name}"] if (name := os.environ.get("PYTHON_IMAGE")) else []
    docker("build", *os.environ.get("DOCKER_BUILD_ARGS", "").split(), *base, "--tag=celeriac:test", ".")
    return "celeriac:test"


@pytest.fixture(scope="session")
def processes(image: str) -> Iterator[dict[str, str]]:
    """Redis, API, worker, beat and Flower, sharing one network and one volume of models: process -> container."""
    name = f"celeriac-test-{secrets.token_hex(4)}"
    running = {"redis": docker("run", "-d", f"--name={name}", os.environ.get("REDIS_IMAGE", "redis:7"))}
    shared = [*STRICT, f"--network=container:{name}"]
    try:
        docker("run", "--rm", *STRICT, f"--volume={name}:/models", image, "models", "samples")
        for process in ("api", "worker", "beat", "flower"):
            running[process] = docker(
                "run",
                "-d",
                *shared,
                f"--volume={name}:/models:ro",
                "--user=12345:12345",
                "--env=CELERIAC_FLOWER_BASIC_AUTH=user:secret",
                image,
                process,
            )
        yield running
    finally:
        docker("rm", "--force", *running.values())
        docker("volume", "rm", name)


def inside(container: str, script: str) -> str:
    return docker("exec", container, "python", "-c", script, check=False)


def until(container: str, url: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while inside(container, f"import httpx; print(httpx.get({url!r}).status_code)") != "200":
        assert time.monotonic() < end, docker("logs", container)
        time.sleep(0.5)


def test_the_image_runs_as_a_number_that_is_not_root(image: str) -> None:
    assert docker("inspect", "--format={{.Config.User}}", image) == "65532:65532"


def test_the_image_carries_no_compiler_and_no_installer(image: str) -> None:
    script = "import shutil; print([p for p in ('gcc', 'cc', 'make') if shutil.which(p)])"
    assert docker("run", "--rm", "--entrypoint=python", image, "-c", script) == "[]"


def test_a_slot_has_one_thread_unless_configured_otherwise(image: str) -> None:
    script = "import os; print([os.environ[f'{n}_NUM_THREADS'] for n in ('OMP', 'OPENBLAS', 'MKL')])"
    assert docker("run", "--rm", "--entrypoint=python", image, "-c", script) == "['1', '1', '1']"


def test_it_answers_a_prediction_on_a_read_only_root_as_any_user(processes: dict[str, str]) -> None:
    until(processes["worker"], "http://127.0.0.1:9808/readyz")
    until(processes["api"], "http://127.0.0.1:8000/readyz")
    ask = "import httpx; print(httpx.post('http://127.0.0.1:8000/v1/jobs', json={'model': 'diabetes', 'inputs': [[0.0] * 10]}, headers={'Prefer': 'wait=30'}, timeout=40).text)"
    job = json.loads(inside(processes["api"], ask))
    assert job["state"] == "succeeded", job


def test_flower_asks_for_the_password_but_for_its_health(processes: dict[str, str]) -> None:
    until(processes["flower"], HEALTH["flower"])
    assert inside(processes["flower"], "import httpx; print(httpx.get('http://127.0.0.1:5555/workers').status_code)") == "401"


@pytest.mark.parametrize("process", ["api", "worker", "beat", "flower"])
def test_sigterm_to_pid_1_ends_it_with_0(processes: dict[str, str], process: str) -> None:
    until(processes[process], HEALTH[process])
    docker("stop", "--time=30", processes[process])
    assert docker("inspect", "--format={{.State.ExitCode}}", processes[process]) == "0"
