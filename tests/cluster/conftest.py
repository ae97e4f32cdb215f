"""One release for the whole suite, in a namespace with restricted Pod Security."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.kube import Namespace
from tests.cluster.measured import lines, measured
from tests.cluster.release import Release
from tests.tools import need

HERE = Path(__file__).parent
POOLS = "--set=pools.idle.keda.min=0,pools.idle.keda.cooldownSeconds=15,pools.idle.keda.max=3,auth.serviceAccounts.enabled=true"
"""A pool that scales to zero, beside the default one of one to five workers; and service accounts as users."""
EXTENDED = {
    "test_elsewhere",
    "test_mistakes",
    "test_neighbours",
    "test_notes",
    "test_one_node",
    "test_starting",
    "test_three_nodes",
    "test_users",
}
"""Files that install releases of their own, or delete many pods. They take the most time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            if item.path.stem in EXTENDED:
                item.add_marker(pytest.mark.extended)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in lines():
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def context() -> str:
    """The kubectl context of the cluster, with KEDA in it and our image."""
    need("kubectl", "the suite talks to a cluster")
    need("helm", "the suite installs the chart")
    if not (name := os.environ.get("CELERIAC_CONTEXT")):
        pytest.skip("CELERIAC_CONTEXT names no cluster: run scripts/kind test")
    return name


def release_in(context: str, namespace: str) -> Release:
    return Release(Namespace(context, namespace), os.environ["CELERIAC_IMAGE"], os.environ["REDIS_IMAGE"])


@pytest.fixture(scope="session")
def release(context: str) -> Iterator[Release]:
    """Installed from nothing: a pool that keeps one worker and a pool that scales to zero."""
    made = release_in(context, "celeriac-suite")
    made.at.delete()
    made.at.create()
    begun = time.monotonic()
    made.upgrade(POOLS)
    measured("`helm install --wait`, images on the node", f"{made.installed_s:.0f} s")
    # Helm waits for no job, and this one trains and publishes the models.
    made.at.kubectl("wait", "job", "-l", "app.kubernetes.io/component=samples", "--for=condition=Complete", "--timeout=300s")
    made.predict("diabetes", [[0.0] * 10])
    measured("from `helm install` to the first answer of a sample model", f"{time.monotonic() - begun:.0f} s")
    made.place_client()
    yield made
    if not os.environ.get("CELERIAC_KEEP"):
        made.at.delete()
