from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import obstore
import pytest
from obstore.store import MemoryStore

from app.core.errors import ModelUnavailable, VersionNotFound
from app.core.models import Manifest
from app.registry.bucket.repository import BucketRepository
from tests.registry.bucket.conftest import Machine
from tests.registry.conftest import write

FORK = multiprocessing.get_context("fork")


def _of_size(size: int) -> Callable[[Path], Manifest]:
    def write_much(folder: Path) -> Manifest:
        manifest = write(folder)
        (folder / manifest.artifact).write_bytes(bytes(size))
        return manifest

    return write_much


@pytest.fixture
def full(machine: Machine) -> BucketRepository:
    """Returns a machine with room for two of the three versions of a model."""
    publisher = machine("publisher")
    for _ in range(3):
        publisher.publish("digits", _of_size(400))
    there = machine("there", max_bytes=1000)
    there.refresh()
    return there


def _local(repository: BucketRepository) -> list[str]:
    return [version for version in repository.versions("digits") if (repository.root / "digits" / version / "model.joblib").exists()]


def test_the_version_that_was_not_used_for_longest_makes_room(full: BucketRepository) -> None:
    for version in ("1", "2", "1", "3"):
        full.artifact("digits", version)
        os.utime(full.root / ".pulled" / f"digits@{version}.json", (1, 1) if version == "2" else None)
    assert _local(full) == ["1", "3"]
    assert full.cache.size() == 800
    assert full.artifact("digits", "2").stat().st_size == 400, "it is downloaded again"


def test_a_version_in_use_makes_no_room(full: BucketRepository) -> None:
    for version in ("1", "2"):
        full.artifact("digits", version)
        full.hold(("digits", version))
    with pytest.raises(ModelUnavailable, match=r"digits@3 has 400 bytes, and the cache has room for 200 .* CELERIAC_MODEL_CACHE_BYTES"):
        full.artifact("digits", "3")
    full.release(("digits", "1"))
    full.artifact("digits", "3")
    assert _local(full) == ["2", "3"]


def test_a_version_that_a_forked_process_uses_makes_no_room(full: BucketRepository) -> None:
    full.artifact("digits", "1")
    full.artifact("digits", "2")
    full.hold(("digits", "1"))
    begun, end = FORK.Event(), FORK.Event()

    def use() -> None:
        begun.set()
        end.wait(30)

    process = FORK.Process(target=use)
    process.start()
    begun.wait(30)
    full.release(("digits", "1"))
    full.artifact("digits", "3")
    assert _local(full) == ["1", "3"]
    end.set()
    process.join()
    full.artifact("digits", "2")
    assert _local(full) == ["2", "3"]


def test_a_version_larger_than_the_cache_is_refused(machine: Machine) -> None:
    machine("publisher").publish("digits", _of_size(400))
    small = machine("small", max_bytes=399)
    small.refresh()
    with pytest.raises(ModelUnavailable, match="has 400 bytes, and the cache has room for 399"):
        small.artifact("digits", "1")


def test_files_are_downloaded_once(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine("publisher").publish("digits", write)
    first, second = machine("shared"), machine("shared")
    first.refresh()
    first.artifact("digits", "1")
    monkeypatch.setattr(second.objects, "download", lambda *_: pytest.fail("downloaded again"))
    second.artifact("digits", "1")


def test_a_download_that_was_cut_off_leaves_nothing_that_counts(machine: Machine, store: MemoryStore) -> None:
    def two_files(folder: Path) -> Manifest:
        (folder / "zz").write_bytes(b"2")
        return write(folder)

    machine("publisher").publish("digits", two_files)
    there = machine("there")
    there.refresh()
    last = next(entry["path"] for page in obstore.list(store) for entry in page if entry["path"].endswith("/zz"))
    obstore.delete(store, last)
    with pytest.raises(ModelUnavailable, match="does not exist"):
        there.artifact("digits", "1")
    assert _local(there) == []
    obstore.put(store, last, b"2")
    assert there.artifact("digits", "1").parent.joinpath("zz").read_bytes() == b"2"


def test_only_versions_of_the_repository_are_downloaded(machine: Machine) -> None:
    here = machine("here")
    here.publish("digits", write)
    with pytest.raises(VersionNotFound):
        here.fetch("digits", "2")
