"""A second release in the same cluster: it disturbs nobody, leaves what is worth keeping, and finds it again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.conftest import release_in
from tests.cluster.release import Release

KEPT = ["secret/celeriac-passwords", "pvc/celeriac-models", "pvc/celeriac-shared", "pvc/data-celeriac-redis-0"]


@pytest.fixture(scope="module")
def neighbour(context: str, release: Release) -> Iterator[Release]:
    made = release_in(context, "celeriac-neighbour")
    made.at.delete()
    made.at.create()
    made.upgrade("--set=flower.enabled=false")
    made.place_client()
    yield made
    made.at.delete()


def test_each_release_answers_with_its_own_model_of_the_same_name(release: Release, neighbour: Release) -> None:
    release.publish_slow("namesake", seconds=0.0, factor=2)
    neighbour.publish_slow("namesake", seconds=0.0, factor=5)
    assert release.send("namesake", 50, factor=2)["right"] == 50
    assert neighbour.send("namesake", 50, factor=5)["right"] == 50


def test_uninstall_keeps_what_its_notes_say_and_an_installation_finds_it(neighbour: Release) -> None:
    said = neighbour.at.helm("get", "notes", neighbour.name).split()
    assert said[-len(KEPT) :] == KEPT
    before = neighbour.at.get("secret/celeriac-passwords")["data"]["redis-password"]
    neighbour.at.helm("uninstall", neighbour.name, "--wait")
    for kept in KEPT:
        assert neighbour.at.get(kept)
    assert not neighbour.at.get("deployments")["items"]
    neighbour.upgrade("--set=flower.enabled=false,models.samples=false")
    assert neighbour.at.get("secret/celeriac-passwords")["data"]["redis-password"] == before
    assert neighbour.send("namesake", 10, factor=5)["right"] == 10
    neighbour.at.helm("uninstall", neighbour.name, "--wait")
    neighbour.at.kubectl("delete", "pod/client", *KEPT)
    assert not neighbour.at.get("secrets,persistentvolumeclaims")["items"]
