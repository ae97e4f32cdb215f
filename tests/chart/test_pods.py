"""Every pod of every example would be admitted by a strict administrator, and stops without losing work."""

from __future__ import annotations

from typing import Any

import pytest

from app.api.server.shutdown import LINGERS_AT_MOST
from tests.chart.helm import EXAMPLES, objects, one, pods

PODS = [pytest.param(name, id=name) for name in EXAMPLES]
pytestmark = pytest.mark.parametrize("example", PODS)


def test_every_pod_fits_the_restricted_profile(example: str) -> None:
    for name, pod in pods(example).items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not any("hostPath" in volume for volume in pod.get("volumes", [])), name
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}, name


def test_every_container_says_what_it_needs_and_what_it_may_take(example: str) -> None:
    for name, pod in pods(example).items():
        for container in pod["containers"]:
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
            assert "memory" in container["resources"]["limits"], name


def test_only_components_that_read_the_cluster_have_a_token(example: str) -> None:
    def with_token(**values: Any) -> set[str]:
        return {name for name, pod in pods(example, **values).items() if pod.get("automountServiceAccountToken") is not False}

    passwords = {name for name in pods(example) if "-passwords-" in name}
    assert with_token() == {"demo-celeriac-api"} | passwords | workers(example).keys()
    assert with_token(cluster__read=False) == passwords
    assert with_token(cluster__read=False, cluster__deletionCost=True) == passwords | workers(example).keys()


def test_no_pod_gets_the_addresses_of_services_as_environment(example: str) -> None:
    assert {name for name, pod in pods(example).items() if pod.get("enableServiceLinks") is not False} == set()


def test_every_process_is_the_image_s_entry_point(example: str) -> None:
    ours = {c["name"]: c for pod in pods(example).values() for c in pod["containers"] if c["name"] in ("api", "worker", "flower")}
    assert {name: c["args"] for name, c in ours.items()} == {"api": ["api"], "worker": ["worker"], "flower": ["flower"]}
    assert not any("command" in c for c in ours.values())


def test_no_secret_is_in_the_manifests(example: str) -> None:
    assert not [o for o in objects(example) if o["kind"] == "Secret"]
    for pod in pods(example).values():
        for container in pod["containers"]:
            for variable in container.get("env", []):
                if variable["name"].endswith(("PASSWORD", "BASIC_AUTH", "API_KEY")):
                    assert "secretKeyRef" in variable["valueFrom"]


def test_a_worker_s_grace_covers_its_time_limit(example: str) -> None:
    for name, pod in workers(example).items():
        limit = int(environment(pod)["CELERIAC_DRAIN_TIMEOUT_S"])
        assert pod["terminationGracePeriodSeconds"] >= limit + 30, name


def test_an_api_s_grace_covers_its_end(example: str) -> None:
    pod = one("Deployment", "api", example)["spec"]["template"]["spec"]
    linger, drain = (int(environment(pod)[f"CELERIAC_{name}_S"]) for name in ("API_LINGER", "DRAIN_TIMEOUT"))
    assert linger > 0
    assert pod["terminationGracePeriodSeconds"] >= LINGERS_AT_MOST * linger + drain + 15


def test_workers_and_api_cannot_write_the_models(example: str) -> None:
    served = [pod for name, pod in workers(example).items() if not name.endswith("-training")]
    for pod in [*served, one("Deployment", "api", example)["spec"]["template"]["spec"]]:
        mount = next(m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "models")
        assert mount["readOnly"] is True


def workers(example: str) -> dict[str, Any]:
    return {name: pod for name, pod in pods(example).items() if pod["containers"][0]["name"] == "worker"}


def environment(pod: dict[str, Any]) -> dict[str, str]:
    return {v["name"]: v["value"] for v in pod["containers"][0]["env"] if "value" in v}


def test_api_and_workers_know_the_prices_of_all_pools(example: str) -> None:
    priced = {"pools__own": {"pricePerHour": 0.25}, "pools__big": {"pricePerHour": 4}}
    for name in ("api", "worker-own", "worker-big"):
        pod = one("Deployment", name, example, **priced)["spec"]["template"]["spec"]
        assert environment(pod)["CELERIAC_PRICE_PER_HOUR"] == "big=4,own=0.25"
    assert all("CELERIAC_PRICE_PER_HOUR" not in environment(pod) for pod in workers(example).values())


def test_only_a_pool_with_gpus_runs_graphs_there_or_nowhere(example: str) -> None:
    device = {name: environment(pod).get("CELERIAC_DEVICE") for name, pod in workers(example).items()}
    assert {name for name, found in device.items() if found} == {name for name in device if name.endswith("-gpu")}
    own = one("Deployment", "worker-own", example, pools__own={"gpus": 1, "processes": 1, "settings": {"device": "auto"}})
    container = own["spec"]["template"]["spec"]["containers"][0]
    assert environment(own["spec"]["template"]["spec"])["CELERIAC_DEVICE"] == "auto"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
