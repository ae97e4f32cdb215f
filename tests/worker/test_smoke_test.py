"""Smoke tests of versions: side by side, in processes of their own, within their time limits."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.registry.repository import Repository
from app.runtime.loading import load
from app.runtime.model import Model
from app.runtime.model_yaml import publish_folder
from app.settings import Settings
from app.worker.smoke_test import Key, SmokeTests, Verdict
from tests.code import HERE

pytestmark = pytest.mark.slow


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.delenv("CELERIAC_WORKER_PORT", raising=False)  # where it is published the model behaves
    return Repository(tmp_path / "models")


@pytest.fixture
def tests(request: pytest.FixtureRequest, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmokeTests]:
    """With a timeout that only a version which hangs exceeds, or with the seconds that are the fixture's parameter."""

    def in_a_worker(key: Key) -> Model:
        os.environ["CELERIAC_WORKER_PORT"] = "0"
        return load(repository, *key)

    found = SmokeTests(in_a_worker, Settings(max_loads=3, load_timeout_s=60, probe_timeout_s=getattr(request, "param", 60)))
    yield found
    found.stop()


def publish(repository: Repository, name: str, mood: str, folder: Path) -> Key:
    source = folder / name
    source.mkdir()
    for file in ("model.py", "model.yaml"):
        (source / file).write_text((HERE / "patient" / file).read_text())
    (source / "number").write_text("1")
    (source / "mood").write_text(mood)
    with (source / "model.yaml").open("a") as file_:
        file_.write("sample: [1.0]\n")
    return publish_folder(repository, name, source).key


def verdicts(tests: SmokeTests, count: int) -> dict[Key, Verdict]:
    """The next ones that end."""
    found: list[Verdict] = []
    end = time.monotonic() + 120
    while len(found) < count:
        assert time.monotonic() < end, "they do not end"
        found += tests.advance(0.2)
    return {one.key: one for one in found}


@pytest.mark.parametrize(
    ("mood", "reason"),
    [
        ("", ""),
        ("raise", "there is no licence"),
        ("crash", "the process that loaded it was killed by SIGABRT"),
        ("exit", "the process that loaded it ended with exit code 3"),
    ],
)
def test_a_verdict_says_why(tests: SmokeTests, repository: Repository, tmp_path: Path, mood: str, reason: str) -> None:
    key = publish(repository, "patient", mood, tmp_path)
    tests.add(key)
    verdict = verdicts(tests, 1)[key]
    assert (reason in verdict.reason, bool(verdict.reason)) == (True, bool(mood))
    assert tests.keys == set()


@pytest.mark.parametrize("tests", [2], indirect=True)
def test_the_verdict_of_a_version_that_hangs_says_what_may_be_the_cause(tests: SmokeTests, repository: Repository, tmp_path: Path) -> None:
    key = publish(repository, "patient", "hang", tmp_path)
    tests.add(key)
    expected = "it did not answer its golden sample within 2 s (CELERIAC_PROBE_TIMEOUT_S). Libraries that start threads"
    assert expected in verdicts(tests, 1)[key].reason


def test_a_version_that_does_not_load_holds_up_no_other(tests: SmokeTests, repository: Repository, tmp_path: Path) -> None:
    slow = [publish(repository, f"slow-{number}", f"wait for {tmp_path / 'go'}", tmp_path) for number in range(2)]
    quick = [publish(repository, f"quick-{number}", "", tmp_path) for number in range(3)]
    for key in (*slow, *quick):
        tests.add(key)
    found = verdicts(tests, 3)
    assert {key: one.reason for key, one in found.items()} == dict.fromkeys(quick, "")
    assert tests.keys == set(slow)
    tests.discard(slow[1])
    (tmp_path / "go").touch()
    assert verdicts(tests, 1)[slow[0]].reason == ""
    assert tests.keys == set()


def test_none_begins_while_the_worker_may_not_fork(tests: SmokeTests, repository: Repository, tmp_path: Path) -> None:
    key = publish(repository, "patient", "", tmp_path)
    tests.add(key)
    assert tests.advance(start=False) == []
    assert verdicts(tests, 1)[key].reason == ""
