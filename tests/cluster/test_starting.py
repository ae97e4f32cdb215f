"""Pods that are deleted while they start end at once, and take no job with them."""

from __future__ import annotations

import time
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from tests.cluster.kube import until
from tests.cluster.measured import measured
from tests.cluster.release import Release

AGES = range(9)
"""Seconds after "Running" at which a pod is deleted: imports, models and consumers start within them."""
SOON_S = {"worker": 20, "api": 40}
"""Much less than the grace period (60 s and 85 s): a pod that lasts longer has lost its signal. An API that is ready already lingers."""


@pytest.fixture(scope="module", autouse=True)
def model(release: Release) -> None:
    release.publish_slow("brief", seconds=0.05)


def test_workers_that_are_deleted_while_they_start_end_at_once(release: Release) -> None:
    with release.held("default", 2):
        until("two workers", lambda: release.at.ready("celeriac-worker-default") == 2 == len(pods(release, "worker")), 180)
        sending = release.sending("brief", rate=10)
        slow = delete_young_pods(release, "worker")
        reported = sending.stop()
    what = f"{len(AGES)} workers deleted 0 to {AGES[-1]} s after their start: still there {SOON_S['worker']} s later, jobs lost, run again"
    measured(what, f"{len(slow)}, {reported['sent'] - reported['right']}, {reported['again']}")
    assert slow == []
    assert (reported["right"], reported["again"]) == (reported["sent"], 0), reported


def test_api_pods_that_are_deleted_while_they_start_end_at_once(release: Release) -> None:
    slow = delete_young_pods(release, "api")
    assert slow == []


def delete_young_pods(release: Release, component: str) -> list[str]:
    """Deletes the youngest pod at each age; returns those that did not end soon."""
    slow = []
    for age in AGES:
        until("a pod runs", lambda: any(started(pod) for pod in pods(release, component)), 120)
        name, since = until("a young pod", lambda: youngest(release, component), 120)
        until("its age", partial(reached, since + age), age + 5, every=0.1)
        release.at.kubectl("delete", "pod", name, "--wait=false")
        try:
            until("it ends", partial(gone, release, component, name), SOON_S[component])
        except AssertionError:
            slow.append(f"{name} after {age} s")
    return slow


def reached(at: float) -> bool:
    return time.time() >= at


def gone(release: Release, component: str, name: str) -> bool:
    return name not in {pod["metadata"]["name"] for pod in pods(release, component)}


def pods(release: Release, component: str) -> list[dict[str, Any]]:
    selector = {"worker": "celeriac/pool=default", "api": "app.kubernetes.io/component=api"}[component]
    return list(release.at.get("pods", "-l", selector)["items"])


def started(pod: dict[str, Any]) -> float:
    """When its container began to run, or 0."""
    for status in pod["status"].get("containerStatuses", []):
        if running := status["state"].get("running"):
            return datetime.fromisoformat(running["startedAt"]).timestamp()
    return 0.0


def youngest(release: Release, component: str) -> tuple[str, float] | None:
    """Name and start of the pod that has just begun to run, if no pod is about to."""
    living = [pod for pod in pods(release, component) if "deletionTimestamp" not in pod["metadata"]]
    if not living or not all(started(pod) for pod in living):
        return None
    pod = max(living, key=started)
    return pod["metadata"]["name"], started(pod)
