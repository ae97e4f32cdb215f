"""A release of the chart, and a pod beside it from which the tests publish models and send jobs, over the Service as a client does."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.cluster.kube import INSIDE, ROOT, Namespace, until

VALUES = ["--values", "k8s/values/small.yaml"]
ENDLESS = 20_000
STOP = "/state/stop"
COUNTS = """
local waiting = redis.call('llen', KEYS[1]) + redis.call('llen', KEYS[2])
local taken = (redis.call('hget', KEYS[4], 'left') or 0) + (redis.call('hget', KEYS[5], 'left') or 0)
return {waiting, redis.call('hlen', KEYS[3]), taken}
"""


@dataclass
class Release:
    """`Namespace` and the values that are the same for every release of the suite."""

    at: Namespace
    image: str
    redis: str
    name: str = "celeriac"
    installed_s: float = 0.0

    def upgrade(self, *more: str, wait: bool = True) -> str:
        """Installs or upgrades, waits until all is ready, and returns what helm said; seconds in `installed_s`."""
        repository, _, tag = self.image.rpartition(":")
        given = [f"--set=image.repository={repository},image.tag={tag},redis.bundled.image={self.redis}"]
        begun = time.monotonic()
        reported = self.at.helm(
            "upgrade", "--install", self.name, "charts/celeriac", *VALUES, *given, *more, f"--wait={json.dumps(wait)}", "--timeout=5m"
        )
        self.installed_s = time.monotonic() - begun
        return reported

    def place_client(self, node: str = "") -> None:
        """The pod `client`: our image, the models to write to, nothing running. `node` is where it runs (default: anywhere)."""
        pod = self.at.get(f"deployment/{self.name}-api")["spec"]["template"]["spec"]
        [container] = pod["containers"]
        for mount in container["volumeMounts"]:
            mount["readOnly"] = False
        for field in ("startupProbe", "readinessProbe", "livenessProbe", "ports", "env", "args"):
            container.pop(field, None)
        key = {"secretKeyRef": {"name": f"{self.name}-passwords", "key": "api-key"}}
        environment: list[dict[str, Any]] = [{"name": "PYTHONUNBUFFERED", "value": "1"}, {"name": "CELERIAC_API_KEY", "valueFrom": key}]
        container |= {"name": "client", "command": ["sleep", "infinity"], "env": environment}
        # Little, for it takes room from the workers that shall come; something, or it starves while others start.
        container["resources"] = {"requests": {"cpu": "50m", "memory": "64Mi"}}
        pod["serviceAccountName"] = self.name
        pod["automountServiceAccountToken"] = False
        pod["topologySpreadConstraints"] = []
        pod["terminationGracePeriodSeconds"] = 0
        if node:
            pod["nodeName"] = node
        self.at.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, "spec": pod})
        self.at.kubectl("wait", "pod/client", "--for=condition=Ready", "--timeout=60s")

    @functools.cached_property
    def headers(self) -> dict[str, str]:
        """The header with the key that the installation made."""
        return {"X-API-Key": self.at.secret(f"{self.name}-passwords", "api-key")}

    def make_users(self, prefix: str = "celeriac") -> None:
        """The Secret `celeriac-users`, by the lines of the chart's README."""
        (script,) = re.findall(r"```sh\n(prefix=.*?)```", (ROOT / "charts/celeriac/README.md").read_text(), re.DOTALL)
        ours = script.replace("kubectl -n celeriac ", f"kubectl --context {self.at.context} -n {self.at.name} ")
        ours = ours.replace("prefix=celeriac\n", f"prefix={prefix}\n")
        subprocess.run(["sh", "-euc", ours], check=True, cwd=ROOT)

    def inside(self, script: str, *arguments: str, timeout: float = 600) -> Any:
        """Runs `inside/SCRIPT.py` in the client and returns the JSON of its last line."""
        given = (INSIDE / f"{script}.py").read_text()
        reported = self.at.kubectl("exec", "-i", "client", "--", "python", "-", *arguments, given=given, timeout=timeout)
        return json.loads(reported.splitlines()[-1])

    def predict(self, model: str, rows: list[Any]) -> list[Any]:
        """What the API answers to this machine, by kubectl port-forward."""
        with self.at.forward(f"svc/{self.name}-api", 8000) as api:
            headers = {"Prefer": "wait=60", **self.headers}
            reported = httpx.post(f"{api}/v1/jobs", json={"model": model, "inputs": rows}, headers=headers, timeout=90)
        assert reported.status_code == 200, reported.text
        return list(reported.json()["result"])

    def publish_slow(
        self, model: str, *, seconds: float, pool: str = "default", version: str = "1", factor: float = 2, mebibytes: int = 0
    ) -> None:
        """A model that takes its time, and memory, for each row and answers `factor * x + 1`."""
        self.inside("publish", model, version, pool, str(seconds), str(factor), str(mebibytes))

    def send(self, model: str, jobs: int, *, factor: float = 2, timeout: float = 900, rate: float = 0) -> dict[str, Any]:
        """Sends the jobs, waits for every one, and counts what came back: see `inside/send.py`."""
        api = f"http://{self.name}-api:8000"
        return dict(self.inside("send", api, model, str(jobs), str(factor), str(rate), STOP, timeout=timeout))

    def sending(self, model: str, jobs: int = ENDLESS, **more: Any) -> Sending:
        """The same beside what the test does meanwhile; returns when a worker has taken the first of them."""
        before = self.taken()
        found = Sending(self, model, jobs, more)
        until("a worker takes the first job", lambda: found.done or self.taken() > before, 180)
        return found

    def counts(self, pool: str = "default") -> tuple[int, int, int]:
        """In one look: deliveries that wait, deliveries under way, jobs that the pool's workers ever took from the queue."""
        names = (pool, f"{pool}.bulk", f"unacked:{pool}", f"counts:{pool}", f"counts:{pool}.bulk")
        printed = self.redis_cli("eval", COUNTS, str(len(names)), *(f"celeriac:{name}" for name in names))
        # `kubectl exec` can end with 0 and lose what was printed.
        assert printed, "kubectl exec printed nothing"
        waiting, running, taken = map(int, printed.split())
        return waiting, running, taken

    def taken(self, pool: str = "default") -> int:
        return self.counts(pool)[2]

    @contextmanager
    def held(self, pool: str, replicas: int) -> Iterator[None]:
        """KEDA keeps the pool at this number of pods."""
        scaler, key = f"scaledobject/{self.name}-worker-{pool}", "autoscaling.keda.sh/paused-replicas"
        before = self.at.get(scaler)["metadata"].get("annotations", {}).get(key)
        self.at.kubectl("annotate", scaler, f"{key}={replicas}", "--overwrite")
        try:
            yield
        finally:
            self.at.kubectl("annotate", scaler, f"{key}={before}" if before else f"{key}-", "--overwrite")

    def redis_cli(self, *arguments: str) -> str:
        return self.at.kubectl("exec", f"{self.name}-redis-0", "--", "redis-cli", *arguments).strip()

    def waiting(self, pool: str = "default") -> int:
        return self.counts(pool)[0]

    def running(self, pool: str = "default") -> int:
        return self.counts(pool)[1]


class Sending:
    """Jobs on their way in a thread; `result` waits for the last of them."""

    def __init__(self, release: Release, model: str, jobs: int, more: dict[str, Any]) -> None:
        self._release = release
        self.jobs = jobs
        self._told: dict[str, Any] = {}
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(release, model, jobs, more), daemon=True)
        self._thread.start()

    def _run(self, release: Release, model: str, jobs: int, more: dict[str, Any]) -> None:
        try:
            self._told = release.send(model, jobs, **more)
        except (AssertionError, subprocess.SubprocessError) as error:
            self._failed.append(error)

    def wait(self, seconds: float) -> None:
        self._thread.join(seconds)

    def stop(self) -> dict[str, Any]:
        """No more of them; `result` of those that were sent."""
        self._release.at.kubectl("exec", "client", "--", "touch", STOP)
        return self.result()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def result(self) -> dict[str, Any]:
        self.wait(900)
        assert self.done, "not within 900 s: the end of every job"
        if self._failed:
            raise self._failed[0]
        return self._told
