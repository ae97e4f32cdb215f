"""The code of the how-to guides and of the other pages, executed as printed. `test_readme` does so for README and tutorial."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import celeriac
import httpx
import joblib
import pytest
import yaml
from sklearn.datasets import load_digits, load_iris
from sklearn.naive_bayes import GaussianNB

from app.core.models import Manifest
from app.registry.repository import Repository
from tests.documentation.blocks import block
from tests.running import ROOT, Running, wait_until_ready
from tests.system.conftest import Installation
from tests.system.pages import run_block

README, CLIENT, CLIENT_README = "README.md", "docs/reference/client.md", "client/README.md"
FIRST, OWN_MODEL, PIPELINE = (f"docs/tutorial/{name}.md" for name in ("1-first-prediction", "2-your-own-model", "4-a-pipeline"))
MODELS, STREAMING, DEAD_LETTERS, GPU, SHARED_REDIS, UPGRADE, CELERY, MLSERVER, BENTOML = (
    f"docs/how-to/{name}.md"
    for name in (
        "models",
        "streaming",
        "dead-letters",
        "gpu",
        "shared-redis",
        "upgrade",
        "migrate-from-celery",
        "migrate-from-mlserver",
        "migrate-from-bentoml",
    )
)
PROMOTION, BATCHING, ONE_MACHINE = "docs/explanation/promotion.md", "docs/explanation/dynamic-batching.md", "docs/operations/one-machine.md"
DECLARED = {"format": "python", "artifact": "model.py", "sha256": "", "name": "page", "version": "1"}
TEXTS = {
    "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
    "outputs": [{"name": "size", "datatype": "INT64", "shape": [-1]}],
}


def model(folder: Path, code: str, description: str) -> Path:
    """A folder with the blocks of a page as `model.py` and `model.yaml`."""
    folder.mkdir()
    (folder / "model.py").write_text(code)
    (folder / "model.yaml").write_text(description)
    return folder


def executed(code: str, url: str, printed: pytest.CaptureFixture[str]) -> str:
    """What a block of Python prints, with the URL of a running API."""
    exec(compile(code.replace("http://127.0.0.1:8000", url), "documentation", "exec"), {"__name__": "documentation"})
    return printed.readouterr().out


def test_the_clients_pages_predict(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    printed = executed(block(CLIENT, "client.submit"), running.url, capsys)
    assert re.fullmatch(r"(\[\d+\.\d+\]\n){2}", printed)
    assert re.fullmatch(r"\[\d+\.\d+\]\n", executed(block(CLIENT_README, "import Client"), running.url, capsys))


def test_a_file_in_the_folder_of_models_is_served(installation: Installation) -> None:
    rows, kinds = load_iris(return_X_y=True)
    joblib.dump(GaussianNB().fit(rows, kinds), installation.folder / "model.joblib")
    run_block(README, "models/churn", installation, installation.folder)
    wait_until_ready(f"{installation.url}/v2/models/churn/ready")


def test_the_tutorials_first_requests_are_answered(installation: Installation, tmp_path: Path) -> None:
    assert json.loads(run_block(FIRST, "curl", installation, tmp_path))["state"] == "succeeded"
    (tmp_path / ".venv").symlink_to(sys.prefix)
    printed = run_block(FIRST, "celeriac jobs list", installation, tmp_path)
    assert "succeeded" in printed
    assert re.search(r"ok +diabetes@1: READY", printed)


@pytest.mark.extended
def test_the_commands_of_other_pages_find_the_server(installation: Installation, tmp_path: Path) -> None:
    assert "diabetes" in run_block(ONE_MACHINE, "celeriac models list", installation, tmp_path)
    assert "diabetes" in run_block(UPGRADE, "celeriac --version", installation, tmp_path)


@pytest.mark.extended
def test_the_model_with_lightgbm_is_published_and_answers(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home: dict[str, Any] = {}
    exec(compile(block(OWN_MODEL, "from lightgbm import"), "documentation", "exec"), home)
    (tmp_path / "tumours/model.py").write_text(block(OWN_MODEL, "import lightgbm\n"))
    (tmp_path / "tumours/model.yaml").write_text(block(OWN_MODEL, "name: features", "yaml"))
    run_block(OWN_MODEL, "celeriac models publish tumours", installation, tmp_path)
    with celeriac.Client(installation.url) as client:
        answers = client.predict("tumours", home["X"][:5])
    assert answers == pytest.approx(home["trees"].predict(home["X"][:5]))


def test_a_stream_is_printed_word_by_word(installation: Installation, tmp_path: Path) -> None:
    model(tmp_path / "echo", block(STREAMING, "yield word"), block(STREAMING, "name: about", "yaml"))
    printed = run_block(STREAMING, "accept: text/event-stream", installation, tmp_path)
    assert re.findall(r'"chunk":"(\w+) "', printed) == ["once", "upon", "a", "time"]
    assert "once upon a time" in printed.splitlines()[-1]


@pytest.mark.extended
def test_a_failed_job_is_corrected_and_replayed(installation: Installation, tmp_path: Path) -> None:
    model(tmp_path / "ratio", block(DEAD_LETTERS, "# ratio/model.py"), block(DEAD_LETTERS, "# ratio/model.yaml", "yaml"))
    printed = run_block(DEAD_LETTERS, "exit code $?", installation, tmp_path)
    assert "exit code 1" in printed
    assert "ratio@1" in printed
    assert "prediction_failed" in printed
    run_block(DEAD_LETTERS, "cat > ratio/model.py", installation, tmp_path)
    with httpx.Client(base_url=installation.url, timeout=60) as api:
        [job] = api.get("/v1/jobs?model=ratio&state=succeeded").json()["items"] or [api.get("/v1/jobs?model=ratio").json()["items"][0]]
        assert api.get(f"/v1/jobs/{job['id']}?wait=50").json()["result"] == [1.0]
        assert api.get("/v1/dead-letters?model=ratio").json()["items"] == []


@pytest.mark.extended
def test_a_folder_of_code_is_published_and_promoted(installation: Installation, tmp_path: Path) -> None:
    repository = Repository(installation.folder / "models")
    for name in ("length", "visits"):
        model(tmp_path / name, block(MODELS, "# model.py"), block(MODELS, "name: length", "yaml"))
    run_block(MODELS, "celeriac models publish length", installation, tmp_path)
    assert repository.versions("length") == ["1"]
    run_block(PROMOTION, "celeriac models promote", installation, tmp_path)
    assert repository.aliases("visits") == {"production": "1"}


@pytest.mark.extended
def test_an_mlserver_runtime_answers(installation: Installation, tmp_path: Path) -> None:
    model(tmp_path / "scaled", block(MLSERVER, "# scaled/model.py"), block(MLSERVER, "# scaled/model.yaml", "yaml"))
    printed = run_block(MLSERVER, "scaled/settings.json", installation, tmp_path)
    assert json.loads(printed.splitlines()[-1])["outputs"][0]["data"] == [4.5, 6.0]


@pytest.mark.extended
def test_a_bentoml_service_answers(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model(tmp_path / "summary", block(BENTOML, "# summary/model.py"), block(BENTOML, "# summary/model.yaml", "yaml"))
    assert "a long text" in run_block(BENTOML, "summary/words.txt", installation, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert executed(block(BENTOML, "wine-forest"), "", capsys) == "1\n"


@pytest.mark.extended
def test_a_task_of_ones_own_joins_predictions(running: Running, tmp_path: Path) -> None:
    (tmp_path / "voting.py").write_text(block(CELERY, "def vote"))
    environment = running.environment | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    beside = dataclasses.replace(running, environment=environment)
    rows = load_digits().data[:3].tolist()
    with beside.process("worker", pool="voting", imports="voting"):
        done = subprocess.run(
            [sys.executable, "-c", "import json, sys, voting; print(json.dumps(voting.ask(json.load(sys.stdin))))"],
            input=json.dumps(rows),
            env=environment | {"CELERIAC_POOL": "voting"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [0, 1, 2]


def test_the_examples_of_fields_are_valid() -> None:
    on_gpu = Manifest.from_dict(DECLARED | TEXTS | yaml.safe_load(block(GPU, "pool: gpu", "yaml")))
    assert (on_gpu.pool, on_gpu.load) == ("gpu", "child")
    assert Manifest.from_dict(DECLARED | TEXTS | yaml.safe_load(block(BATCHING, "max_rows", "yaml"))).batch.max_rows == 64


def test_a_key_prefix_is_set_and_users_keep_to_it(installation: Installation, tmp_path: Path) -> None:
    ask = f"{sys.executable} -c 'from app.settings import settings; print(settings().key_prefix)'"
    assert run_block(SHARED_REDIS, "export CELERIAC_KEY_PREFIX", installation, tmp_path, then=ask) == "team-a:\n"
    (tmp_path / "k8s").symlink_to(ROOT / "k8s")
    run_block(SHARED_REDIS, "sed", installation, tmp_path)
    users = (tmp_path / "team-a.acl").read_text()
    assert "~team-a:" in users
    assert "celeriac:" not in users
