"""The model repository where the disk is really full."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from app.core.models import Manifest
from app.registry.repository import Repository
from app.runtime.publishing import publish
from tests.disks import Disk
from tests.registry.conftest import write


def large(folder: Path) -> Manifest:
    manifest = write(folder)
    (folder / manifest.artifact).write_bytes(bytes(1 << 18))
    return manifest


@pytest.mark.parametrize("left", [0, 1 << 16])
def test_what_cannot_be_published_whole_leaves_nothing(disk: Disk, left: int) -> None:
    repository = Repository(disk.folder)
    disk.fill(left)
    with pytest.raises(OSError, match="No space left"):
        repository.publish("digits", large)
    assert (repository.models(), repository.problems(), list(disk.folder.iterdir())) == ([], [], [])


def test_the_versions_and_aliases_before_stay(disk: Disk) -> None:
    repository = Repository(disk.folder)
    repository.publish("digits", write)
    repository.publish("digits", write)
    repository.promote("digits", "production", "1")
    disk.fill()
    with pytest.raises(OSError, match="No space left"):
        repository.publish("digits", large)
    with pytest.raises(OSError, match="No space left"):
        repository.promote("digits", "production", "2")
    assert (repository.versions("digits"), repository.aliases("digits")) == (["1", "2"], {"production": "1"})
    disk.free()
    assert repository.publish("digits", large).version == "3"
    repository.promote("digits", "production", "2")
    assert repository.problems() == []


def test_old_versions_can_be_removed_to_make_room(disk: Disk) -> None:
    repository = Repository(disk.folder)
    for _ in range(2):
        repository.publish("digits", large)
    disk.fill()
    repository.remove("digits", "1")
    assert repository.publish("digits", write).version == "3"


@pytest.mark.parametrize("format", ["skops", "joblib"])
def test_an_estimator_is_not_blamed_for_the_disk(disk: Disk, format: str) -> None:
    rows = np.random.default_rng(0).random((3000, 2))
    estimator = DecisionTreeClassifier(random_state=0).fit(rows, rows.sum(axis=1) * 1000 // 1)
    disk.fill(1 << 14)
    with pytest.raises(OSError, match="No space left") as caught:
        publish(Repository(disk.folder), estimator, "tree", sample=rows, format=format)
    assert caught.value.errno == errno.ENOSPC
    assert list(disk.folder.iterdir()) == []
