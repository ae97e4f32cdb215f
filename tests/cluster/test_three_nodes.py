"""Three nodes, a bucket, and no volume that several nodes can mount: pods anywhere serve the same models, and a node may be lost."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sklearn.datasets import load_diabetes

from tests.buckets import S3, s3
from tests.cluster.conftest import release_in
from tests.cluster.kube import until
from tests.cluster.measured import measured
from tests.cluster.release import Release

GIVEN = (
    "--set=models.oneNode=false,shared.enabled=false,models.samples=true,flower.enabled=false,keda.enabled=false,api.replicas=3,"
    "api.writesModels=true,pools.default.replicas=3,bucket.url=s3://celeriac/suite,bucket.region=us-east-1,bucket.existingSecret=bucket"
)
ROWS = 20_000
MANIFEST = """
inputs: [{name: x, datatype: FP64, shape: [-1, 1]}]
outputs: [{name: y, datatype: FP64, shape: [-1]}]
batch: {max_rows: 1}
"""
CODE = """import time

def predict_batch(inputs):
    time.sleep(0.05)
    return {"y": 2 * inputs["x"][:, 0] + 1}
"""


@pytest.fixture(scope="module")
def nodes(context: str) -> list[str]:
    made = release_in(context, "default").at.get("nodes")["items"]
    if len(made) < 3:
        pytest.skip("needs three nodes: KIND_CONFIG=k8s/kind-three-nodes.yaml scripts/kind test -k three_nodes")
    return [node["metadata"]["name"] for node in made]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """An S3 server on this machine, at the address that the nodes know."""
    networks = json.loads(subprocess.run(["docker", "network", "inspect", "kind"], capture_output=True, check=True).stdout)
    gateways = [config["Gateway"] for config in networks[0]["IPAM"]["Config"] if "Gateway" in config]
    [host] = [gateway for gateway in gateways if ipaddress.ip_address(gateway).version == 4]
    with s3(tmp_path_factory.mktemp("s3"), "celeriac", host=host) as server:
        yield server


@pytest.fixture(scope="module")
def spread(context: str, nodes: list[str], store: S3) -> Iterator[Release]:
    made = release_in(context, "celeriac-three-nodes")
    made.at.delete()
    made.at.create()
    credentials = {name: store.environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    made.at.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bucket"}, "stringData": credentials})
    made.upgrade(GIVEN, f"--set=bucket.endpoint={store.url}", f"--set=redis.bundled.nodeSelector.kubernetes\\.io/hostname={nodes[0]}")
    measured("three nodes and a bucket: `helm install --wait`", f"{made.installed_s:.0f} s")
    made.at.kubectl("wait", "job", "-l", "app.kubernetes.io/component=samples", "--for=condition=Complete", "--timeout=300s")
    yield made
    if not os.environ.get("CELERIAC_KEEP"):
        made.at.delete()


def test_no_claim_needs_more_than_one_node(spread: Release) -> None:
    claims = spread.at.get("persistentvolumeclaims")["items"]
    assert [claim["spec"]["accessModes"] for claim in claims] == [["ReadWriteOnce"]], "that of Redis"


def test_workers_on_three_nodes_serve_what_was_published_over_the_api(spread: Release, nodes: list[str], tmp_path: Path) -> None:
    assert set(places(spread, "worker").values()) == set(nodes)
    (tmp_path / "model.py").write_text(CODE)
    (tmp_path / "model.yaml").write_text(MANIFEST)
    with spread.at.forward("svc/celeriac-api", 8000) as api:
        command = ["celeriac", "models", "publish", "slow", str(tmp_path), "--alias", "production", "--url", api]
        environment = {"CELERIAC_API_KEY": spread.headers["X-API-Key"], "PATH": os.environ["PATH"]}
        subprocess.run(command, env=environment, check=True, timeout=120)
    spread.place_client(nodes[0])
    reported = spread.send("slow", 300)
    assert reported["sent"] == reported["right"] == 300
    assert all(predicted(spread, pod) > 0 for pod in places(spread, "worker"))


def test_a_batch_and_a_large_input_go_through_the_bucket(spread: Release, store: S3) -> None:
    content = "\n".join([",".join(load_diabetes().feature_names), *[",".join(["0.01"] * 10)] * ROWS])
    with spread.at.forward("svc/celeriac-api", 8000) as api, httpx.Client(base_url=api, headers=spread.headers, timeout=60) as client:
        file = client.post("/v1/files", files={"file": ("rows.csv", content.encode())}, data={"purpose": "batch"}).json()
        batch = client.post("/v1/batches", json={"model": "diabetes", "input": file["id"]}).json()

        def ended() -> dict[str, Any] | None:
            found = client.get(f"/v1/batches/{batch['id']}").json()
            return dict(found) if found["status"] in ("completed", "failed", "cancelled") else None

        done = until("the batch ends", ended, 300)
        assert done["status"] == "completed", done
        output = client.get(f"/v1/files/{done['output_file_id']}/content").text
        assert len(output.splitlines()) == ROWS + 1
        large = client.post("/v1/jobs", json={"model": "diabetes", "inputs": [[0.01] * 10] * 6000}, headers={"Prefer": "wait=60"})
        assert len(large.json()["result"]) == 6000
    listing = httpx.get(f"{store.url}/celeriac?list-type=2&prefix=suite/").text
    assert all(f"<Key>suite/{part}/" in listing for part in ("models", "files")), listing


def test_a_node_that_is_lost_takes_no_job_with_it(spread: Release, nodes: list[str]) -> None:
    lost = next(node for node in places(spread, "worker").values() if node != nodes[0])
    sending = spread.sending("slow", 3000)
    before = spread.taken()
    until("the workers are busy", lambda: spread.taken() > before + 200, 60, every=0.1)
    subprocess.run(["docker", "kill", lost], check=True, capture_output=True)
    try:
        reported = sending.result()
        assert reported["sent"] == reported["right"] == 3000
        assert reported["again"] > 0, "the node ran nothing when it was lost"
        assert (reported["changed"], reported["wrong"]) == (0, [])
        measured("three nodes, one lost under load", f"{reported['right']} of {reported['sent']} jobs right, {reported['again']} ran again")
    finally:
        subprocess.run(["docker", "start", lost], check=True, capture_output=True)
        spread.at.kubectl("wait", f"node/{lost}", "--for=condition=Ready", "--timeout=180s")
    until("three workers again", lambda: spread.at.ready("celeriac-worker-default") == 3, 300)


def predicted(release: Release, pod: str) -> float:
    """How often a worker has called the model."""
    metrics = release.at.kubectl("get", "--raw", f"/api/v1/namespaces/{release.at.name}/pods/{pod}:9808/proxy/metrics")
    found = re.findall(r'celeriac_predict_seconds_count\{model="slow".*\} (\S+)', metrics)
    return sum(map(float, found))


def places(release: Release, component: str) -> dict[str, str]:
    """The node of each running pod."""
    found = release.at.get("pods", "-l", f"app.kubernetes.io/component={component}")["items"]
    return {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in found if pod["status"]["phase"] == "Running"}
