"""What an administrator adds: labels, volumes, containers, placement, rights and rules, and objects of any kind."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.helm import Object, objects, one, pods

COMPONENTS = {
    "api": "demo-celeriac-api",
    "poolDefaults": "demo-celeriac-worker-default",
    "flower": "demo-celeriac-flower",
    "beat": "demo-celeriac-beat",
    "toolbox": "demo-celeriac-toolbox",
    "jobs": "demo-celeriac-test",
    "redis__bundled": "demo-celeriac-redis",
}
"""Values of a component, and the owner of a pod that they shape."""
each_component = pytest.mark.parametrize(("values", "owner"), COMPONENTS.items(), ids=COMPONENTS)


def pod(owner: str, **values: Any) -> Object:
    return pods(beat__enabled=True, **values)[owner]


@each_component
def test_a_volume_of_ones_own_is_mounted(values: str, owner: str) -> None:
    given = {
        f"{values}__extraVolumes": {"scratch": {"emptyDir": {}}},
        f"{values}__extraVolumeMounts": {"scratch": {"mountPath": "/scratch"}},
    }
    spec = pod(owner, **given)
    assert {"name": "scratch", "emptyDir": {}} in spec["volumes"]
    assert {"name": "scratch", "mountPath": "/scratch"} in spec["containers"][0]["volumeMounts"]


@each_component
def test_containers_of_ones_own_run_before_and_beside_ours_under_the_same_restrictions(values: str, owner: str) -> None:
    given = {f"{values}__initContainers": {"first": {"image": "a"}}, f"{values}__sidecars": {"proxy": {"image": "b"}}}
    spec = pod(owner, **given)
    ours, proxy = spec["containers"]
    [first] = spec["initContainers"]
    assert (first["name"], first["image"], proxy["name"], proxy["image"]) == ("first", "a", "proxy", "b")
    assert first["securityContext"] == proxy["securityContext"] == ours["securityContext"]
    mine = pod(owner, **{f"{values}__sidecars": {"proxy": {"image": "b", "securityContext": {"readOnlyRootFilesystem": False}}}})
    assert mine["containers"][1]["securityContext"] == {**ours["securityContext"], "readOnlyRootFilesystem": False}


@each_component
def test_pods_are_spread_as_the_values_say(values: str, owner: str) -> None:
    zones = {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
    [constraint] = pod(owner, **{f"{values}__topologySpreadConstraints": {"zones": zones}})["topologySpreadConstraints"]
    selector = constraint.pop("labelSelector")["matchLabels"]
    assert constraint == zones
    assert selector["app.kubernetes.io/instance"] == "demo"


@pytest.mark.parametrize(("values", "owner"), [item for item in COMPONENTS.items() if item[0] != "redis__bundled"])
def test_environment_comes_from_configmaps_and_secrets(values: str, owner: str) -> None:
    spec = pod(owner, **{f"{values}__extraEnvFrom": {"own": {"secretRef": {"name": "keys"}}}})
    assert spec["containers"][0]["envFrom"] == [{"secretRef": {"name": "keys"}}]


@each_component
def test_pods_have_labels_of_ones_own_and_are_selected_without_them(values: str, owner: str) -> None:
    given: dict[str, Any] = {f"{values}__podLabels": {"tier": "gold"}, "commonLabels": {"team": "ml"}, "beat__enabled": True}
    found = objects(**given)
    [workload] = [o for o in found if o["metadata"]["name"] == owner and o["kind"] in ("Deployment", "StatefulSet", "Pod")]
    labels = workload["metadata"]["labels"] if workload["kind"] == "Pod" else workload["spec"]["template"]["metadata"]["labels"]
    assert labels["team"] == "ml"
    assert labels.get("tier") == (None if workload["kind"] == "Pod" else "gold")
    assert not {"team", "tier"} & workload["spec"].get("selector", {}).get("matchLabels", {}).keys()


def test_every_object_has_the_common_labels_and_annotations() -> None:
    found = objects("production", commonLabels={"team": "ml"}, commonAnnotations={"owner": "me"}, beat__enabled=True)
    for o in found:
        assert o["metadata"]["labels"]["team"] == "ml", o["metadata"]["name"]
        assert o["metadata"]["annotations"]["owner"] == "me", o["metadata"]["name"]


def test_service_accounts_carry_the_annotations_of_cloud_identity() -> None:
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/models"}
    accounts = [o for o in objects(serviceAccount__annotations=role) if o["kind"] == "ServiceAccount"]
    assert {o["metadata"]["name"] for o in accounts} == {f"demo-celeriac{which}" for which in ("", "-api", "-worker", "-passwords")}
    assert all(o["metadata"]["annotations"] == role for o in accounts)


@pytest.mark.parametrize("component", ["api", "flower", "beat", "toolbox", "redis"])
def test_a_component_may_call_what_its_values_name(component: str) -> None:
    rule = {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 443}]}
    values = {"redis": "redis__bundled"}.get(component, component)
    given: dict[str, Any] = {f"{values}__extraEgress": {"s3": rule}, "beat__enabled": True}
    policy = one("NetworkPolicy", component, **given)
    assert rule in policy["spec"]["egress"]


def test_jobs_may_call_what_their_values_name() -> None:
    rule = {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}
    for component in ("passwords", "samples", "test"):
        assert rule in one("NetworkPolicy", component, jobs__extraEgress={"s3": rule})["spec"]["egress"]


def test_the_workers_of_one_pool_may_call_what_it_names_and_no_other_pool() -> None:
    rule = {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 443}]}
    policy = one("NetworkPolicy", "worker-own", pools__own={"extraEgress": {"s3": rule}})
    assert policy["spec"]["egress"] == [rule]
    assert policy["spec"]["policyTypes"] == ["Egress"]
    assert policy["spec"]["podSelector"]["matchLabels"]["celeriac/pool"] == "own"


def test_further_objects_are_rendered_as_templates() -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "{{ .Release.Name }}-quota"}}
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-text}\n"
    names = {(o["kind"], o["metadata"]["name"]) for o in objects(extraObjects={"quota": quota, "text": text})}
    assert {("ResourceQuota", "demo-quota"), ("ConfigMap", "demo-text")} <= names


def test_deployments_keep_as_many_old_replica_sets_as_asked() -> None:
    kept = {o["metadata"]["name"]: o["spec"]["revisionHistoryLimit"] for o in objects(revisionHistoryLimit=7) if o["kind"] == "Deployment"}
    assert len(kept) >= 4
    assert set(kept.values()) == {7}


def test_images_are_pulled_with_every_secret() -> None:
    for name, spec in pods(image__pullSecret="a", image__pullSecrets={"b": True, "c": False}).items():
        assert spec["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}], name


def test_an_upgrade_replaces_pods_as_the_values_say() -> None:
    def strategy(name: str, **values: Any) -> Any:
        return one("Deployment", name, **values)["spec"]["strategy"]["rollingUpdate"]

    assert strategy("api") == strategy("worker-default") == {"maxSurge": 1, "maxUnavailable": 0}
    # A node that is full has no room for another pod.
    full: dict[str, Any] = {"api__rollout": {"maxSurge": 0, "maxUnavailable": 1}, "poolDefaults__rollout__maxSurge": 0}
    assert strategy("api", **full) == strategy("worker-default", **full) == {"maxSurge": 0, "maxUnavailable": 1}
    assert strategy("worker-default", poolDefaults__rollout={"maxSurge": "50%"}) == {"maxSurge": "50%", "maxUnavailable": 0}
