"""What a person learns about the pools, and what workers write to the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.cluster.conftest import POOLS
from tests.cluster.kube import until
from tests.cluster.release import Release

COST = "controller.kubernetes.io/pod-deletion-cost"


def test_the_page_of_pools_shows_their_pods_their_limits_and_what_is_in_their_way(release: Release) -> None:
    until("no idle worker", lambda: pool(release, "idle")["scaling"]["wanted"] == 0, 300)
    idle, default = pool(release, "idle"), pool(release, "default")
    assert [idle["scaling"][what] for what in ("minimum", "maximum")] == [0, 3]
    assert [default["scaling"][what] for what in ("minimum", "maximum")] == [1, 5]
    assert default["scaling"]["last_event"]["reason"]
    with release.held("default", 1):
        until("the pause is reported", lambda: any("paused" in said for said in pool(release, "default")["obstacles"]), 60)
    until("nothing is in the way", lambda: pool(release, "default")["obstacles"] == [], 120)


@pytest.fixture
def telling(release: Release) -> Iterator[Release]:
    """The release with workers that may write on their pods."""
    release.upgrade(POOLS, "--set=cluster.deletionCost=true")
    yield release
    release.upgrade(POOLS)


def test_busy_workers_cost_more_than_idle_ones(telling: Release) -> None:
    telling.publish_slow("slow", seconds=25.0)
    with telling.held("default", 2):
        until("two workers", lambda: telling.at.ready("celeriac-worker-default") == 2, 180)
        sending = telling.sending("slow", 1)
        until("one is busy, one is not", lambda: sorted(costs(telling)) == ["0", "1"], 60)
        assert sending.result()["right"] == 1
        until("both are idle", lambda: costs(telling) == ["0", "0"], 60)


def pool(release: Release, name: str) -> dict[str, Any]:
    with release.at.forward("svc/celeriac-api", 8000) as api:
        reported = httpx.get(f"{api}/v1/pools", headers=release.headers, timeout=30).json()
    assert reported["note"] is None
    return next(one for one in reported["items"] if one["pool"] == name)


def costs(release: Release) -> list[str]:
    found = release.at.get("pods", "-l", "celeriac/pool=default")["items"]
    return [one["metadata"].get("annotations", {}).get(COST, "") for one in found if "deletionTimestamp" not in one["metadata"]]
