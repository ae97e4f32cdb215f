"""From nothing to right answers, and what a person does first: curl, Flower, helm test."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from app.samples.models import SAMPLES
from tests.chart.helm import EXAMPLES, objects
from tests.cluster.kube import until
from tests.cluster.measured import measured
from tests.cluster.release import Release


def test_helm_install_waits_until_everything_is_ready(release: Release) -> None:
    pods = release.at.get("pods", "-l", "app.kubernetes.io/instance=celeriac")["items"]
    staying = {p["status"]["phase"] for p in pods if "deletionTimestamp" not in p["metadata"]}
    assert staying - {"Succeeded"} == {"Running"}


@pytest.mark.parametrize("model", SAMPLES)
def test_the_sample_models_answer_as_the_same_estimator_does_here(release: Release, model: str) -> None:
    data = SAMPLES[model].data()
    here = SAMPLES[model].estimator().fit(data.train, data.train_labels).predict(data.held_out[:5]).tolist()
    found = release.predict(model, [one["input"] for one in data.examples(5)])
    assert found == (here if isinstance(here[0], str) else pytest.approx(here))


def test_helm_test_passes(release: Release) -> None:
    assert "succeeded" in release.at.helm("test", release.name, "--logs")


def test_the_api_asks_for_a_key(release: Release) -> None:
    with release.at.forward("svc/celeriac-api", 8000) as api:
        assert httpx.get(f"{api}/livez").status_code == 200
        refused = httpx.get(f"{api}/v1/models")
        assert (refused.status_code, refused.json()["code"]) == (401, "credentials_missing")
        assert httpx.get(f"{api}/v1/models", headers=release.headers).status_code == 200


def test_prometheus_reads_the_metrics_with_a_key_that_manages_no_keys(release: Release) -> None:
    headers = {"Authorization": f"Bearer {release.at.secret('celeriac-passwords', 'metrics-key')}"}
    with release.at.forward("svc/celeriac-api", 8000) as api:
        assert 'celeriac_authentication_mode{mode="keys"} 1.0' in httpx.get(f"{api}/metrics", headers=headers).text
        assert httpx.get(f"{api}/v1/keys", headers=headers).status_code == 403


def test_a_deleted_key_is_refused_by_every_pod(release: Release) -> None:
    release.at.kubectl("scale", "deploy/celeriac-api", "--replicas=2")
    release.at.kubectl("rollout", "status", "deploy/celeriac-api", "--timeout=120s")
    try:
        names = pods_of(release, "app.kubernetes.io/component=api")
        with ExitStack() as stack:
            pods = [stack.enter_context(release.at.forward(f"pod/{name}", 8000)) for name in names]
            made = httpx.post(f"{pods[0]}/v1/keys", json={"name": "short-lived", "role": "viewer"}, headers=release.headers).json()
            headers = {"X-API-Key": made["key"]}
            assert [httpx.get(f"{pod}/v1/models", headers=headers).status_code for pod in pods] == [200, 200]
            assert httpx.delete(f"{pods[0]}/v1/keys/{made['id']}", headers=release.headers).is_success
            begun = time.monotonic()
            until(
                "both refuse the key",
                lambda: {httpx.get(f"{pod}/v1/models", headers=headers).status_code for pod in pods} == {401},
                30,
                0.05,
            )
            measured("a deleted key: refused by both API pods", f"{time.monotonic() - begun:.1f} s after the answer")
    finally:
        release.at.kubectl("scale", "deploy/celeriac-api", "--replicas=1")
        # A terminating pod serves for a while yet. The tests after this one expect a single pod.
        until("one API pod", lambda: len(pods_of(release, "app.kubernetes.io/component=api")) == 1, 120)


CALL = """
import json
from celeriac import APIError, Client
with Client() as client:
    try:
        reply = {"result": client.predict("diabetes", [[0.0] * 10]), "keys": None}
        client.keys.list()
    except APIError as error:
        reply = {**globals().get("reply", {}), "code": error.code, "text": str(error)}
