from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from app.core.errors import InvalidInput, ModelConflict
from app.core.models import Manifest
from app.registry import staging
from app.registry.repository import Repository
from tests.registry.conftest import write

SPAWN = multiprocessing.get_context("spawn")


def _together(root: Path, *targets: Callable[[Barrier, Path], None]) -> list[int | None]:
    """Exit codes of processes that each run a target, which is passed a barrier to begin at once with the others."""
    barrier = SPAWN.Barrier(len(targets))
    processes = [SPAWN.Process(target=target, args=(barrier, root)) for target in targets]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


def _publish_five(barrier: Barrier, root: Path) -> None:
    barrier.wait(30)
    for _ in range(5):
        Repository(root).publish("digits", write)


def _publish_large(barrier: Barrier, root: Path) -> None:
    def large(folder: Path) -> Manifest:
        manifest = write(folder)
        (folder / manifest.artifact).write_bytes(bytes(4 << 20))
        return manifest

    barrier.wait(30)
    for _ in range(8):
        Repository(root).publish("digits", large)


def _read_eight(barrier: Barrier, root: Path) -> None:
    repository, seen = Repository(root), 0
    barrier.wait(30)
    while seen < 8:
        versions = repository.versions("digits") if repository.models() else []
        for version in versions[seen:]:
            manifest = repository.manifest("digits", version)
            if manifest is None or staging.digest(repository.artifact("digits", version)) != manifest.sha256:
                os._exit(4)
        seen = len(versions)


def _publish_seven(barrier: Barrier, root: Path) -> None:
    barrier.wait(30)
    try:
        Repository(root).publish("digits", write, version="7")
    except ModelConflict:
        os._exit(3)


def _die_while_writing(barrier: Barrier, root: Path) -> None:
    def killed(folder: Path) -> Manifest:
        write(folder)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    Repository(root).publish("digits", killed)


def test_versions_are_numbered_from_1(repository: Repository) -> None:
    assert [repository.publish("digits", write).version for _ in range(2)] == ["1", "2"]


def test_the_next_version_follows_the_highest_whole_number(repository: Repository) -> None:
    repository.publish("digits", write, version="4.2.0")
    assert repository.publish("digits", write).version == "5"


def test_a_version_never_changes(repository: Repository) -> None:
    before = repository.publish("digits", write, version="1")
    with pytest.raises(ModelConflict, match="digits@1 exists already"):
        repository.publish("digits", write, version="1")
    assert repository.manifest("digits", "1") == before


@pytest.mark.parametrize("name", ["Digits", "../digits", "", ".digits", "a b"])
def test_a_name_that_is_not_valid_is_refused(repository: Repository, name: str) -> None:
    with pytest.raises(InvalidInput, match="is not a valid model name"):
        repository.publish(name, write)


@pytest.mark.parametrize("version", ["production", "../1", ".1", "v1"])
def test_a_version_that_is_not_valid_is_refused(repository: Repository, version: str) -> None:
    with pytest.raises(InvalidInput, match="is not a valid version"):
        repository.publish("digits", write, version=version)


def test_nobody_sees_a_version_before_it_is_whole(repository: Repository) -> None:
    seen: list[list[str]] = []

    def watched(folder: Path) -> Manifest:
        manifest = write(folder)
        seen.append(repository.models())
        return manifest

    repository.publish("digits", watched)
    assert seen == [[]]


def test_a_publisher_that_fails_leaves_nothing(repository: Repository) -> None:
    def fails(folder: Path) -> Manifest:
        write(folder)
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        repository.publish("digits", fails)
    assert list(repository.root.iterdir()) == []


@pytest.mark.slow
def test_a_publisher_that_is_killed_leaves_nothing_that_is_served(repository: Repository) -> None:
    assert _together(repository.root, _die_while_writing) == [-signal.SIGKILL]
    assert list((repository.root / "digits").glob(".staging-*"))
    assert repository.models() == []
    assert repository.problems() == []


def test_what_a_crash_left_is_swept_by_a_later_publisher_and_what_is_being_written_is_not(repository: Repository) -> None:
    home = repository.root / "digits"
    old, new = home / ".staging-old", home / ".staging-new"
    for stage in (old, new):
        stage.mkdir(parents=True)
        (stage / "model.joblib").write_bytes(b"half")
    long_ago = time.time() - staging.STALE_S - 60
    for path in (old / "model.joblib", old):
        os.utime(path, (long_ago, long_ago))
    repository.publish("digits", write)
    assert [path.name for path in home.glob(".staging-*")] == [".staging-new"]


@pytest.mark.slow
def test_publishers_at_once_each_get_a_version_of_their_own(repository: Repository) -> None:
    assert _together(repository.root, *[_publish_five] * 3) == [0, 0, 0]
    assert repository.versions("digits") == [str(number) for number in range(1, 16)]
    assert repository.problems() == []


@pytest.mark.slow
def test_of_publishers_of_the_same_version_one_wins_and_the_others_are_reported(repository: Repository) -> None:
    assert sorted(_together(repository.root, *[_publish_seven] * 3), key=str) == [0, 3, 3]
    assert repository.versions("digits") == ["7"]


@pytest.mark.slow
def test_a_reader_beside_a_publisher_sees_whole_versions_only(repository: Repository) -> None:
    assert _together(repository.root, _publish_large, _read_eight) == [0, 0]


def test_other_users_may_read_what_was_published(repository: Repository) -> None:
    repository.publish("digits", write)
    umask = os.umask(0)
    os.umask(umask)
    assert (repository.root / "digits" / "1").stat().st_mode & 0o777 == 0o777 & ~umask


def test_the_digest_is_taken_here_whatever_the_writer_says(repository: Repository) -> None:
    published = repository.publish("digits", lambda folder: replace(write(folder), sha256="0" * 64, name="other", version="9"))
    assert published.key == ("digits", "1")
    assert published.sha256 == staging.digest(repository.artifact("digits", "1"))


def of_job(folder: Path, job: str = "j1") -> Manifest:
    return replace(write(folder), provenance={"job": job})


def test_a_job_publishes_once(repository: Repository) -> None:
    first = repository.publish("digits", of_job, job="j1")
    repository.publish("digits", write)
    assert repository.publish("digits", of_job, job="j1") == first
    assert repository.versions("digits") == ["1", "2"]


def _publish_one_job(barrier: Barrier, root: Path) -> None:
    barrier.wait(30)
    Repository(root).publish("digits", of_job, job="j1")


@pytest.mark.slow
def test_a_job_that_runs_twice_at_once_publishes_once(repository: Repository) -> None:
    assert _together(repository.root, *[_publish_one_job] * 3) == [0, 0, 0]
    assert repository.versions("digits") == ["1"]


def test_a_job_that_is_tried_again_removes_what_it_left(repository: Repository) -> None:
    left = repository.root / "digits" / f"{staging.PREFIX}j1-0123"
    others = left.with_name(f"{staging.PREFIX}j2-0123")
    for folder in (left, others):
        folder.mkdir(parents=True)
    assert repository.begin("digits", "j1") is None
    assert (left.exists(), others.exists()) == (False, True)


def test_a_job_that_is_tried_again_finds_what_it_has_published(repository: Repository) -> None:
    assert repository.begin("digits", "j1") is None
    published = repository.publish("digits", of_job, job="j1")
    assert repository.begin("digits", "j1") == published
