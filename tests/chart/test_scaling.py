"""KEDA counts what waits and what runs, under the names that our processes use."""

from __future__ import annotations

from typing import Any

from app.broker import names
from app.store import keys
from tests.chart.helm import objects, one

PAUSED = "paused > 0 ? running :"
"""The beginning of a formula: a paused pool is scaled as if nothing waited."""


WAITING = "priority + priorityBacklog + interactive + backlog + flex + flexBacklog"


def test_a_pool_is_scaled_by_its_queues_the_hash_in_flight_and_the_mark_of_a_pause() -> None:
    triggers = {t["name"]: t["metadata"]["listName"] for t in scaler("default")["triggers"]}
    assert triggers == {
        "interactive": keys.list_of(names.interactive("default")),
        "backlog": keys.backlog(names.interactive("default")),
        "bulk": keys.list_of(names.bulk("default")),
        "bulkBacklog": keys.backlog(names.bulk("default")),
        "priority": keys.list_of(names.priority("default")),
        "priorityBacklog": keys.backlog(names.priority("default")),
        "flex": keys.list_of(names.flex("default")),
        "flexBacklog": keys.backlog(names.flex("default")),
        "running": keys.PREFIX + keys.unacked("default"),
        "paused": keys.paused("default"),
    }


def test_the_sum_is_divided_by_the_processes_of_a_pod() -> None:
    modifiers = scaler("default", pools__default__processes=4)["advanced"]["scalingModifiers"]
    assert modifiers == {
        "formula": f"{PAUSED} {WAITING} + bulk + bulkBacklog + running",
        "target": "4",
        "activationTarget": "0",
        "metricType": "AverageValue",
    }


def test_a_target_above_one_never_takes_the_process_of_a_running_delivery() -> None:
    spec = scaler("default", pools__default={"processes": 4, "keda": {"targetPerProcess": 10, "activation": 5}})
    modifiers = spec["advanced"]["scalingModifiers"]
    assert modifiers["formula"] == f"{PAUSED} max(running, ({WAITING} + bulk + bulkBacklog + running) / 10)"
    # The activation counts deliveries, and the formula tenths of them.
    assert (modifiers["target"], float(modifiers["activationTarget"])) == ("4", 0.5)


def test_a_burst_must_last_before_it_adds_pods() -> None:
    behavior = scaler("default")["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleUp"]
    assert behavior["stabilizationWindowSeconds"] == 30
    own = {"scaleUpWindowSeconds": 0, "scaleUpPods": 9, "scaleUpPercent": 300, "scaleUpPeriodSeconds": 60}
    changed = scaler("default", pools__default__keda=own)["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleUp"]
    assert changed == {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [{"type": "Percent", "value": 300, "periodSeconds": 60}, {"type": "Pods", "value": 9, "periodSeconds": 60}],
    }


def test_a_pool_says_how_it_falls_back() -> None:
    spec = scaler("default", pools__default__keda={"fallbackBehavior": "static", "fallbackReplicas": 4, "fallbackAfter": 2})
    assert spec["fallback"] == {"failureThreshold": 2, "replicas": 4, "behavior": "static"}


def test_a_queue_that_is_off_does_not_count() -> None:
    spec = scaler("default", pools__default__queues={"bulk": False})
    assert spec["advanced"]["scalingModifiers"]["formula"] == f"{PAUSED} {WAITING} + running"
    assert [t["name"] for t in spec["triggers"]] == [*WAITING.split(" + "), "running", "paused"]


def test_a_pool_may_scale_to_zero() -> None:
    spec = scaler("default", pools__default__keda={"min": 0, "cooldownSeconds": 60})
    assert (spec["minReplicaCount"], spec["cooldownPeriod"]) == (0, 60)


def test_a_pool_that_keeps_a_pod_has_no_cooldown_for_keda_to_warn_of() -> None:
    assert "cooldownPeriod" not in scaler("default")


def test_what_a_pool_leaves_out_comes_from_the_defaults() -> None:
    spec = scaler("default", poolDefaults__keda__max=7, pools__default__keda={"pollingSeconds": 3})
    assert (spec["maxReplicaCount"], spec["pollingInterval"]) == (7, 3)


def test_keda_owns_the_number_of_pods_where_it_is_on() -> None:
    assert "replicas" not in one("Deployment", "worker-default")["spec"]