print(json.dumps(reply))
"""


def test_a_pod_predicts_with_its_projected_token_and_no_secret(release: Release) -> None:
    client = release.at.get("pod/client")["spec"]
    audiences = {"right": {"audience": "celeriac"}, "other": {"audience": "elsewhere"}, "cluster": {}}
    container = {
        "name": "caller",
        "command": ["sleep", "infinity"],
        "env": [{"name": "CELERIAC_URL", "value": "http://celeriac-api:8000"}],
        "volumeMounts": [{"name": "tokens", "mountPath": "/tokens", "readOnly": True}],
        **{name: client["containers"][0][name] for name in ("image", "imagePullPolicy", "resources", "securityContext")},
    }
    sources = [{"serviceAccountToken": {"path": path, "expirationSeconds": 600, **fields}} for path, fields in audiences.items()]
    spec = {
        "securityContext": client["securityContext"],
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "tokens", "projected": {"sources": sources}}],
    }
    release.at.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "caller"}, "spec": spec})
    release.at.kubectl("wait", "pod/caller", "--for=condition=Ready", "--timeout=60s")
    try:
        replies = {path: call(release, path) for path in audiences}
    finally:
        release.at.kubectl("delete", "pod/caller", "--wait=false")
    assert len(replies["right"]["result"]) == 1
    assert replies["right"]["code"] == "scope_missing", "it manages no keys"
    assert f"cluster:system:serviceaccount:{release.at.name}:default" in replies["right"]["text"]
    for path in ("other", "cluster"):
        assert (replies[path]["code"], "another audience" in replies[path]["text"]) == ("invalid_token", True)


def call(release: Release, path: str) -> Any:
    """What the pod `caller` gets with the token at a path."""
    environment = ("env", f"CELERIAC_TOKEN_FILE=/tokens/{path}")
    return json.loads(release.at.kubectl("exec", "-i", "caller", "--", *environment, "python", "-", given=CALL).splitlines()[-1])


def test_flower_asks_for_the_password_and_lists_what_was_done(release: Release) -> None:
    user, _, password = release.at.secret("celeriac-passwords", "flower-basic-auth").partition(":")
    with release.at.forward("svc/celeriac-flower", 5555) as flower:
        assert httpx.get(f"{flower}/api/tasks").status_code == 401
        assert httpx.get(f"{flower}/workers", auth=(user, "guess")).status_code == 401
        assert httpx.get(f"{flower}/workers", auth=(user, password)).status_code == 200

        def tasks() -> Any:
            release.predict("diabetes", [[0.0] * 10])
            return httpx.get(f"{flower}/api/tasks", auth=(user, password)).json()

        reported = until("tasks in Flower", tasks, 30)
    # Without a name are those that were under way when Flower began to listen.
    assert {task["name"] for task in reported.values()} <= {"celeriac.predict", None}


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_cluster_would_admit_every_example(release: Release, example: str) -> None:
    # A bare pod is admitted only beside its service account, which a dry run does not make: `helm test` shows that one.
    known = [o for o in objects(example) if o["kind"] != "Pod" and not o["apiVersion"].startswith("monitoring.")]
    for one in known:
        one["metadata"]["namespace"] = release.at.name
    release.at.kubectl("apply", "--dry-run=server", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": known}))


def test_an_idle_installation_is_small(release: Release) -> None:
    until("no idle worker", lambda: not pods_of(release, "celeriac/pool=idle"), 300)
    used = {pod["podRef"]["name"]: pod for pod in stats(release) if pod["podRef"]["namespace"] == release.at.name}
    staying = [name for name in pods_of(release, "app.kubernetes.io/component in (api, worker, flower, redis)") if name in used]
    memory = {name: used[name]["memory"]["workingSetBytes"] / 2**20 for name in staying}
    keda = sum(pod["memory"]["workingSetBytes"] / 2**20 for pod in stats(release) if pod["podRef"]["namespace"] == "keda")
    cores = sum(used[name]["cpu"]["usageNanoCores"] for name in staying) / 1e9
    measured(
        "idle: API, worker with four models, Flower, Redis", f"{sum(memory.values()):.0f} MiB, {cores:.2f} of a core; KEDA {keda:.0f} MiB"
    )
    assert len(memory) == 4
    assert sum(memory.values()) < 600, memory


def pods_of(release: Release, selector: str) -> list[str]:
    return [pod["metadata"]["name"] for pod in release.at.get("pods", "-l", selector)["items"]]


def stats(release: Release) -> list[dict[str, Any]]:
    """What the kubelet measures of each pod."""
    [node] = release.at.get("nodes")["items"]
    return list(json.loads(release.at.kubectl("get", "--raw", f"/api/v1/nodes/{node['metadata']['name']}/proxy/stats/summary"))["pods"])
