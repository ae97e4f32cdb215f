"""A second release in the same cluster: it disturbs nobody, leaves what is worth keeping, and finds it again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.cluster.conftest import release_in
from tests.cluster.kube import until
from tests.cluster.release import Release, Sending

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
    notes = neighbour.at.helm("get", "notes", neighbour.name).strip().splitlines()
    neighbour.at.helm("uninstall", neighbour.name, "--wait")
    neighbour.at.kubectl("delete", "pod/client")
    # As the notes print it, in the context of this cluster.
    printed = notes[-1].strip().replace("kubectl ", f"kubectl --context {neighbour.at.context} ", 1)
    subprocess.run(["sh", "-euc", printed], check=True)
    assert not neighbour.at.get("secrets,persistentvolumeclaims")["items"]


SHARED = (
    "--set=flower.enabled=false,models.samples=false,shared.enabled=false,pools.default.keda.max=1,"
    "redis.bundled.enabled=false,redis.external.url=redis://celeriac-redis.celeriac-suite.svc:6379/0,redis.external.existingSecret=their-redis"
)


@pytest.fixture(scope="module")
def lodger(context: str, release: Release) -> Iterator[Release]:
    """A release that uses the Redis of the suite's."""
    made = release_in(context, "celeriac-lodger")
    made.at.delete()
    made.at.create()
    password = release.at.secret("celeriac-passwords", "redis-password")
    made.at.kubectl("create", "secret", "generic", "their-redis", f"--from-literal=redis-password={password}")
    made.upgrade(SHARED)
    made.place_client()
    yield made
    made.at.delete()


def test_two_releases_in_one_redis_do_not_take_each_others_jobs(release: Release, lodger: Release) -> None:
    release.publish_slow("cousin", seconds=0.0, factor=2)
    lodger.publish_slow("cousin", seconds=0.0, factor=7)
    here, there = release.sending("cousin", 200, factor=2), Sending(lodger, "cousin", 200, {"factor": 7})
    assert (here.result()["right"], there.result()["right"]) == (200, 200)


def test_a_release_with_other_models_is_refused_under_the_same_prefix(release: Release, lodger: Release) -> None:
    lodger.upgrade(SHARED, "--set=redis.keyPrefix=celeriac", wait=False)

    def said() -> str:
        pods = lodger.at.get("pods", "-l", "app.kubernetes.io/component in (api, worker)")["items"]
        return json.dumps([s["lastState"] | s["state"] for pod in pods for s in pod["status"].get("containerStatuses", [])])

    until("a process ends with code 7", lambda: '"exitCode": 7' in said(), 120)
    assert release.send("cousin", 20, factor=2)["right"] == 20
