"""A Redis of one's own, behind TLS and with a user for each process: the platform finds it, alone and by its sentinel, and so does KEDA."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.cluster.conftest import release_in
from tests.cluster.kube import until
from tests.cluster.release import Release
from tests.topologies import MASTER, Certificates

HOST = "elsewhere.celeriac-elsewhere.svc"
GIVEN = (
    "--set=redis.bundled.enabled=false,redis.usersSecret=celeriac-users,redis.external.caSecret=elsewhere,flower.enabled=false,"
    "models.samples=false,api.lingerSeconds=0,pools.default.keda.min=0,pools.default.keda.max=1,pools.default.keda.cooldownSeconds=5"
)
WORKER = "celeriac-worker-default"
TLS = "--tls-cert-file /tls/server.crt --tls-key-file /tls/server.key --tls-ca-cert-file /tls/ca.crt --tls-auth-clients no"
SERVER = f"redis-server --port 0 --tls-port 6380 {TLS} --aclfile /users/users.acl --dir /data --appendonly yes"
SENTINEL = f"""
cat > /data/sentinel.conf <<END
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel monitor {MASTER} {HOST} 6380 1
sentinel auth-user {MASTER} admin
sentinel auth-pass {MASTER} $ADMIN
END
exec redis-server /data/sentinel.conf --sentinel --port 0 --tls-port 26379 --tls-replication yes {TLS} --requirepass $PASSWORD
"""


@pytest.fixture(scope="module")
def elsewhere(context: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """A release beside that Redis."""
    made = release_in(context, "celeriac-elsewhere")
    made.at.delete()
    made.at.create()
    made.make_users("celeriac-elsewhere.celeriac")
    Certificates.make(folder := tmp_path_factory.mktemp("tls"), f"DNS:{HOST}")
    files = [f"--from-file={folder / name}" for name in ("ca.crt", "server.crt", "server.key")]
    made.at.kubectl("create", "secret", "generic", "elsewhere", *files, "--from-literal=sentinel-password=theirs")
    made.at.apply(service(), pod(made.redis))
    made.at.kubectl("wait", "pod/elsewhere", "--for=condition=Ready", "--timeout=60s")
    made.upgrade(GIVEN, f"--set=redis.external.url=rediss://{HOST}:6380/0")
    made.place_client()
    made.publish_slow("guarded", seconds=0.0)
    yield made
    made.at.delete()


def test_keda_wakes_and_rests_a_pool_by_a_redis_behind_tls(elsewhere: Release) -> None:
    wakes_and_rests(elsewhere)


def test_keda_wakes_and_rests_a_pool_by_what_a_sentinel_says(elsewhere: Release) -> None:
    elsewhere.upgrade(GIVEN, f"--set=redis.external.url=sentinels://{HOST}:26379/{MASTER}/0,redis.external.sentinelSecret=elsewhere")
    wakes_and_rests(elsewhere)


def wakes_and_rests(release: Release) -> None:
    until("no worker", lambda: release.at.replicas(WORKER) == 0, 120)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(release.send, "guarded", 20)
        # While the jobs run: on a slow machine the cooldown is over before their answers are here.
        until("one worker", lambda: release.at.replicas(WORKER) == 1, 120)
        reported = sending.result()
    assert (reported["right"], reported["changed"]) == (20, 0), reported
    until("no worker again", lambda: release.at.replicas(WORKER) == 0, 120)


def service() -> dict[str, Any]:
    ports = [{"name": "redis", "port": 6380}, {"name": "sentinel", "port": 26379}]
    spec = {"selector": {"app": "elsewhere"}, "ports": ports, "publishNotReadyAddresses": True}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "elsewhere"}, "spec": spec}


def pod(image: str) -> dict[str, Any]:
    containers = [container("redis", image, SERVER, 6380), container("sentinel", image, SENTINEL, 26379)]
    spec = {
        "containers": containers,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [
            {"name": "data", "emptyDir": {}},
            {"name": "tls", "secret": {"secretName": "elsewhere"}},
            {"name": "users", "secret": {"secretName": "celeriac-users"}},
        ],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "elsewhere", "labels": {"app": "elsewhere"}}, "spec": spec}


def container(name: str, image: str, script: str, port: int) -> dict[str, Any]:
    passwords = {"ADMIN": ("celeriac-users", "admin"), "PASSWORD": ("elsewhere", "sentinel-password")}
    return {
        "name": name,
        "image": image,
        "command": ["sh", "-euc", script],
        "env": [{"name": as_, "valueFrom": {"secretKeyRef": {"name": of, "key": key}}} for as_, (of, key) in passwords.items()],
        "readinessProbe": {"exec": {"command": ["redis-cli", "--tls", "--cacert", "/tls/ca.crt", "-p", str(port), "ping"]}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": what, "mountPath": f"/{what}"} for what in ("data", "tls", "users")],
    }
