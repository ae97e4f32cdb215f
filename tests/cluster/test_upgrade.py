"""A new version of ours or of a model arrives under load, and no caller notices."""

from __future__ import annotations

import pytest

from tests.cluster.kube import until
from tests.cluster.release import Release

POOLS = "--set=pools.idle.keda.min=0,pools.idle.keda.cooldownSeconds=15,pools.idle.keda.max=3"


@pytest.fixture(scope="module", autouse=True)
def model(release: Release) -> None:
    release.publish_slow("calm", seconds=0.02)


def test_api_and_workers_are_replaced_without_a_failed_request(release: Release) -> None:
    before = pods(release)
    sending = release.sending("calm", 1500, rate=25)
    until("work under way", lambda: not sending.done)
    release.upgrade(POOLS, "--set=settings.log_format=json")
    told = sending.result()
    assert (told["right"], told["failed"], told["again"]) == (1500, {}, 0)
    assert not before & pods(release)


def test_a_rollback_is_as_quiet(release: Release) -> None:
    sending = release.sending("calm", 750, rate=25)
    release.at.helm("rollback", release.name, "--wait", "--timeout=5m")
    told = sending.result()
    assert (told["right"], told["failed"], told["again"]) == (750, {}, 0)


def test_an_upgrade_keeps_the_passwords(release: Release) -> None:
    before = release.at.get("secret/celeriac-passwords")["data"]
    release.upgrade(POOLS, "--set=flower.podAnnotations.touched=yes")
    assert release.at.get("secret/celeriac-passwords")["data"] == before


def test_a_model_version_that_is_copied_to_the_volume_is_served_without_a_restart(release: Release) -> None:
    before = pods(release)
    release.publish_slow("calm", seconds=0.02, version="2", factor=3)
    until("version 2", lambda: release.send("calm", 1, factor=3)["right"] == 1, 60)
    assert before == pods(release)


def pods(release: Release) -> set[str]:
    found = release.at.get("pods", "-l", "app.kubernetes.io/component in (api, worker)")["items"]
    return {pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]}
