"""Models that a release publishes from elsewhere: the list, the job that compares it, and what it may reach."""

from __future__ import annotations

import subprocess
from typing import Any, Final

import pytest
import yaml

from tests.chart import schemas
from tests.chart.helm import ROOT, objects, one, pods
from tests.tools import need

SHA256: Final = "0" * 64
SYNC: Final[dict[str, Any]] = {
    "api__writesModels": True,
    "modelSync__models": {
        "churn": {"from": "oci://ghcr.io/acme/churn:3", "alias": "production"},
        "churn-next": {"name": "churn", "from": "https://example.com/churn.tar", "sha256": SHA256, "alias": "next"},
    },
}


def test_no_list_makes_no_job() -> None:
    assert not [o for o in objects() if o["metadata"]["name"].endswith("model-sync") or o["kind"] == "CronJob"]


def test_the_list_is_what_the_command_reads() -> None:
    content = one("ConfigMap", "model-sync", **SYNC)["data"]["models.yaml"]
    assert yaml.safe_load(content) == {
        "models": [
            {"name": "churn", "from": "oci://ghcr.io/acme/churn:3", "alias": "production"},
            {"name": "churn", "from": "https://example.com/churn.tar", "sha256": SHA256, "alias": "next"},
        ],
        "prune": False,
    }


def test_a_job_compares_the_list_with_the_api_one_at_a_time() -> None:
    job = one("CronJob", "model-sync", **SYNC)["spec"]
    assert (job["schedule"], job["concurrencyPolicy"]) == ("*/5 * * * *", "Forbid")
    [container] = pods(**SYNC)["demo-celeriac-model-sync"]["containers"]
    assert container["args"] == ["models", "sync", "/list/models.yaml"]
    environment = {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in container["env"]}
    assert environment == {
        "CELERIAC_URL": "http://demo-celeriac-api:8000",
        "CELERIAC_API_KEY": {"secretKeyRef": {"name": "demo-celeriac-passwords", "key": "api-key"}},
        "TMPDIR": "/downloads",
    }


def test_the_login_of_a_registry_is_where_the_command_looks() -> None:
    pod = pods(modelSync__registrySecret="pull", **SYNC)["demo-celeriac-model-sync"]
    [container] = pod["containers"]
    assert {"name": "DOCKER_CONFIG", "value": "/registry"} in container["env"]
    assert {"name": "registry", "mountPath": "/registry", "readOnly": True} in container["volumeMounts"]
    secret = {"secretName": "pull", "items": [{"key": ".dockerconfigjson", "path": "config.json"}]}
    assert {"name": "registry", "secret": secret} in pod["volumes"]


def test_credentials_of_other_sources_are_those_of_jobs() -> None:
    [container] = pods(jobs__extraEnvFrom={"mlflow": {"secretRef": {"name": "mlflow"}}}, **SYNC)["demo-celeriac-model-sync"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "mlflow"}}]


def test_the_job_reaches_the_api_and_the_sources() -> None:
    egress = one("NetworkPolicy", "model-sync", **SYNC)["spec"]["egress"]
    assert {"ports": [{"port": 443}]} in egress
    assert [rule for rule in egress if rule["ports"] == [{"port": 8000}]]
    policy = one("NetworkPolicy", "api", networkPolicy__ingressNamespace="ingress", **SYNC)
    assert "model-sync" in str(policy["spec"]["ingress"])


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"api__writesModels": False}, "modelSync.models is set, and the API may not write the model repository"),
        ({"modelSync__models": {"churn": {"from": "s3://bucket/churn.tar"}}}, "modelSync.models.churn.sha256 is missing"),
        ({"modelSync__models": {"churn": {"from": "ftp://host/churn.tar"}}}, "modelSync.models.churn.from"),
        ({"modelSync__models": {"churn": {"alias": "production"}}}, "missing property from"),
    ],
    ids=["read-only", "without a digest", "unknown source", "without a source"],
)
def test_what_cannot_work_is_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match="Error") as error:
        objects(**SYNC | values)
    assert says in str(error.value).replace("'", "").replace("/", ".")


def test_kubernetes_knows_every_field() -> None:
    kubeconform = need("kubeconform", "it checks the manifests against the schemas (scripts/kube-tools installs it)")
    job = yaml.safe_dump(one("CronJob", "model-sync", **SYNC))
    location = f"{schemas.folder({('batch/v1', 'CronJob')})}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    command = [kubeconform, "-strict", "-summary", "-schema-location", location, "-"]
    done = subprocess.run(command, input=job, capture_output=True, text=True, check=False, cwd=ROOT)
    assert not done.returncode, done.stdout
