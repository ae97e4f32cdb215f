"""All traffic is refused but what each component needs; what comes from outside comes by one way."""

from __future__ import annotations

from typing import Any

from tests.chart.helm import objects, one


def test_one_policy_refuses_everything_to_every_pod_of_the_release() -> None:
    spec = one("NetworkPolicy", "default-deny")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in spec
    assert "egress" not in spec
    assert spec["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "celeriac", "app.kubernetes.io/instance": "demo"}


def test_redis_takes_calls_of_our_processes_and_of_keda_only() -> None:
    [rule] = one("NetworkPolicy", "redis")["spec"]["ingress"]
    components = {c["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for c in rule["from"] if "podSelector" in c}
    namespaces = {c["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for c in rule["from"] if "namespaceSelector" in c}
    assert (components, namespaces, rule["ports"]) == ({"api", "worker", "beat", "flower", "toolbox"}, {"keda"}, [{"port": 6379}])


def test_processes_may_call_redis_and_the_names_service_and_nothing_else() -> None:
    values: dict[str, Any] = {"cluster__read": False, "networkPolicy__webhookCIDR": "", "beat__enabled": True}
    for component in ("api", "worker", "beat", "flower"):
        names, redis = one("NetworkPolicy", component, **values)["spec"]["egress"]
        assert {p["port"] for p in names["ports"]} == {53}
        assert redis["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "redis"


def test_components_that_read_the_cluster_may_call_it() -> None:
    cluster = {"ports": [{"port": 443}, {"port": 6443}]}
    assert cluster in one("NetworkPolicy", "api")["spec"]["egress"]
    assert cluster in one("NetworkPolicy", "worker")["spec"]["egress"]
    assert cluster not in one("NetworkPolicy", "worker", cluster__read=False)["spec"]["egress"]
    assert cluster in one("NetworkPolicy", "worker", cluster__read=False, cluster__deletionCost=True)["spec"]["egress"]


def test_webhooks_go_to_public_addresses_unless_others_are_allowed() -> None:
    def rule(**values: Any) -> Any:
        return one("NetworkPolicy", "api", cluster__read=False, **values)["spec"]["egress"][-1]

    assert {"10.0.0.0/8", "192.168.0.0/16", "169.254.0.0/16"} <= set(rule()["to"][0]["ipBlock"].pop("except"))
    assert rule()["ports"] == [{"port": 443}]
    anywhere: dict[str, Any] = {"settings__webhook_allow_private": True, "networkPolicy__webhookPort": 0}
    assert rule(**anywhere) == {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}
    assert rule(networkPolicy__webhookCIDR="192.0.2.0/24")["to"] == [{"ipBlock": {"cidr": "192.0.2.0/24"}}]


def test_an_external_redis_is_reached_at_its_port_and_addresses() -> None:
    values: dict[str, Any] = {
        "redis__bundled__enabled": False,
        "redis__external__url": "rediss://r.example:6380/0",
        "networkPolicy__redisCIDR": "10.0.0.0/8",
        "cluster__read": False,
    }
    _, redis = one("NetworkPolicy", "worker", **values)["spec"]["egress"]
    assert redis == {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 6380}]}


def test_the_test_pod_may_call_the_api_where_only_a_gateway_may() -> None:
    [rule] = one("NetworkPolicy", "api", networkPolicy__ingressNamespace="gateway")["spec"]["ingress"]
    assert {"podSelector", "namespaceSelector"} == {key for caller in rule["from"] for key in caller}


def test_each_policy_selects_pods_that_are_there() -> None:
    labels = [labels_of(o) for o in objects() if labels_of(o)]
    for policy in (o for o in objects() if o["kind"] == "NetworkPolicy"):
        wanted = policy["spec"]["podSelector"]["matchLabels"].items()
        assert any(wanted <= pod.items() for pod in labels), policy["metadata"]["name"]


def test_each_service_selects_pods_that_are_there() -> None:
    labels = [labels_of(o) for o in objects() if labels_of(o)]
    for service in (o for o in objects() if o["kind"] == "Service"):
        assert any(service["spec"]["selector"].items() <= pod.items() for pod in labels), service["metadata"]["name"]


def test_the_api_is_reached_by_an_ingress_with_its_certificate() -> None:
    spec = one("Ingress", "api", api__ingress={"enabled": True, "host": "p.example", "tlsSecret": "tls"})["spec"]
    assert spec["tls"] == [{"secretName": "tls", "hosts": ["p.example"]}]
    [path] = spec["rules"][0]["http"]["paths"]
    assert path["backend"]["service"] == {"name": "demo-celeriac-api", "port": {"number": 8000}}


def test_flower_is_reached_by_a_route_under_its_prefix() -> None:
    spec = one("HTTPRoute", "flower", flower__urlPrefix="/flower", flower__route={"enabled": True, "gateway": "g", "host": "p.example"})[
        "spec"
    ]
    assert spec["parentRefs"] == [{"name": "g", "namespace": "ml"}]
    assert spec["rules"][0]["matches"] == [{"path": {"type": "PathPrefix", "value": "/flower"}}]


def test_flower_s_probes_know_its_prefix() -> None:
    [container] = one("Deployment", "flower", flower__urlPrefix="/flower")["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/flower/healthcheck"
    # Ready only while Redis takes Flower's password.
    assert container["readinessProbe"]["httpGet"]["path"] == "/flower/readyz"


def labels_of(o: dict[str, Any]) -> dict[str, str]:
    if o["kind"] == "Pod":
        return dict(o["metadata"]["labels"])
    return dict(o.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {}))


def test_traces_go_to_the_port_of_the_collector() -> None:
    def ports(endpoint: str) -> list[Any]:
        return [rule["ports"] for rule in one("NetworkPolicy", "api", tracing__endpoint=endpoint)["spec"]["egress"] if "to" not in rule]

    assert [{"port": 4318}] in ports("http://collector.monitoring:4318")
    assert [{"port": 443}] in ports("https://collector.example.com/otlp")
    assert [{"port": 4318}] not in ports("")
