"""Who may use the API of a release."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.helm import Object, one, pods, run, text

MADE = "demo-celeriac-passwords"


def environment(pod: Object) -> dict[str, Any]:
    [container] = pod["containers"]
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in container["env"]}


def api(**values: Any) -> Object:
    return dict(one("Deployment", "api", **values)["spec"]["template"]["spec"])


def test_the_api_demands_a_key_and_knows_hashes_only() -> None:
    pod = api()
    assert environment(pod)["CELERIAC_AUTH"] == "keys"
    assert environment(pod)["CELERIAC_KEYS_FILE"] == "/keys/keys.yaml"
    assert {"name": "keys", "mountPath": "/keys", "readOnly": True} in pod["containers"][0]["volumeMounts"]
    [volume] = [volume for volume in pod["volumes"] if volume["name"] == "keys"]
    assert volume["secret"] == {"secretName": MADE, "items": [{"key": "keys.yaml", "path": "keys.yaml"}]}


def test_a_job_makes_the_keys_file() -> None:
    [job] = [pod for name, pod in pods().items() if "-passwords-" in name]
    assert job["containers"][0]["args"] == [MADE, "redis-password", "flower-basic-auth", "keys.yaml"]


@pytest.mark.parametrize("name", ["toolbox", "test"])
def test_what_calls_the_api_has_a_key(name: str) -> None:
    [pod] = [pod for owner, pod in pods().items() if owner == f"demo-celeriac-{name}"]
    assert environment(pod)["CELERIAC_API_KEY"] == {"secretKeyRef": {"name": MADE, "key": "api-key"}}


def test_prometheus_has_a_key_of_its_own() -> None:
    [endpoint] = one("ServiceMonitor", "api", metrics__monitors=True)["spec"]["endpoints"]
    assert endpoint["authorization"] == {"credentials": {"name": MADE, "key": "metrics-key"}}


def test_a_secret_of_your_own_takes_the_place_of_the_one_that_is_made() -> None:
    values = {"auth__existingSecret": "ours"}
    [volume] = [volume for volume in api(**values)["volumes"] if volume["name"] == "keys"]
    assert volume["secret"]["secretName"] == "ours"
    [job] = [pod for name, pod in pods(**values).items() if "-passwords-" in name]
    assert "keys.yaml" not in job["containers"][0]["args"]
    [toolbox] = [pod for owner, pod in pods(**values).items() if owner == "demo-celeriac-toolbox"]
    assert environment(toolbox)["CELERIAC_API_KEY"] == {"secretKeyRef": {"name": "ours", "key": "api-key", "optional": True}}


def test_without_keys_nothing_of_them_is_there() -> None:
    assert environment(api(auth__mode="none"))["CELERIAC_AUTH"] == "none"
    manifests = text("small", '{"auth.mode": "none"}')
    for word in ("keys.yaml", "api-key", "name: CELERIAC_API_KEY", "CELERIAC_KEYS_FILE"):
        assert word not in manifests


@pytest.mark.parametrize("values", ["auth.mode=open", "settings.auth=none", "settings.keys_file=/tmp/keys"])
def test_authentication_is_switched_off_in_one_way_only(values: str) -> None:
    done = run("template", "demo", "charts/celeriac", "--set=image.repository=celeriac", f"--set={values}")
    assert done.returncode
    assert values.partition("=")[0].partition(".")[2] in done.stderr
