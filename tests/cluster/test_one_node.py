"""Models on a volume that one node can mount: the node can be drained, and an upgrade passes although the node is full."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.chart.helm import number
from tests.cluster.conftest import release_in
from tests.cluster.kube import Namespace, until
from tests.cluster.release import Release

GIVEN = (
    "--set=commonLabels.suite=one-node,flower.enabled=false,models.samples=false,shared.enabled=false,keda.enabled=false,"
    "api.replicas=2,api.lingerSeconds=0,pools.default.replicas=2"
)


@pytest.fixture(scope="module")
def alone(context: str) -> Iterator[Release]:
    made = release_in(context, "celeriac-one-node")
    made.at.delete()
    made.at.create()
    made.upgrade(GIVEN)
    yield made
    made.at.delete()


def test_the_node_can_be_drained(alone: Release) -> None:
    [node] = alone.at.get("nodes")["items"]
    name = node["metadata"]["name"]
    try:
        alone.at.kubectl("drain", name, "--pod-selector=suite=one-node", "--delete-emptydir-data", "--timeout=150s")
    finally:
        alone.at.kubectl("uncordon", name)
    until("API and workers run again", lambda: {alone.at.ready(name) for name in ("celeriac-api", "celeriac-worker-default")} == {2}, 180)


def test_an_upgrade_passes_on_a_node_that_is_full(alone: Release) -> None:
    # Over half of what is free: a second pod of this size has no room.
    cores = int(free_cores(alone.at) * 1000 * Decimal("0.7"))
    assert cores > 0
    full = f"--set=api.replicas=1,pools.default.replicas=1,pools.default.resources.requests.cpu={cores}m,pools.default.rollout.maxSurge=0"
    alone.upgrade(GIVEN, full)
    before = workers(alone)
    alone.upgrade(GIVEN, full, "--set=pools.default.podAnnotations.touched=yes")
    assert not before & workers(alone)


def free_cores(at: Namespace) -> Decimal:
    [node] = at.get("nodes")["items"]
    pods = [pod for pod in at.get("pods", "--all-namespaces")["items"] if pod["status"]["phase"] in ("Pending", "Running")]
    taken = sum(number(c["resources"].get("requests", {}).get("cpu", 0)) for pod in pods for c in pod["spec"]["containers"])
    return number(node["status"]["allocatable"]["cpu"]) - taken


def workers(release: Release) -> set[str]:
    found = release.at.get("pods", "-l", "celeriac/pool=default")["items"]
    return {pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]}
