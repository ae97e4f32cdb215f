"""Models of a real MLflow server, published and followed by the commands. MLflow has an environment of its own: it brings many packages."""

from __future__ import annotations

import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.cli.parent_death import end_with_parent
from app.cli.ports import free_port
from tests.running import Running

pytestmark = pytest.mark.extended
VERSION = "3.17.2"
REGISTER = """
import sys

import mlflow
import pandas as pd
import sklearn.linear_model

rows = pd.DataFrame({"age": [31.0, 45.0, 52.0, 38.0], "visits": [1.0, 4.0, 2.0, 7.0]})
mlflow.set_tracking_uri(sys.argv[1])
with mlflow.start_run():
    fitted = sklearn.linear_model.LogisticRegression().fit(rows, [0, 1, 0, 1])
    mlflow.sklearn.log_model(fitted, name="model", pip_requirements=[], input_example=rows[:2], registered_model_name="churn")
mlflow.MlflowClient().set_registered_model_alias("churn", "champion", sys.argv[2])
"""


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The interpreter of an environment with MLflow, and the URL of its server."""
    folder = tmp_path_factory.mktemp("mlflow")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    line = [sys.executable, "-m", "uv", "pip", "install", "--python", str(python), f"mlflow=={VERSION}"]
    subprocess.run(line, check=True, capture_output=True)
    url = f"http://127.0.0.1:{free_port()}"
    options = (
        "--backend-store-uri",
        f"sqlite:///{folder}/db.sqlite",
        "--artifacts-destination",
        folder / "files",
        "--port",
        url.rpartition(":")[2],
    )
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [python, "-m", "mlflow", "server", "--workers", "1", *options], stdout=log, stderr=log, preexec_fn=end_with_parent
        )
    try:
        end = time.monotonic() + 120
        while not _answers(url):
            assert time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.2)  # another process sets no event of ours
        yield python, url
    finally:
        server.terminate()
        server.wait(60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").is_success
    except httpx.TransportError:
        return False


def celeriac(running: Running, registry: str, *arguments: str) -> str:
    environment = running.environment | {"MLFLOW_TRACKING_URI": registry, "CELERIAC_URL": running.url}
    done = subprocess.run([sys.executable, "-m", "app", *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_alias_of_the_registry_moves_ours(running: Running, mlflow: tuple[Path, str]) -> None:
    python, registry = mlflow
    follow = ("models", "follow", "followed", "--from", "models:/churn@champion", "--once")
    subprocess.run([python, "-c", REGISTER, registry, "1"], check=True, capture_output=True)
    assert "published followed@1" in celeriac(running, registry, *follow)
    # The same version is not published again, by a later call or after a restart.
    assert "published" not in celeriac(running, registry, *follow)
    subprocess.run([python, "-c", REGISTER, registry, "2"], check=True, capture_output=True)
    assert "followed@production is now 2" in celeriac(running, registry, *follow)
    body = {"model": "followed@production", "inputs": [{"age": 45.0, "visits": 4.0}]}
    assert httpx.post(f"{running.url}/v1/jobs?wait=30", json=body).json()["result"] == [1]


def test_a_version_of_the_registry_is_published(running: Running, mlflow: tuple[Path, str]) -> None:
    python, registry = mlflow
    subprocess.run([python, "-c", REGISTER, registry, "1"], check=True, capture_output=True)
    assert "published fixed@1" in celeriac(running, registry, "models", "publish", "fixed", "--from", "models:/churn/1", "--no-wait")
