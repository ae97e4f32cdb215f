"""Pods die under load; every job is answered all the same."""

from __future__ import annotations

import pytest

from tests.cluster.kube import until
from tests.cluster.release import Release


@pytest.fixture(scope="module", autouse=True)
def model(release: Release) -> None:
    release.publish_slow("tough", seconds=0.1)


def test_a_worker_killed_by_force_loses_no_job(release: Release) -> None:
    sending = release.sending("tough", 600)
    until("work under way", lambda: release.running() >= 2)
    [victim, *_] = release.at.get("pods", "-l", "app.kubernetes.io/component=worker,celeriac/pool=default")["items"]
    release.at.kubectl("delete", "pod", victim["metadata"]["name"], "--force", "--grace-period=0")
    assert sending.result()["right"] == 600


def test_an_api_that_dies_loses_no_job_that_it_took(release: Release) -> None:
    sending = release.sending("tough", 600)
    until("work under way", lambda: release.running() >= 2)
    release.at.kubectl("delete", "pod", "-l", "app.kubernetes.io/component=api", "--force", "--grace-period=0")
    assert sending.result()["right"] == 600


def test_a_redis_that_restarts_loses_no_job(release: Release) -> None:
    sending = release.sending("tough", 600)
    until("work under way", lambda: release.running() >= 2)
    release.at.kubectl("delete", "pod", "celeriac-redis-0", "--grace-period=5")
    assert sending.result()["right"] == 600