def test_without_keda_the_number_is_fixed_and_nothing_of_keda_is_there() -> None:
    assert one("Deployment", "worker-default", keda__enabled=False, pools__default__replicas=3)["spec"]["replicas"] == 3
    assert not [o for o in objects(keda__enabled=False) if o["apiVersion"].startswith("keda.sh")]


def test_keda_reads_the_bundled_redis_with_its_password() -> None:
    trigger = scaler("default")["triggers"][0]
    assert trigger["metadata"]["address"] == "demo-celeriac-redis.ml.svc:6379"
    assert trigger["authenticationRef"] == {"name": "demo-celeriac-redis"}
    assert authentication() == [{"parameter": "password", "name": "demo-celeriac-passwords", "key": "redis-password"}]


def test_keda_reads_an_external_redis_by_tls_as_its_own_user() -> None:
    values: dict[str, Any] = {
        "redis__bundled__enabled": False,
        "redis__external": {"url": "rediss://celeriac@redis.example:6380/2", "existingSecret": "ours", "caSecret": "ca"},
        "keda__redisUser": "scaler",
        "keda__redisSecret": "scalers",
    }
    assert scaler("default", **values)["triggers"][0]["metadata"] == {
        "address": "redis.example:6380",
        "username": "scaler",
        "enableTLS": "true",
        "databaseIndex": "2",
        "listName": "ml.demo-celeriac:default.priority",
        "listLength": "1",
    }
    assert authentication(**values) == [
        {"parameter": "password", "name": "scalers", "key": "redis-password"},
        {"parameter": "ca", "name": "ca", "key": "ca.crt"},
    ]


def test_keda_asks_the_sentinels_for_the_master() -> None:
    external = {"url": "sentinel://s1,s2:26380/mymaster/3", "existingSecret": "ours", "sentinelUser": "watcher", "sentinelSecret": "theirs"}
    values: dict[str, Any] = {"redis__bundled__enabled": False, "redis__external": external}
    trigger = scaler("default", **values)["triggers"][0]
    assert trigger["type"] == "redis-sentinel"
    assert trigger["metadata"] == {
        "addresses": "s1:26379,s2:26380",
        "sentinelMaster": "mymaster",
        "sentinelUsername": "watcher",
        "databaseIndex": "3",
        "listName": "ml.demo-celeriac:default.priority",
        "listLength": "1",
    }
    assert authentication(**values) == [
        {"parameter": "password", "name": "ours", "key": "redis-password"},
        {"parameter": "sentinelPassword", "name": "theirs", "key": "sentinel-password"},
    ]


def test_keda_asks_sentinels_over_tls() -> None:
    external = {"url": "sentinels://s1/mymaster/0", "caSecret": "ca"}
    metadata = scaler("default", redis__bundled__enabled=False, redis__external=external)["triggers"][0]["metadata"]
    assert (metadata["addresses"], metadata["enableTLS"]) == ("s1:26379", "true")


def test_keda_is_a_user_of_its_own_where_redis_has_users() -> None:
    assert scaler("default", redis__usersSecret="users")["triggers"][0]["metadata"]["username"] == "keda"
    assert authentication(redis__usersSecret="users") == [{"parameter": "password", "name": "users", "key": "keda"}]


def scaler(pool: str, **values: Any) -> dict[str, Any]:
    return dict(one("ScaledObject", f"worker-{pool}", **values)["spec"])


def authentication(**values: Any) -> list[dict[str, str]]:
    return list(one("TriggerAuthentication", "redis", **values)["spec"]["secretTargetRef"])


def test_beats_stand_by_for_each_other_and_are_scaled_by_nobody() -> None:
    assert not [o for o in objects() if o["metadata"]["name"].endswith("-beat")]
    found = [o for o in objects(beat={"enabled": True, "replicas": 2}) if o["metadata"]["name"].endswith("-beat")]
    assert sorted(o["kind"] for o in found) == ["Deployment", "NetworkPolicy"]
    deployment = one("Deployment", "beat", beat={"enabled": True, "replicas": 2})["spec"]
    [container] = deployment["template"]["spec"]["containers"]
    assert (deployment["replicas"], container["args"]) == (2, ["beat"])
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
