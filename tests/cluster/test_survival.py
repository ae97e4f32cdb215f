"""Pods die under load; every job is answered all the same, and its answer never changes."""

from __future__ import annotations

import pytest

from tests.cluster.measured import measured
from tests.cluster.release import Release, Sending

JOBS = 600


@pytest.fixture(scope="module", autouse=True)
def model(release: Release) -> None:
    release.publish_slow("tough", seconds=0.1)


def test_a_worker_killed_by_force_loses_no_job(release: Release) -> None:
    sending = release.sending("tough", JOBS)
    found = release.at.get("pods", "-l", "app.kubernetes.io/component=worker,celeriac/pool=default")["items"]
    victim = next(pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"])
    release.at.kubectl("delete", "pod", victim, "--force", "--grace-period=0")
    all_right(sending, "a worker pod is killed")


def test_an_api_that_dies_loses_no_job_that_it_took(release: Release) -> None:
    sending = release.sending("tough", JOBS)
    release.at.kubectl("delete", "pod", "-l", "app.kubernetes.io/component=api", "--force", "--grace-period=0")
    all_right(sending, "the API pod is killed")


def test_a_redis_that_restarts_loses_no_job(release: Release) -> None:
    sending = release.sending("tough", JOBS)
    release.at.kubectl("delete", "pod", "celeriac-redis-0", "--grace-period=5")
    all_right(sending, "the Redis pod is deleted")


def all_right(sending: Sending, what: str) -> None:
    told = sending.result()
    measured(
        f"jobs lost, answered twice, run again of {told['sent']} while {what}",
        f"{JOBS - told['right']}, {told['changed']}, {told['again']}",
    )
    assert (told["right"], told["changed"]) == (JOBS, 0), told
