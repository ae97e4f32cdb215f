"""The code of README and documentation, executed as printed."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from app.registry.pipelines import parse
from app.registry.repository import Repository
from app.samples.models import SAMPLES
from app.trainings.trainers import find
from tests.documentation.blocks import block
from tests.running import ROOT, Running, wait_until_ready
from tests.system.conftest import Installation
from tests.system.pages import run_block
from tests.trainings.conftest import breast_cancer

README = "README.md"
FIRST, OWN_MODEL, BATCH, PIPELINE, TRAIN = (
    f"docs/tutorial/{name}.md" for name in ("1-first-prediction", "2-your-own-model", "3-a-batch", "4-a-pipeline", "5-train-and-promote")
)
MODELS = "docs/how-to/models.md"
SCHEDULES = "docs/how-to/schedules.md"


def test_the_example_of_publishing_makes_a_version_in_production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block(OWN_MODEL, "publish("), "documentation", "exec"), {})
    assert Repository(tmp_path / "models").aliases("iris") == {"production": "1"}


def test_the_page_about_models_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, Any] = {}
    for code in (block(MODELS, "OneHotEncoder"), block(MODELS, "TfidfVectorizer")):
        exec(compile(code, MODELS, "exec"), namespace)
        expected = [line.removeprefix("# ") for line in code.splitlines() if line.startswith("# ")]
        assert expected
        assert capsys.readouterr().out.splitlines() == expected


def test_the_readmes_call_from_python_prints_a_prediction(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    code = block(README, "from celeriac import Client").replace("http://127.0.0.1:8000", running.url)
    exec(compile(code, "README.md", "exec"), {})
    assert re.fullmatch(r"\[\d+\.\d+\]\n", capsys.readouterr().out)


def test_the_readmes_call_from_the_shell_prints_a_job_that_succeeded(installation: Installation, tmp_path: Path) -> None:
    assert json.loads(run_block(README, "curl", installation, tmp_path))["state"] == "succeeded"


def test_the_example_of_tritons_client_prints_a_prediction(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    code = block(FIRST, "tritonclient").replace("127.0.0.1:8000", running.url.removeprefix("http://"))
    exec(compile(code, "documentation", "exec"), {})
    assert re.fullmatch(r"\[\d+\.\d+\]\n", capsys.readouterr().out)


def test_the_tour_predicts_a_whole_file(installation: Installation, tmp_path: Path) -> None:
    assert "442 of 442 answered" in run_block(BATCH, "celeriac batch run", installation, tmp_path)
    assert len(pd.read_parquet(tmp_path / "answers.parquet")) == 442


def test_the_tour_runs_the_sample_pipelines(installation: Installation, tmp_path: Path) -> None:
    printed = run_block(PIPELINE, "celeriac pipelines samples", installation, tmp_path)
    assert '"digit": 7' in printed
    assert '"wines": 178' in printed


def test_the_tour_trains_a_model_and_promotes_it(installation: Installation, tmp_path: Path) -> None:
    printed = run_block(TRAIN, "celeriac train", installation, tmp_path)
    published = re.search(r"published cancer@(\d+): accuracy 0\.9", printed)
    assert published, printed
    assert f"cancer@production is now {published[1]}" in printed


def test_the_tour_makes_a_schedule_and_runs_it(installation: Installation) -> None:
    tables = installation.folder / "tables"
    breast_cancer().to_csv(tables / "cancer.csv", index=False)
    run_block(SCHEDULES, "celeriac schedules", installation, tables)
    with httpx.Client(base_url=installation.url, timeout=60) as api:
        [run] = api.get("/v1/schedules/nightly/runs").json()["items"]
        assert api.get(f"/v1/trainings/{run['id']}?wait=50").json()["state"] == "succeeded"
        assert "waits_for" not in api.get("/v1/schedules/nightly").json()


def test_the_example_of_a_trainer_registers_one() -> None:
    exec(compile(block(TRAIN, "@trainer"), "documentation", "exec"), {})
    assert find("shallow-tree").takes == ("depth",)


def test_the_example_of_openais_sdk_starts_a_batch(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    code = block(BATCH, "from openai").replace("127.0.0.1:8000", running.url.removeprefix("http://"))
    exec(compile(code, "documentation", "exec"), {})
    assert capsys.readouterr().out.strip() in ("in_progress", "finalizing", "completed")


def test_the_sample_pipeline_sees_the_digit_on_an_image(running: Running, tmp_path: Path) -> None:
    command(running, "pipelines", "samples")
    found = load_digits()
    pixels = Image.fromarray((found.images[7] * 255 / 16).astype("uint8")).resize((80, 80), Image.Resampling.NEAREST)
    pixels.save(tmp_path / "digit.png")
    wait_until_ready(f"{running.url}/v2/models/digits-linear/ready")
    wait_until_ready(f"{running.url}/v2/models/digits-neighbours/ready")
    answer = json.loads(command(running, "pipelines", "run", "digit-image", f"image=@{tmp_path / 'digit.png'}"))
    assert answer == {"digit": 7, "votes": {"forest": 7, "linear": 7, "neighbours": 7}}
    assert "pixels --> linear" in command(running, "pipelines", "show", "digit-image")


@pytest.mark.extended
def test_the_sample_pipeline_surveys_a_table_and_reports_how_far_it_is(running: Running, tmp_path: Path) -> None:
    command(running, "pipelines", "samples")
    data = SAMPLES["wine"].data()
    table = pd.concat([data.held_out] * 30).to_csv(index=False)
    # As the command line sends `table=@wines.csv`.
    submitted = {"pipeline": "wine-survey", "inputs": {"table": {"b64": base64.b64encode(table.encode()).decode()}}}
    seen = set()
    with httpx.Client(base_url=running.url, timeout=60) as api:
        job = api.post("/v1/jobs", json=submitted).json()
        while (reported := api.get(f"/v1/jobs/{job['id']}?wait=0.2").json())["state"] == "running":
            seen.add((reported["steps"][-1].get("progress") or {}).get("text", ""))
    assert reported["state"] == "succeeded", reported
    assert len([text for text in seen if text.startswith("resample ")]) > 2, seen
    shares = reported["result"]["shares"]
    assert reported["result"]["wines"] == 30 * len(data.held_out)
    assert sum(share for share, _, _ in shares.values()) == pytest.approx(1, abs=0.001)
    assert all(low <= share <= high for share, low, high in shares.values())


def test_the_example_of_a_pipeline_is_one_and_its_functions_run() -> None:
    pipeline, _ = parse("triage", block(PIPELINE, "Reads a letter", "yaml"), "triage.yaml")
    functions: dict[str, Any] = {}
    exec(compile(block(PIPELINE, "def paragraphs"), "documentation", "exec"), functions)
    assert {step.run for step in pipeline.steps.values() if step.run} == {"clean", "paragraphs", "summary"} <= functions.keys()
    assert functions["summary"]({"label": ["bill"]}, None, [["calm"]]) == {"about": "bill", "moods": ["calm"]}


def command(running: Running, *line: str) -> str:
    environment = running.environment | {"CELERIAC_URL": running.url}
    ended = subprocess.run([sys.executable, "-m", "app", *line], env=environment, cwd=ROOT, check=True, capture_output=True, text=True)
    return ended.stdout
