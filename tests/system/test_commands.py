"""The commands against the real API and a real worker."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import joblib
import pytest
from celeriac_cli.errors import Exit
from sklearn.linear_model import LogisticRegression

from app.registry.pipelines import Pipelines
from app.registry.repository import Repository
from app.settings import settings
from tests.cli.conftest import Celeriac, Ended
from tests.cli.conftest import celeriac as celeriac
from tests.registry.conftest import write
from tests.system.conftest import Installation


@pytest.fixture
def wine(installation: Installation) -> list[dict[str, Any]]:
    return Repository(installation.folder / "models").examples("wine", "1")


@pytest.fixture
def wine_csv(wine: list[dict[str, Any]], tmp_path: Path) -> str:
    with (tmp_path / "wine.csv").open("w") as file:
        writer = csv.DictWriter(file, wine[0]["input"])
        writer.writeheader()
        writer.writerows(row["input"] for row in wine)
    return str(tmp_path / "wine.csv")


@pytest.fixture
def job(celeriac: Celeriac, installation: Installation, wine_csv: str) -> str:
    return str(celeriac("predict", "wine", "--data", wine_csv, "--json", "--url", installation.url).json["id"])


def test_a_csv_is_predicted(celeriac: Celeriac, installation: Installation, wine_csv: str, wine: list[dict[str, Any]]) -> None:
    found = celeriac("predict", "wine@production", "--data", wine_csv, "--json", "--url", installation.url).json
    assert found["result"] == [row["label"] for row in wine]


def test_another_method_can_be_asked(celeriac: Celeriac, installation: Installation, wine_csv: str) -> None:
    ended = celeriac("predict", "wine", "--data", wine_csv, "--method", "predict_proba", "--json", "--url", installation.url)
    assert all(sum(row) == pytest.approx(1) for row in ended.json["result"])


def test_a_table_that_is_printed(celeriac: Celeriac, installation: Installation, wine_csv: str, wine: list[dict[str, Any]]) -> None:
    ended = celeriac("predict", "wine", "--data", wine_csv, "--url", installation.url)
    assert [line.split() for line in ended.out.splitlines()[2:]] == [[str(at), row["label"]] for at, row in enumerate(wine)]


def test_rows_that_do_not_fit_are_reported_with_their_place(celeriac: Celeriac, installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("[[1, 2, 3]]")
    ended = celeriac("predict", "wine", "--data", str(tmp_path / "rows.json"), "--url", installation.url)
    assert (ended.exit, "(at /" in ended.err) == (Exit.USAGE, False)
    # The command line and a batch name the same place: JSON counts rows from 0, a table counts its lines.
    good = dict.fromkeys(("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"), 0.0)
    (tmp_path / "rows.json").write_text(json.dumps([good, good | {"age": "thirty"}]))
    ended = celeriac("predict", "diabetes", "--data", str(tmp_path / "rows.json"), "--url", installation.url)
    assert (ended.exit, ended.err) == (Exit.USAGE, "error: Row 1: Column 'age': 'thirty' is not a number.\n")
    lines = "".join(json.dumps(row) + "\n" for row in (good, good | {"age": "thirty"}))
    (tmp_path / "rows.jsonl").write_text(lines)
    ended = celeriac("predict", "diabetes", "--data", str(tmp_path / "rows.jsonl"), "--url", installation.url)
    assert (ended.exit, "Line 2: Column 'age': 'thirty' is not a number." in ended.err) == (Exit.USAGE, True)


def test_an_unknown_model_is_not_found(celeriac: Celeriac, installation: Installation, wine_csv: str) -> None:
    assert celeriac("predict", "beer", "--data", wine_csv, "--url", installation.url).exit == Exit.NOT_FOUND


def test_a_job_that_is_only_submitted_can_be_watched_to_its_end(celeriac: Celeriac, installation: Installation, wine_csv: str) -> None:
    id = celeriac("predict", "wine", "--data", wine_csv, "--wait", "0", "--json", "--url", installation.url).json["id"]
    watched = celeriac("jobs", "watch", id, "--json", "--url", installation.url)
    assert (watched.exit, watched.json["state"]) == (Exit.OK, "succeeded")


def test_a_job_is_shown(celeriac: Celeriac, installation: Installation, job: str) -> None:
    assert job in celeriac("jobs", "show", job, "--url", installation.url).out


def test_jobs_are_listed_and_filtered(celeriac: Celeriac, installation: Installation, job: str) -> None:
    def listed(*options: str) -> list[str]:
        found = celeriac("jobs", "list", *options, "--json", "--url", installation.url).json
        return [one["id"] for one in found]

    assert job in listed("--model", "wine", "--state", "succeeded", "--limit", "1")
    assert job not in listed("--model", "digits")


def test_an_ended_job_stays_as_it_is_when_it_is_cancelled(celeriac: Celeriac, installation: Installation, job: str) -> None:
    assert celeriac("jobs", "cancel", job, "--json", "--url", installation.url).json["state"] == "succeeded"


def test_a_job_that_does_not_exist_is_not_found(celeriac: Celeriac, installation: Installation) -> None:
    assert celeriac("jobs", "show", "nothing", "--url", installation.url).exit == Exit.NOT_FOUND


def test_models_are_listed_with_their_states(celeriac: Celeriac, installation: Installation) -> None:
    lines = celeriac("models", "list", "--url", installation.url).out.splitlines()
    assert ["digits", "1", "READY", "queue", "production"] in [line.split()[:5] for line in lines]


def test_pools_are_shown_with_their_workers(celeriac: Celeriac, installation: Installation) -> None:
    [line] = [
        line.split() for line in celeriac("pools", "--wide", "--url", installation.url).out.splitlines() if line.startswith("default")
    ]
    assert line[:10] == ["default", "active", "0", "0", "0", "0", "0", "0", "1", "2"]
    assert celeriac("pools", "--json", "--url", installation.url).json["items"][0]["obstacles"] == []


def test_a_model_is_shown_with_what_it_takes_and_gives(celeriac: Celeriac, installation: Installation) -> None:
    out = celeriac("models", "show", "wine", "--url", installation.url).out
    assert "alcohol" in out
    assert "predict_proba" in out


def test_a_file_is_published_promoted_and_answers(celeriac: Celeriac, installation: Installation, tmp_path: Path) -> None:
    joblib.dump(LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0]], [0, 1]), tmp_path / "model.joblib")
    (tmp_path / "rows.csv").write_text("a,b\n0,1\n1,0\n")
    models = ("--models", str(installation.folder / "models"))
    given = (str(tmp_path / "model.joblib"), "--sample", str(tmp_path / "rows.csv"))
    assert celeriac("models", "publish", "tiny", *given, "--json", *models).json["version"] == "1"
    assert celeriac("models", "promote", "tiny", "1", *models).out == "tiny@production is now 1\n"
    assert celeriac("models", "publish", "tiny", *given, "--version", "1", *models).exit == Exit.CONFLICT
    assert answer_of("tiny", celeriac, installation, tmp_path).json["result"] == [0, 1]


def answer_of(model: str, celeriac: Celeriac, installation: Installation, folder: Path) -> Ended:
    """Asks until the worker has found the new model: it looks every two seconds, and nothing says when."""
    end = time.monotonic() + 30
    while True:
        ended = celeriac("predict", model, "--data", str(folder / "rows.csv"), "--json", "--url", installation.url)
        if ended.exit not in (Exit.NOT_FOUND, Exit.NOT_NOW) or time.monotonic() > end:
            return ended
        time.sleep(0.05)


@pytest.mark.parametrize("given", ["missing.skops", "model.txt", "broken.joblib"])
def test_a_file_that_is_not_a_model_is_reported(given: str, celeriac: Celeriac, tmp_path: Path) -> None:
    (tmp_path / "model.txt").touch()
    (tmp_path / "broken.joblib").write_bytes(b"nothing")
    (tmp_path / "rows.json").write_text("[[1]]")
    ended = celeriac("models", "publish", "m", str(tmp_path / given), "--sample", str(tmp_path / "rows.json"), "--models", str(tmp_path))
    assert (ended.exit, given in ended.err) == (Exit.USAGE, True)


def test_the_doctor_finds_nothing_wrong(installation: Installation) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", "doctor", "--json"], env=installation.environment, capture_output=True, text=True, check=False
    )
    findings = json.loads(done.stdout)
    assert {(finding["what"], finding["state"]) for finding in findings} >= {("Redis", "ok"), ("API", "ok"), ("digits@1", "ok")}


def test_a_file_is_answered_into_a_file(
    celeriac: Celeriac, installation: Installation, wine_csv: str, wine: list[dict[str, Any]], tmp_path: Path
) -> None:
    output = tmp_path / "answers.jsonl"
    found = celeriac("batch", "run", "wine", wine_csv, str(output), "--json", "--url", installation.url)
    assert (found.exit, found.json["status"]) == (Exit.OK, "completed")
    assert [json.loads(line)["predict"] for line in output.read_text().splitlines()] == [row["label"] for row in wine]
    assert found.json["id"] in [one["id"] for one in celeriac("batch", "list", "--json", "--url", installation.url).json]
    assert f"{len(wine)} of {len(wine)} answered" in celeriac("batch", "show", found.json["id"], "--url", installation.url).out
    assert celeriac("batch", "cancel", found.json["id"], "--url", installation.url).exit == Exit.CONFLICT


def test_rows_that_were_not_answered_are_reported(celeriac: Celeriac, installation: Installation, tmp_path: Path) -> None:
    row = ",".join(["0.0"] * 10)
    (tmp_path / "rows.csv").write_text(f"age,sex,bmi,bp,s1,s2,s3,s4,s5,s6\n{row}\n{row.replace('0.0', 'x', 1)}\n")
    found = celeriac("batch", "run", "diabetes", str(tmp_path / "rows.csv"), str(tmp_path / "out.csv"), "--url", installation.url)
    assert (found.exit, "1 of 2 rows were not answered" in found.err) == (Exit.FAILED, True), found.err
    [error] = map(json.loads, (tmp_path / "out.csv.errors.jsonl").read_text().splitlines())
    assert (error["line"], error["detail"]) == (3, "Column 'age': 'x' is not a number.")
    assert celeriac("batch", "run", "diabetes", "none.csv", "out.csv", "--url", installation.url).exit == Exit.NOT_FOUND
    assert celeriac("batch", "run", "diabetes", str(tmp_path / "rows.csv"), "out.xlsx", "--url", installation.url).exit == Exit.USAGE


def runnable(command: tuple[str, ...], installation: Installation, table: str) -> list[str]:
    """The arguments of a command, with the path of a table. The pipeline `guess` exists."""
    steps = "inputs: [rows]\nsteps:\n  guess: {model: wine, inputs: $inputs.rows}\noutput: $guess\n"
    Pipelines(installation.folder / "models" / ".pipelines").publish("guess", steps)
    return [table if one == "TABLE" else one for one in command]


@pytest.mark.parametrize(
    "command",
    [
        ("predict", "wine", "--data", "TABLE"),
        ("batch", "run", "wine", "TABLE", "out.csv"),
        ("pipelines", "run", "guess", "rows=1"),
        ("train", "TABLE", "--target", "alcohol", "--model", "w", "--trainer", "ridge"),
    ],
)
def test_whatever_makes_a_job_takes_a_webhook_and_a_private_one_is_refused(
    celeriac: Celeriac, installation: Installation, wine_csv: str, command: tuple[str, ...]
) -> None:
    arguments = runnable(command, installation, wine_csv)
    ended = celeriac(*arguments, "--webhook", "http://127.0.0.1:1/hook", "--url", installation.url)
    assert (ended.exit, "is not an https URL" in ended.err, "(at /" in ended.err) == (Exit.USAGE, True, False), ended.err


@pytest.mark.parametrize("command", [("predict", "wine", "--data", "TABLE"), ("pipelines", "run", "guess", "rows=1")])
def test_what_starts_one_job_takes_a_service_tier(
    celeriac: Celeriac, installation: Installation, wine_csv: str, command: tuple[str, ...]
) -> None:
    arguments = runnable(command, installation, wine_csv)
    shown = celeriac(*arguments, "--service-tier", "flex", "--wait", "0", "--json", "--url", installation.url)
    assert json.loads(shown.out)["service_tier"] == "flex", shown.err
    refused = celeriac(*arguments, "--service-tier", "urgent", "--url", installation.url)
    assert (refused.exit, "'priority', 'default' or 'flex'" in refused.err) == (Exit.USAGE, True), refused.err


def test_old_versions_are_pruned(celeriac: Celeriac, installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # No worker shall try to serve these.
    repository = Repository(tmp_path)
    for _ in range(3):
        repository.publish("pruned", write)
    monkeypatch.setenv("CELERIAC_STATE", str(installation.folder / "state"))
    settings.cache_clear()
    try:
        where = ("--models", str(repository.root))
        assert (
            celeriac("models", "prune", "pruned", "--keep", "1", "--dry-run", *where).out
            == "would remove pruned@1\nwould remove pruned@2\n"
        )
        assert celeriac("models", "prune", "--all", "--keep", "2", "--json", *where).json == [{"name": "pruned", "version": "1"}]
        assert celeriac("models", "prune", "pruned", *where).out == "nothing to remove\n"
        assert repository.versions("pruned") == ["2", "3"]
        for arguments, exit in ((("nobody",), Exit.NOT_FOUND), ((), Exit.USAGE), (("pruned", "--all"), Exit.USAGE)):
            assert celeriac("models", "prune", *arguments, *where).exit == exit
        monkeypatch.setenv("CELERIAC_STATE", str(installation.folder))
        monkeypatch.setenv("CELERIAC_REDIS_URL", "redis://127.0.0.1:1/0")
        settings.cache_clear()
        ended = celeriac("models", "prune", "pruned", "--keep", "1", *where)
        assert ended.exit == Exit.UNREACHABLE
        assert "Cannot read from Redis" in " ".join(ended.err.split())
    finally:
        settings.cache_clear()
