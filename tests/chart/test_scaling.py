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


def test_a_pool_with_a_promise_asks_the_api_how_many_processes_it_wants() -> None:
    spec = scaler("default", pools__default={"slo": "5s", "processes": 4})
    assert spec["triggers"] == [
        {
            "name": "slo",
            "type": "metrics-api",
            "metadata": {
                "url": "http://demo-celeriac-api.ml.svc:8000/v1/pools/default/wanted",
                "valueLocation": "wanted",
                "targetValue": "1",
                "authMode": "bearer",
            },
            "authenticationRef": {"name": "demo-celeriac-api"},
        }
    ]
    assert spec["advanced"]["scalingModifiers"] == {"formula": "slo", "target": "4", "activationTarget": "0", "metricType": "AverageValue"}
    assert spec["pollingInterval"] == 2
    assert spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert spec["fallback"] == {"failureThreshold": 3, "replicas": 1, "behavior": "currentReplicasIfHigher"}


def test_keda_asks_the_api_with_the_key_of_the_metrics() -> None:
    key = one("TriggerAuthentication", "api", pools__default__slo="5s")["spec"]["secretTargetRef"]
    assert key == [{"parameter": "token", "name": "demo-celeriac-passwords", "key": "metrics-key"}]


def test_without_keys_keda_asks_the_api_without_one() -> None:
    values: dict[str, Any] = {"pools__default__slo": "5s", "auth__mode": "none"}
    [trigger] = scaler("default", **values)["triggers"]
    assert "authMode" not in trigger["metadata"]
    assert "authenticationRef" not in trigger
    assert [o["metadata"]["name"] for o in objects(**values) if o["kind"] == "TriggerAuthentication"] == ["demo-celeriac-redis"]


def test_the_length_of_the_queues_counts_while_the_api_does_not_answer() -> None:
    spec = scaler("default", pools__default__slo="5s", keda__fallbackByLength=True)
    assert spec["advanced"]["scalingModifiers"]["formula"] == f"slo ?? ({PAUSED} {WAITING} + bulk + bulkBacklog + running)"
    assert [t["name"] for t in spec["triggers"]] == ["slo", *WAITING.split(" + "), "bulk", "bulkBacklog", "running", "paused"]
    assert spec["fallback"]["behavior"] == "scalingModifiers"


def test_the_api_knows_what_pools_have_promised() -> None:
    values: dict[str, Any] = {"pools": {"default": {"slo": "500ms"}, "gpu": {"slo": 30, "keepWarm": "10m"}, "plain": {}}}
    config = environment(**values)
    assert (config["CELERIAC_POOL_SLO"], config["CELERIAC_POOL_KEEP_WARM"]) == ("default=0.5,gpu=30", "gpu=600")
    assert not {"CELERIAC_POOL_SLO", "CELERIAC_POOL_KEEP_WARM"} & environment().keys()


def test_keda_reaches_the_api_if_policies_restrict_it() -> None:
    values: dict[str, Any] = {"networkPolicy": {"enabled": True, "ingressNamespace": "ingress"}, "pools__default__slo": "5s"}
    rules = one("NetworkPolicy", "api", **values)["spec"]["ingress"]
    callers = [peer.get("namespaceSelector", {}).get("matchLabels") for rule in rules for peer in rule["from"]]
    assert {"kubernetes.io/metadata.name": "keda"} in callers


def scaler(pool: str, **values: Any) -> dict[str, Any]:
    return dict(one("ScaledObject", f"worker-{pool}", **values)["spec"])


def environment(**values: Any) -> dict[str, str]:
    [container] = one("Deployment", "api", **values)["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable["value"] for variable in container["env"] if "value" in variable}


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
