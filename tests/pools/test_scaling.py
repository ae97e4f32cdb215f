"""What a person learns about a pool, from objects that a real cluster made."""

from __future__ import annotations

import json

from tests.pools.recorded import FOLDER, pool


def test_a_pool_that_can_grow_has_no_obstacle() -> None:
    found = pool("full", "idle")
    assert (found.wanted, found.ready, found.minimum, found.maximum, found.obstacles) == (0, 0, 0, 3, [])


def test_the_maximum_and_the_pods_that_find_no_node_are_reported() -> None:
    found = pool("full")
    assert (found.wanted, found.ready, found.maximum) == (5, 3, 5)
    most, room = found.obstacles
    assert most == "the maximum of 5 pods is reached: pools.default.keda.max in the chart's values raises it"
    assert room.startswith("2 pods, each of which waits for a node: 0/1 nodes are available: 1 Insufficient cpu.")


def test_the_last_event_is_the_scaler_s_newest() -> None:
    event = pool("full").last_event
    assert event is not None
    assert (event.at, event.reason, event.message[:11]) == ("2026-11-21T13:44:20Z", "SuccessfulRescale", "New size: 5")


def test_a_pause_is_reported_by_its_annotation() -> None:
    assert pool("paused").obstacles == ["scaling is paused by the annotation autoscaling.keda.sh/paused-replicas"]


def test_one_pod_that_asks_for_more_than_a_node_has() -> None:
    [reported] = pool("no-room").obstacles
    assert reported.startswith("a pod waits for a node: 0/1 nodes are available: 1 Insufficient memory.")


def test_a_secret_that_is_missing_is_named() -> None:
    assert pool("no-secret").obstacles == ['a pod cannot start: CreateContainerConfigError: secret "nowhere" not found']


def test_without_a_scaler_the_number_is_fixed_and_that_is_said() -> None:
    found = pool("fixed")
    assert (found.wanted, found.minimum, found.maximum, found.last_event) == (1, None, None, None)
    assert found.obstacles == ["no ScaledObject watches this pool: the number of pods stays at 1"]


def test_a_cluster_without_keda_is_reported() -> None:
    assert pool("fixed", scalers=None).obstacles == ["KEDA is not installed in this cluster: the number of pods stays at 1"]


def test_pods_that_are_going_are_in_nobody_s_way() -> None:
    pods = json.loads((FOLDER / "no-room.json").read_text())["pods"]
    for pod in pods:
        pod["metadata"]["deletionTimestamp"] = "2026-11-21T13:50:00Z"
    found = pool("no-room", pods=pods)
    assert found.obstacles == []
    assert found.leaving == {pod["metadata"]["name"] for pod in pods if pod["metadata"]["labels"]["celeriac/pool"] == "default"}
