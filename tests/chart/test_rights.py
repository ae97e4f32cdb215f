"""What our processes may ask of the cluster: what they use, in their own namespace."""

from __future__ import annotations

from tests.chart.helm import objects, one


def test_the_api_lists_what_its_page_of_pools_shows_and_changes_nothing() -> None:
    rules = one("Role", "api")["rules"]
    assert {resource for rule in rules for resource in rule["resources"]} == {
        "pods", "events", "deployments", "horizontalpodautoscalers", "scaledobjects",
    }  # fmt: skip
    assert {verb for rule in rules for verb in rule["verbs"]} == {"list"}


def test_workers_change_pods_only_where_asked() -> None:
    assert not [o for o in objects(cluster__read=False) if o["kind"] == "Role" and o["metadata"]["name"].endswith("-worker")]
    verbs = {(True, False): ["get"], (False, True): ["patch"], (True, True): ["get", "patch"]}
    for (read, cost), expected in verbs.items():
        [rule] = one("Role", "worker", cluster__read=read, cluster__deletionCost=cost)["rules"]
        assert (rule["resources"], rule["verbs"]) == (["pods"], expected)


def test_nothing_is_asked_of_the_whole_cluster() -> None:
    assert not [o for o in objects(cluster__deletionCost=True) if o["kind"].startswith("ClusterRole")]


def test_each_role_is_bound_to_the_account_of_the_pods_that_use_it() -> None:
    for component in ("api", "worker"):
        binding = one("RoleBinding", component, cluster__deletionCost=True)
        [subject] = binding["subjects"]
        deployment = one("Deployment", {"worker": "worker-default"}.get(component, component), cluster__deletionCost=True)
        assert subject["name"] == binding["roleRef"]["name"] == deployment["spec"]["template"]["spec"]["serviceAccountName"]
        assert one("ServiceAccount", component, cluster__deletionCost=True)["metadata"]["name"] == subject["name"]


def test_the_api_looks_for_the_workers_of_its_own_release() -> None:
    [container] = one("Deployment", "api")["spec"]["template"]["spec"]["containers"]
    selector = next(v["value"] for v in container["env"] if v["name"] == "CELERIAC_CLUSTER_SELECTOR")
    wanted = dict(pair.split("=") for pair in selector.split(","))
    for kind in ("Deployment", "ScaledObject"):
        assert wanted.items() <= one(kind, "worker-default")["metadata"]["labels"].items()
    assert not wanted.items() <= one("Deployment", "api")["metadata"]["labels"].items()
