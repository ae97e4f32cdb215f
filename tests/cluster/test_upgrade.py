"""A new version of ours or of a model arrives under load, and no caller notices."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.conftest import POOLS
from tests.cluster.kube import until
from tests.cluster.measured import measured
from tests.cluster.release import Release

RATE = 25


@pytest.fixture(scope="module", autouse=True)
def model(release: Release) -> None:
    release.publish_slow("calm", seconds=0.02)


def test_api_and_workers_are_replaced_without_a_failed_request(release: Release) -> None:
    before = pods(release)
    sending = release.sending("calm", rate=RATE)
    release.upgrade(POOLS, "--set=settings.log_format=json")
    reported = sending.stop()
    unnoticed(reported, "rolling upgrade")
    assert not before & pods(release)


@pytest.mark.extended
def test_a_starved_machine_fails_no_request_either(release: Release) -> None:
    before = pods(release)
    sending = release.sending("calm", rate=RATE)
    with starved():
        release.upgrade(POOLS, "--set=settings.webhook_keep=99")
    unnoticed(sending.stop(), "rolling upgrade on a starved machine")
    assert not before & pods(release)


@pytest.mark.extended
def test_a_rollback_is_as_quiet(release: Release) -> None:
    before = pods(release)
    sending = release.sending("calm", rate=RATE)
    # The first revision is the installation: it found no claims in the cluster.
    release.at.helm("rollback", release.name, "1", "--wait", "--timeout=5m")
    unnoticed(sending.stop(), "rollback")
    assert not before & pods(release)


def test_an_upgrade_keeps_the_passwords(release: Release) -> None:
    before = release.at.get("secret/celeriac-passwords")["data"]
    release.upgrade(POOLS, "--set=flower.podAnnotations.touched=yes")
    assert release.at.get("secret/celeriac-passwords")["data"] == before


def test_a_model_version_that_is_copied_to_the_volume_is_served_without_a_restart(release: Release) -> None:
    before = pods(release)
    release.publish_slow("calm", seconds=0.02, version="2", factor=3)
    until("version 2", lambda: release.send("calm", 1, factor=3)["right"] == 1, 60)
    # Fewer there may be: the pool shrinks after the load of the tests before.
    assert pods(release) <= before


@contextlib.contextmanager
def starved() -> Iterator[None]:
    """Three busy processes per core beside the cluster, which runs on the same machine."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def unnoticed(reported: dict[str, Any], what: str) -> None:
    """Every request brought its answer at once, and every job the right one, at the first attempt."""
    measured(
        f"{what} under {RATE} jobs/s: requests failed, jobs lost, run again",
        f"{sum(reported['failed'].values())}, {reported['sent'] - reported['right']}, {reported['again']} of {reported['sent']}",
    )
    assert (reported["failed"], reported["wrong"], reported["again"], reported["changed"]) == ({}, [], 0, 0), reported["first_failed"]


def pods(release: Release) -> set[str]:
    found = release.at.get("pods", "-l", "app.kubernetes.io/component in (api, worker)")["items"]
    return {pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]}
