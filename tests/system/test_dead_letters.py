"""The commands over dead letters, against an API process; the worker is led by the hand."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from app.cli.main import app
from app.core.deliveries import Outcome
from app.core.errors import PredictionFailed
from app.settings import settings
from tests.api.conftest import Worker, worker
from tests.running import Running

__all__ = ["worker"]


@pytest.fixture(scope="module")
def api(redis_server: str, sample_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an API process."""
    folder = tmp_path_factory.mktemp("api")
    own = {"CELERIAC_REDIS_URL": redis_server, "CELERIAC_MODELS": str(sample_models), "CELERIAC_STATE": str(folder)}
    with Running("", sample_models, redis_server, os.environ | own, folder).process("api") as (_, url):
        yield url


@pytest.fixture
def served(api: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The same, with an empty Redis; the commands ask it."""
    monkeypatch.setenv("CELERIAC_URL", api)
    settings.cache_clear()
    yield api
    settings.cache_clear()


@pytest.fixture
def letters(served: str, worker: Worker) -> list[str]:
    """The ids of two letters."""
    ids = [httpx.post(f"{served}/v1/jobs", json={"model": "digits", "inputs": [[0.0] * 64]}).json()["id"] for _ in range(2)]
    for id in ids:
        worker.finish(worker.take(), Outcome(id, error=PredictionFailed("it raised"), traceback="ValueError: no"))
    return ids


def celeriac(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["dead-letters", *arguments])


def test_letters_are_listed(letters: list[str]) -> None:
    found = json.loads(celeriac("list", "--error", "prediction_failed", "--json").stdout)
    assert [one["id"] for one in found] == letters[::-1]


def test_a_letter_is_shown_with_its_traceback(letters: list[str]) -> None:
    shown = celeriac("show", letters[0]).stdout
    assert "ValueError: no" in shown
    assert "host/1" in shown


def test_letters_are_replayed_by_id(letters: list[str], worker: Worker) -> None:
    said = json.loads(celeriac("replay", letters[0], "--json").stdout)
    assert worker.take().jobs == (said["jobs"][0]["id"],)


def test_letters_are_replayed_by_model(letters: list[str]) -> None:
    said = json.loads(celeriac("replay", "--model", "digits", "--json").stdout)
    assert {one["replay_of"] for one in said["jobs"]} == set(letters)


def test_letters_are_discarded(letters: list[str]) -> None:
    assert celeriac("discard", "--all").stdout == "2 discarded\n"


def test_nothing_is_discarded_where_nothing_was_chosen(letters: list[str]) -> None:
    assert celeriac("discard").exit_code != 0
    assert len(json.loads(celeriac("list", "--json").stdout)) == 2
