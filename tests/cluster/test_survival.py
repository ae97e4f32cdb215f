"""Pods die under load; every job is answered all the same, and its answer never changes."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.cluster.kube import until
from tests.cluster.measured import measured
from tests.cluster.release import Release, Sending


@pytest.fixture(scope="module", autouse=True)
def model(release: Release) -> None:
    release.publish_slow("tough", seconds=0.1)


def test_a_worker_killed_by_force_loses_no_job(release: Release) -> None:
    release.publish_slow("patient", seconds=20.0)
    with release.held("default", 1):
        until("one worker", lambda: len(workers(release)) == 1 == release.at.ready("celeriac-worker-default"), 180)
        [victim] = workers(release)
        sending = release.sending("patient", 4)
        release.at.kubectl("delete", "pod", victim, "--force", "--grace-period=0")
        reported = all_right(sending, "their worker pod is killed")
    assert reported["again"] > 0, "the worker was killed after it had ended its jobs"


@pytest.mark.extended
def test_an_api_that_dies_loses_no_job_that_it_took(release: Release) -> None:
    sending = release.sending("tough", 600)
    release.at.kubectl("delete", "pod", "-l", "app.kubernetes.io/component=api", "--force", "--grace-period=0")
    all_right(sending, "the API pod is killed")


@pytest.mark.extended
def test_a_redis_that_restarts_loses_no_job(release: Release) -> None:
    sending = release.sending("tough", 600)
    release.at.kubectl("delete", "pod", "celeriac-redis-0", "--grace-period=5")
    all_right(sending, "the Redis pod is deleted")


def test_a_job_that_needs_more_memory_than_its_worker_has_fails_and_says_so(release: Release) -> None:
    release.publish_slow("hungry", seconds=0.0, mebibytes=2048)
    with release.at.forward("svc/celeriac-api", 8000) as api:
        job = httpx.post(f"{api}/v1/jobs", json={"model": "hungry", "inputs": [[1.0]]}, headers=release.headers, timeout=30).json()

        def ended() -> dict[str, Any] | None:
            found = httpx.get(f"{api}/v1/jobs/{job['id']}", headers=release.headers, timeout=30).json()
            return dict(found) if found["state"] in ("succeeded", "failed") else None

        error = until("the job fails", ended, 300)["error"]
    assert error["code"] == "worker_lost"
    assert "OOMKilled" in error["detail"]


def workers(release: Release) -> list[str]:
    """Pods of the default pool, those that are going too: they may still work."""
    return [pod["metadata"]["name"] for pod in release.at.get("pods", "-l", "celeriac/pool=default")["items"]]


def all_right(sending: Sending, what: str) -> dict[str, Any]:
    reported = sending.result()
    losses = f"{sending.jobs - reported['right']}, {reported['changed']}, {reported['again']}"
    measured(f"{sending.jobs} jobs while {what}: lost, answered twice, run again", losses)
    assert (reported["right"], reported["changed"]) == (sending.jobs, 0), reported
    return reported
