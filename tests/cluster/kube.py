"""A cluster and a release in it, by kubectl and helm."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
INSIDE = Path(__file__).parent / "inside"
STRICT = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}


@dataclass(frozen=True)
class Namespace:
    """One namespace of the cluster that `context` names."""

    context: str
    name: str

    def kubectl(self, *arguments: str, given: str | None = None, timeout: float = 300) -> str:
        return _run(["kubectl", "--context", self.context, "--namespace", self.name, *arguments], given, timeout)

    def helm(self, *arguments: str, timeout: float = 900) -> str:
        return _run(["helm", "--kube-context", self.context, "--namespace", self.name, *arguments], None, timeout)

    def apply(self, *objects: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def get(self, what: str, *selector: str) -> Any:
        return json.loads(self.kubectl("get", what, *selector, "-o", "json"))

    def create(self) -> None:
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": STRICT}})

    def delete(self) -> None:
        self.kubectl("delete", "namespace", self.name, "--ignore-not-found", "--timeout=180s")

    def replicas(self, deployment: str) -> int:
        """Pods that are wanted."""
        return int(self.get(f"deployment/{deployment}")["spec"]["replicas"])

    def ready(self, deployment: str) -> int:
        return int(self.get(f"deployment/{deployment}")["status"].get("readyReplicas", 0))

    def secret(self, name: str, key: str) -> str:
        template = f'{{{{index .data "{key}" | base64decode}}}}'
        return self.kubectl("get", "secret", name, "-o", f"go-template={template}")

    @contextmanager
    def forward(self, what: str, port: int) -> Iterator[str]:
        """The address on this machine at which kubectl port-forward listens."""
        command = ["kubectl", "--context", self.context, "--namespace", self.name, "port-forward", what, f":{port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                yield "http://" + line.split(" -> ")[0].rpartition(" ")[2]
            finally:
                process.terminate()


def until(what: str, happened: Callable[[], Any], seconds: float = 120, every: float = 1) -> Any:
    """What `happened` returns as soon as it is true; fails with `what` when the time is over."""
    end = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(every)
    return found


def _run(command: list[str], given: str | None, timeout: float) -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT)
    assert not done.returncode, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout
