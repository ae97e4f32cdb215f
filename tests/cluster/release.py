"""A release of the chart, and a pod beside it from which the tests publish models and send jobs, over the Service as a client does."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import Any

from tests.cluster.kube import INSIDE, Namespace

VALUES = ["--values", "k8s/values/small.yaml"]


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
        told = self.at.helm(
            "upgrade", "--install", self.name, "charts/celeriac", *VALUES, *given, *more, f"--wait={json.dumps(wait)}", "--timeout=5m"
        )
        self.installed_s = time.monotonic() - begun
        return told

    def place_client(self) -> None:
        """The pod `client`: our image, the models to write to, nothing running."""
        pod = self.at.get(f"deployment/{self.name}-api")["spec"]["template"]["spec"]
        [container] = pod["containers"]
        for mount in container["volumeMounts"]:
            mount["readOnly"] = False
        for key in ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle", "ports", "env", "args"):
            container.pop(key, None)
        container |= {"name": "client", "command": ["sleep", "infinity"], "env": [{"name": "PYTHONUNBUFFERED", "value": "1"}]}
        pod["topologySpreadConstraints"] = []
        pod["terminationGracePeriodSeconds"] = 0
        self.at.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, "spec": pod})
        self.at.kubectl("wait", "pod/client", "--for=condition=Ready", "--timeout=60s")

    def inside(self, script: str, *arguments: str, timeout: float = 600) -> Any:
        """Runs `inside/SCRIPT.py` in the client and returns the JSON of its last line."""
        given = (INSIDE / f"{script}.py").read_text()
        told = self.at.kubectl("exec", "-i", "client", "--", "python", "-", *arguments, given=given, timeout=timeout)
        return json.loads(told.splitlines()[-1])

    def publish_slow(self, model: str, *, seconds: float, pool: str = "default", version: str = "1", factor: float = 2) -> None:
        """A model that takes its time for each row and answers `factor * x + 1`."""
        self.inside("publish", model, version, pool, str(seconds), str(factor))

    def send(self, model: str, jobs: int, *, factor: float = 2, timeout: float = 600, rate: float = 0) -> dict[str, Any]:
        """Sends the jobs, waits for every one, and counts what came back."""
        return dict(self.inside("send", f"http://{self.name}-api:8000", model, str(jobs), str(factor), str(rate), timeout=timeout))

    def sending(self, model: str, jobs: int, **more: Any) -> Sending:
        """The same beside what the test does meanwhile."""
        return Sending(self, model, jobs, more)

    def redis_cli(self, *arguments: str) -> str:
        return self.at.kubectl("exec", f"{self.name}-redis-0", "--", "redis-cli", *arguments).strip()

    def waiting(self, pool: str = "default") -> int:
        return sum(int(self.redis_cli("llen", f"celeriac:{pool}{lane}")) for lane in ("", ".bulk"))

    def running(self, pool: str = "default") -> int:
        return int(self.redis_cli("hlen", f"celeriac:unacked:{pool}"))


class Sending:
    """Jobs on their way in a thread; `result` waits for the last of them."""

    def __init__(self, release: Release, model: str, jobs: int, more: dict[str, Any]) -> None:
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

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def result(self) -> dict[str, Any]:
        self.wait(900)
        assert self.done, "not within 900 s: every job ended"
        if self._failed:
            raise self._failed[0]
        return self._told
