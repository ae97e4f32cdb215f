"""What cannot work is refused before anything reaches the cluster, in a sentence that says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.helm import refusal, text


def external(**values: str) -> dict[str, Any]:
    return {"redis__bundled__enabled": False, "redis__external": values}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "two Redis": ({"redis__external__url": "redis://a:6379"}, "set redis.bundled.enabled=false"),
    "no Redis": ({"redis__bundled__enabled": False}, "Redis is not configured. Set redis.bundled.enabled=true"),
    "a URL of something else": (external(url="http://a"), "it must begin with redis://"),
    "a password in the URL": (external(url="redis://user:secret@a:6379"), "put it into a Secret"),
    "sentinels without a master": (external(url="sentinel://a:26379/0"), "the sentinels' master and the database follow"),
    "a password of no sentinels": (external(url="redis://a:6379", sentinelSecret="s"), "begin it with sentinel://"),
    "two passwords for a process": ({"redis__usersSecret": "a", "keda__redisUser": "k"}, "gives each process a user and a password"),
    "two users for a process": (
        external(url="redis://me@a:6379") | {"redis__usersSecret": "a"},
        "leave the user out of redis.external.url",
    ),
    "a key of no Secret": (external(url="redis://a:6379", urlKey="url"), "set redis.external.existingSecret"),
    "an authority without TLS": (external(url="redis://a:6379", caSecret="ca"), "begin it with rediss:// or sentinels://"),
    "two places for the models": ({"models__existingClaim": "a", "models__hostPath": "/b"}, "choose one"),
    "a claim of one node for many": (
        {"models__oneNode": False, "models__accessMode": "ReadWriteOnce"},
        "choose a storage class with ReadWriteMany",
    ),
    "a class for a claim that is given": ({"models": {"existingClaim": "a", "storageClass": "b"}}, "models.existingClaim is set too"),
    "a claim for files that are off": ({"shared": {"enabled": False, "existingClaim": "a"}}, "set shared.enabled=true"),
    "one node with two labels": (
        {"api__nodeSelector": {"disk": "ssd"}, "pools__default__nodeSelector": {"disk": "hdd"}},
        "api.nodeSelector and pools.default.nodeSelector want nodes with disk=ssd and disk=hdd",
    ),
    "no image": ({"image__repository": ""}, "image.repository is empty: set it to the image in a registry"),
    "an upgrade that can replace no pod": ({"api__rollout__maxSurge": 0}, "api.rollout.maxSurge and .maxUnavailable are both 0"),
    "a pool that can replace no pod": ({"pools__default__rollout": {"maxSurge": "0%", "maxUnavailable": 0}}, "are both 0"),
    "a request above its limit": ({"api__resources__requests__memory": "1Gi"}, "above the limit of 512Mi: lower the request"),
    "a pool's request above its limit": (
        {"pools__default__resources": {"requests": {"cpu": "1500m"}, "limits": {"cpu": 1}}},
        "pools.default.resources.requests.cpu is 1500m, above the limit of 1:",
    ),
    "a Redis that is killed before it is full": ({"redis__bundled__maxmemory": "512mb"}, "three quarters"),
    "a Flower that is off behind an ingress": (
        {"flower": {"enabled": False, "ingress": {"enabled": True, "host": "a"}}},
        "set flower.enabled=true",
    ),
    "a prefix that Redis' rules could not name": ({"redis__keyPrefix": "a:b:"}, "at '/redis/keyPrefix': 'a:b:' does not match pattern"),
    "a resource that is misspelled": (
        {"poolDefaults__resources__limits": {"memroy": "1Gi"}},
        "at '/poolDefaults/resources/limits': additional properties 'memroy' not allowed",
    ),
    "a toleration that is misspelled": (
        {"api__tolerations": {"a": {"operater": "Exists"}}},
        "additional properties 'operater' not allowed",
    ),
    "an affinity that is misspelled": ({"flower__affinity": {"nodeAfinity": {}}}, "additional properties 'nodeAfinity' not allowed"),
    "a volume that is misspelled": (
        {"beat__extraVolumes": {"a": {"emptydir": {}}}},
        "at '/beat/extraVolumes/a': additional properties 'emptydir' not allowed",
    ),
    "a container that is misspelled": ({"api__sidecars": {"a": {"imge": "b"}}}, "additional properties 'imge' not allowed"),
    "a container with two names": ({"api__sidecars": {"a": {"name": "b", "image": "c"}}}, "at '/api/sidecars/a': 'not' failed"),
    "an egress rule that is misspelled": ({"pools__default__extraEgress": {"a": {"port": []}}}, "additional properties 'port' not allowed"),
    "a label that Kubernetes does not know": ({"api__podLabels": {"a b": "c"}}, "additional properties 'a b' not allowed"),
    "a variable of ours that is misspelled": (
        {"pools__default__env": {"CELERIAC_MAX_QUE": 5}},
        "at '/pools/default/env': additional properties 'CELERIAC_MAX_QUE' not allowed",
    ),
    "shared volume of one node for many": (
        {"models__oneNode": False, "shared": {"enabled": True, "accessMode": "ReadWriteOnce"}},
        "shared.accessMode is ReadWriteOnce",
    ),
    "a secret among the settings": ({"settings__webhook_secret": "whsec_"}, "additional properties 'webhook_secret' not allowed"),
    "two ways in": (
        {"api__ingress": {"enabled": True, "host": "a"}, "api__route": {"enabled": True, "gateway": "g"}},
        "choose Ingress or HTTPRoute",
    ),
    "an ingress without a host": ({"flower__ingress__enabled": True}, "set flower.ingress.host"),
    "a route without a gateway": ({"api__route__enabled": True}, "set api.route.gateway"),
    "an API with max below min": ({"api__autoscaling": {"min": 5, "max": 2}}, "api.autoscaling.max is 2, below min"),
    "a grace below the end of an API": ({"api": {"lingerSeconds": 10, "graceSeconds": 50}}, "are 105 together"),
    "no pool": ({"pools__default": {"enabled": False}}, "pools is empty"),
    "a pool without queues": ({"pools__default__queues": {"interactive": False, "bulk": False}}, "pools.default has no queue"),
    "a pool with max below min": ({"pools__default__keda": {"min": 5, "max": 2}}, "raise max or lower min"),
    "a grace below the time limit": ({"pools__default": {"timeLimitSeconds": 60, "graceSeconds": 30}}, "killed before its work is done"),
    "a GPU for several processes": ({"pools__default": {"gpus": 1, "processes": 2}}, "set pools.default.processes=1"),
    "a pool that trains and cannot publish": ({"pools": {"training": {}}}, "set pools.training.writesModels=true"),
    "a name too long for KEDA": ({"pools": {"a" * 40: {}}}, "shorten the pool's or the release's name"),
    "a memory that Redis would not start with": ({"redis__bundled__maxmemory": "384 MiB"}, "'384 MiB' does not match pattern"),
    "a size that Kubernetes does not know": ({"models__size": "5GB"}, "'5GB' does not match pattern"),
    "a limit that Kubernetes does not know": ({"poolDefaults__resources__limits__memory": "1gb"}, "'1gb' does not match pattern"),
    "a variable that the chart sets": ({"pools__default__env": {"CELERIAC_POOL": "x"}}, "pools.default.env.CELERIAC_POOL is set already"),
    "a variable that a setting sets": (
        {"settings": {"max_queue": 5}, "api__env": {"CELERIAC_MAX_QUEUE": "6"}},
        "api.env.CELERIAC_MAX_QUEUE is set already",
    ),
    "an unknown key": ({"pools__default__replica": 3}, "additional properties 'replica' not allowed"),
    "an unknown setting": ({"settings__max_que": 3}, "additional properties 'max_que' not allowed"),
    "a setting that the chart decides": ({"settings__redis_url": "redis://a"}, "additional properties 'redis_url' not allowed"),
    "a setting out of range": ({"settings__log_format": "xml"}, "'xml' does not match pattern"),
    "a pool's name in capitals": ({"pools__GPU": {}}, "additional properties 'GPU' not allowed"),
}


def test_helm_refuses_keda_in_a_cluster_that_lacks_it() -> None:
    cluster = "--api-versions=apps/v1/Deployment"
    with pytest.raises(ValueError, match=r"KEDA is not installed in this cluster: install it .*, or set keda.enabled=false"):
        text("small", "{}", cluster)
    assert text("small", "{}", cluster, "--api-versions=keda.sh/v1alpha1/ScaledObject")
    assert text("small", '{"keda.enabled": false}', cluster)


@pytest.mark.parametrize(("values", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_helm_refuses(values: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(**values)


def test_values_of_an_older_chart_are_refused_by_the_names_of_those_that_are_missing() -> None:
    """As `helm upgrade --reuse-values` has them: without the defaults of this chart. A null takes a default away."""
    assert "missing property 'toolbox'" in refusal(toolbox=None)
