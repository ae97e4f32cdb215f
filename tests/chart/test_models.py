"""The volume with the models: made or given, kept, on one node where only one can mount it."""

from __future__ import annotations

from typing import Any

from tests.chart.helm import objects, one, pods


def test_the_claim_that_the_chart_makes_outlives_the_release() -> None:
    assert one("PersistentVolumeClaim", "models")["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "annotations" not in one("PersistentVolumeClaim", "models", models__keep=False)["metadata"]


def test_a_claim_records_for_later_revisions_which_class_the_first_one_named() -> None:
    claim = one("PersistentVolumeClaim", "models", models__storageClass="fast")
    assert claim["metadata"]["annotations"]["celeriac/storage-class"] == claim["spec"]["storageClassName"] == "fast"
    assert "storageClassName" not in one("PersistentVolumeClaim", "models")["spec"]


def test_a_claim_that_exists_is_used_and_none_is_made() -> None:
    assert not [o for o in objects(models__existingClaim="mine", shared__existingClaim="mine") if o["kind"] == "PersistentVolumeClaim"]
    claims = {
        v["persistentVolumeClaim"]["claimName"]
        for p in pods(models__existingClaim="mine", shared__existingClaim="mine").values()
        for v in p["volumes"]
        if "persistentVolumeClaim" in v
    }
    assert claims == {"mine"}


def test_a_folder_of_the_node_is_a_volume_and_never_a_hostpath_of_a_pod() -> None:
    values: dict[str, Any] = {"models__hostPath": "/models", "models__accessMode": "ReadWriteMany"}
    [volume] = [o for o in objects(**values) if o["kind"] == "PersistentVolume"]
    assert volume["spec"]["hostPath"]["path"] == "/models"
    assert one("PersistentVolumeClaim", "models", **values)["spec"]["volumeName"] == volume["metadata"]["name"] == "ml-demo-celeriac-models"


def test_one_node_implies_a_volume_that_one_node_can_mount() -> None:
    for name in ("models", "shared"):
        for one_node, mode in ((True, "ReadWriteOnce"), (False, "ReadWriteMany")):
            claim = one("PersistentVolumeClaim", name, models__oneNode=one_node, shared__enabled=True)
            assert claim["spec"]["accessModes"] == [mode]
    assert one("PersistentVolumeClaim", "models", models__accessMode="ReadWriteMany")["spec"]["accessModes"] == ["ReadWriteMany"]


def test_pods_of_one_node_have_no_budget_because_they_must_leave_it_together() -> None:
    many: dict[str, Any] = {"api__replicas": 3}
    assert not [o for o in objects(**many) if o["kind"] == "PodDisruptionBudget"]
    budgets = {o["metadata"]["name"]: o["spec"] for o in objects(models__oneNode=False, **many) if o["kind"] == "PodDisruptionBudget"}
    assert budgets.keys() == {"demo-celeriac-api", "demo-celeriac-worker-default"}
    assert {budget["unhealthyPodEvictionPolicy"] for budget in budgets.values()} == {"AlwaysAllow"}


def test_a_folder_of_a_node_stays_with_its_claim() -> None:
    [volume] = [o for o in objects(models__hostPath="/models") if o["kind"] == "PersistentVolume"]
    assert volume["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_pods_that_mount_a_claim_of_one_node_are_kept_together() -> None:
    for name, pod in pods().items():
        if any("persistentVolumeClaim" in v for v in pod.get("volumes", [])):
            [near] = pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
            assert near["labelSelector"]["matchLabels"] == {"celeriac/models": "demo-celeriac-models"}, name


def test_the_sample_models_are_published_by_a_job_that_may_write() -> None:
    [job] = [p for name, p in pods().items() if "-samples-" in name]
    assert job["containers"][0]["args"] == ["models", "samples"]
    assert [m["readOnly"] for m in job["containers"][0]["volumeMounts"] if m["name"] == "models"] == [False]


def test_nothing_writes_the_models_unless_asked() -> None:
    assert not [name for name in pods(models__samples=False) if "-samples-" in name]


def test_large_bodies_lie_on_a_volume_that_api_and_workers_write() -> None:
    mount = {"name": "shared", "mountPath": "/shared"}
    ours = {name: p["containers"][0] for name, p in pods(shared__enabled=True).items() if mount in p["containers"][0]["volumeMounts"]}
    assert ours.keys() == {"demo-celeriac-api", "demo-celeriac-worker-default"}
    assert all({"name": "CELERIAC_FILES", "value": "/shared/files"} in container["env"] for container in ours.values())
    assert one("PersistentVolumeClaim", "shared", shared__enabled=True)["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    mine: dict[str, Any] = {"shared": {"enabled": True, "existingClaim": "mine"}}
    assert {"name": "shared", "persistentVolumeClaim": {"claimName": "mine"}} in pods(**mine)["demo-celeriac-api"]["volumes"]
    assert not [o for o in objects(**mine) if o["metadata"]["name"].endswith("-shared")]


def test_the_pool_that_trains_may_write_the_models_and_no_other() -> None:
    found = pods("training")
    writes = {
        name: mount["readOnly"] is False
        for name, pod in found.items()
        for mount in pod["containers"][0].get("volumeMounts", [])
        if mount["name"] == "models" and "-worker-" in name
    }
    assert writes == {"demo-celeriac-worker-training": True, "demo-celeriac-worker-default": False}


def test_the_toolbox_is_the_command_line_with_a_repository_that_it_may_write() -> None:
    [container] = one("Deployment", "toolbox")["spec"]["template"]["spec"]["containers"]
    assert {"name": "models", "mountPath": "/models", "readOnly": False} in container["volumeMounts"]
    env = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert env["CELERIAC_URL"] == "http://demo-celeriac-api:8000"
    assert env["CELERIAC_REDIS_URL"]
    assert not [o for o in objects(toolbox__enabled=False) if o["metadata"]["name"].endswith("-toolbox")]


def test_a_gpu_pool_asks_for_its_device_and_its_nodes() -> None:
    pod = pods("gpu")["demo-celeriac-worker-gpu"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


BUCKET: dict[str, Any] = {"bucket__url": "s3://models/team-a", "models__oneNode": False, "shared__enabled": False}


def test_with_a_bucket_no_claim_is_made() -> None:
    assert not [o for o in objects(**BUCKET) if o["kind"] in ("PersistentVolume", "PersistentVolumeClaim")]
    for name, pod in pods(**BUCKET).items():
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        [container] = pod["containers"]
        environment = {variable["name"]: variable.get("value") for variable in container.get("env", ())}
        assert environment.get("CELERIAC_MODELS") == ("s3://models/team-a/models" if "models" in volumes else None), name
        if "models" in volumes:
            assert volumes["models"] == {"name": "models", "emptyDir": {"sizeLimit": "20Gi"}}
            assert environment["CELERIAC_MODEL_CACHE"] == "/models"
            assert int(str(environment["CELERIAC_MODEL_CACHE_BYTES"])) == 16 << 30
            assert {"name": "models", "mountPath": "/models", "readOnly": False} in container["volumeMounts"]


def test_files_and_large_bodies_are_in_the_bucket_too() -> None:
    found = pods(**BUCKET)
    for name in ("demo-celeriac-api", "demo-celeriac-worker-default"):
        environment = {variable["name"]: variable.get("value") for variable in found[name]["containers"][0]["env"]}
        assert environment["CELERIAC_FILES"] == "s3://models/team-a/files"
        assert environment["CELERIAC_BLOBS"] == "s3://models/team-a/blobs"


def test_pods_find_the_bucket_by_values_and_a_secret() -> None:
    values: dict[str, Any] = {
        "existingSecret": "creds",
        "endpoint": "http://minio:9000",
        "region": "eu-central-1",
        "virtualHostedStyle": True,
    }
    named: dict[str, Any] = {f"bucket__{name}": value for name, value in values.items()}
    [container] = pods(**BUCKET, **named)["demo-celeriac-api"]["containers"]
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert environment["AWS_ENDPOINT_URL"] == "http://minio:9000"
    assert environment["AWS_REGION"] == "eu-central-1"
    assert environment["AWS_VIRTUAL_HOSTED_STYLE_REQUEST"] == "true"
    assert {"secretRef": {"name": "creds"}} in container["envFrom"]


def test_an_api_that_may_not_write_models_publishes_none_into_a_bucket() -> None:
    for writes in (True, False):
        [container] = pods(**BUCKET, api__writesModels=writes)["demo-celeriac-api"]["containers"]
        environment = {variable["name"]: variable.get("value") for variable in container["env"]}
        assert environment.get("CELERIAC_PUBLISH") == (None if writes else "off")


def test_pods_with_models_reach_the_store() -> None:
    policy = one("NetworkPolicy", "models", bucket__endpoint="http://minio:9000", networkPolicy__enabled=True, **BUCKET)
    assert {"ports": [{"port": 9000}]} in policy["spec"]["egress"]
    labelled = [o for o in objects(**BUCKET) if o["kind"] == "Deployment"]
    [wanted] = policy["spec"]["podSelector"]["matchLabels"].items()
    selected = {o["metadata"]["name"] for o in labelled if wanted in o["spec"]["template"]["metadata"]["labels"].items()}
    assert selected >= {"demo-celeriac-api", "demo-celeriac-worker-default"}
