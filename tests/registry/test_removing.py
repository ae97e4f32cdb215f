from __future__ import annotations

import multiprocessing
import os
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from app.core.errors import CeleriacError, ModelConflict, VersionNotFound
from app.core.models import ModelRef
from app.registry import staging
from app.registry.repository import Repository
from tests.registry.conftest import write

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def three(repository: Repository) -> Repository:
    """A repository with digits@1 to digits@3."""
    for _ in range(3):
        repository.publish("digits", write)
    return repository


def test_a_version_that_was_removed_leaves_nothing(three: Repository) -> None:
    three.remove("digits", "1")
    assert three.versions("digits") == ["2", "3"]
    assert sorted(path.name for path in (three.root / "digits").iterdir()) == [".aliases.json.lock", "2", "3"]
    with pytest.raises(VersionNotFound, match=r"no version '1'\. Versions: 2, 3\."):
        three.resolve(ModelRef("digits", "1"))


def test_what_an_alias_points_to_stays(three: Repository) -> None:
    three.promote("digits", "canary", "2")
    with pytest.raises(ModelConflict, match=r"digits@2 is 'canary'\. Promote another version to that alias first\."):
        three.remove("digits", "2")
    assert three.versions("digits") == ["1", "2", "3"]


def test_the_newest_stays_so_that_no_number_comes_again(three: Repository) -> None:
    with pytest.raises(ModelConflict, match="is the newest version"):
        three.remove("digits", "3")
    three.remove("digits", "2")
    assert three.publish("digits", write).version == "4"


def test_a_bare_artifact_is_not_ours_to_remove(three: Repository) -> None:
    (three.root / "digits" / "model.joblib").write_bytes(b"an estimator")
    with pytest.raises(ModelConflict, match="bare artifact"):
        three.remove("digits", "0")
    assert (three.root / "digits" / "model.joblib").exists()


@pytest.mark.parametrize("version", ["7", "..", "../digits/1"])
def test_what_is_not_a_version_of_the_model_is_reported(three: Repository, version: str) -> None:
    with pytest.raises(VersionNotFound):
        three.remove("digits", version)


def test_a_process_that_has_the_file_open_reads_on(three: Repository) -> None:
    with three.artifact("digits", "1").open("rb") as file:
        three.remove("digits", "1")
        assert file.read() == b"an estimator"


def test_what_a_crash_left_of_a_removal_is_not_served_and_is_swept(three: Repository) -> None:
    home = three.root / "digits"
    hidden = staging.put_aside(home / "1")
    assert (three.versions("digits"), three.problems()) == (["2", "3"], [])
    for path in (*hidden.rglob("*"), hidden):
        os.utime(path, (0, 0))
    three.publish("digits", write)
    assert not hidden.exists()


def _read_on(root: Path, reading: Event, removed: Event) -> None:
    """Read every version repeatedly. A removed one must be reported as removed."""
    repository = Repository(root)
    while True:
        last = removed.is_set()
        for version in repository.versions("digits"):
            try:
                manifest = repository.manifest("digits", version)
                digest = staging.digest(repository.artifact("digits", version))
            except (CeleriacError, FileNotFoundError):
                continue
            if manifest is None or digest != manifest.sha256:
                os._exit(4)
        reading.set()
        if last:
            break
    if repository.versions("digits") != ["21"]:
        os._exit(5)


@pytest.mark.slow
def test_a_reader_beside_it_sees_a_version_whole_or_not_at_all(repository: Repository) -> None:
    for _ in range(21):
        repository.publish("digits", write)
    reading, removed = SPAWN.Event(), SPAWN.Event()
    reader = SPAWN.Process(target=_read_on, args=(repository.root, reading, removed))
    reader.start()
    assert reading.wait(60)
    for version in range(1, 21):
        repository.remove("digits", str(version))
    removed.set()
    reader.join(60)
    assert reader.exitcode == 0


def _promote(root: Path, ready: Event) -> None:
    repository = Repository(root)
    ready.set()
    for version in range(1, 31):
        try:
            repository.promote("digits", "canary", str(version))
        except VersionNotFound:
            continue


@pytest.mark.slow
def test_an_alias_never_points_to_what_is_removed_at_that_moment(repository: Repository) -> None:
    for _ in range(31):
        repository.publish("digits", write)
    ready = SPAWN.Event()
    promoter = SPAWN.Process(target=_promote, args=(repository.root, ready))
    promoter.start()
    assert ready.wait(60)
    while promoter.is_alive():
        for version in repository.versions("digits")[:-1]:
            try:
                repository.remove("digits", version)
            except ModelConflict:
                continue
            assert repository.aliases("digits").get("canary") != version
    promoter.join(60)
    assert promoter.exitcode == 0
    assert set(repository.aliases("digits").values()) <= set(repository.versions("digits"))
