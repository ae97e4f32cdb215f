"""`celeriac models publish --from`: what is wrong with the reference, the address, or the server behind it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Celeriac, Stranger

REFERENCE = "models:/churn@champion"


@pytest.fixture(autouse=True)
def _address(monkeypatch: pytest.MonkeyPatch, stranger: Stranger) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", stranger.url)


def test_a_file_and_a_registered_model_cannot_both_be_published(celeriac: Celeriac, tmp_path: Path) -> None:
    for arguments in ((), (str(tmp_path), "--from", REFERENCE)):
        ended = celeriac("models", "publish", "churn", *arguments)
        assert (ended.exit, ended.err) == (2, "error: Give either a file or folder to publish, or --from models:/NAME@ALIAS.\n")


@pytest.mark.parametrize("reference", ["churn@champion", "models:/churn", "models:/churn/latest", "models:/a/b@c", "runs:/1/model"])
def test_a_reference_of_another_form_is_refused(celeriac: Celeriac, reference: str) -> None:
    ended = celeriac("models", "publish", "churn", "--from", reference)
    assert ended.exit == 2
    assert f"Invalid model reference {reference!r}. Use models:/NAME@ALIAS or models:/NAME/VERSION." in ended.err


@pytest.mark.parametrize(("address", "given"), [("", "is not set"), ("sqlite:///mlflow.db", "is 'sqlite:///mlflow.db'")])
def test_the_address_of_a_server_is_needed(celeriac: Celeriac, monkeypatch: pytest.MonkeyPatch, address: str, given: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    ended = celeriac("models", "publish", "churn", "--from", REFERENCE)
    assert (ended.exit, f"MLFLOW_TRACKING_URI {given}. Set it to the address of an MLflow server" in ended.err) == (2, True)


def test_a_server_that_does_not_answer_is_named(celeriac: Celeriac, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    ended = celeriac("models", "publish", "churn", "--from", REFERENCE)
    assert (ended.exit, "No MLflow server answers at MLFLOW_TRACKING_URI" in ended.err) == (3, True)


@pytest.mark.parametrize(
    ("status", "content", "exit", "says"),
    [
        (404, {"message": "Registered model alias champion not found."}, 4, "answered 404: Registered model alias champion not found."),
        (401, {}, 7, "answered 401: Unauthorized. Set MLFLOW_TRACKING_TOKEN, or"),
        (200, [], 2, "MLFLOW_TRACKING_URI is not the address of an MLflow server"),
        (200, {"models": []}, 2, "MLFLOW_TRACKING_URI is not the address of an MLflow server"),
    ],
)
def test_an_answer_without_a_model_ends_the_command(
    celeriac: Celeriac, stranger: Stranger, status: int, content: object, exit: int, says: str
) -> None:
    stranger.status, stranger.content = status, json.dumps(content).encode()
    ended = celeriac("models", "publish", "churn", "--from", REFERENCE)
    assert (ended.exit, says in ended.err) == (exit, True), ended.err


@pytest.mark.parametrize(
    ("content", "exit", "says"),
    [
        ({"artifact_uri": "s3://bucket/models/churn"}, 2, "are at s3://bucket/models/churn, which this command does not read"),
        ({"artifact_uri": "mlflow-artifacts:/1/model", "files": [{"path": ".."}]}, 1, "lists the file '..', which is not a file name"),
        ({"artifact_uri": "mlflow-artifacts:/1/model", "files": [{"path": "a", "is_dir": True}]}, 2, "has more than 64 levels of folders"),
    ],
)
def test_files_that_cannot_be_read_end_the_command(celeriac: Celeriac, stranger: Stranger, content: object, exit: int, says: str) -> None:
    stranger.content = json.dumps(content).encode()
    ended = celeriac("models", "publish", "churn", "--from", "models:/churn/1")
    assert (ended.exit, says in ended.err) == (exit, True), ended.err


@pytest.mark.parametrize("once", [(), ("--once",)], ids=["forever", "once"])
def test_a_wrong_reference_cannot_be_followed(celeriac: Celeriac, once: tuple[str, ...]) -> None:
    ended = celeriac("models", "follow", "churn", "--from", "churn", *once)
    assert (ended.exit, "Invalid model reference 'churn'" in ended.err) == (2, True)
