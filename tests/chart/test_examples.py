"""The example values: what they leave open is asked for, and they fit the clusters that they are for."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import yaml

from tests.chart.helm import CHART, ROOT, number, objects, run

KIND_CORES = Decimal("2")
TAKEN_BY_KIND = Decimal("1.05")
"""Requests of kind's own pods on its one node (0.95), and of KEDA with k8s/keda-values.yaml (0.05), with some room."""


def test_production_asks_for_a_registry() -> None:
    done = run("template", "demo", str(CHART), "--values=k8s/values/production.yaml")
    assert done.returncode
    assert "image.repository is empty: set it to the image in a registry" in done.stderr


def test_argo_cd_renders_an_image_with_a_registry() -> None:
    source = yaml.safe_load((ROOT / "k8s" / "argocd.yaml").read_text())["spec"]["source"]
    chart = ROOT / source["path"]
    files = [f"--values={chart / name}" for name in source["helm"]["valueFiles"]]
    given = [f"--set={parameter['name']}={parameter['value']}" for parameter in source["helm"]["parameters"]]
    done = run("template", "celeriac", str(chart), *files, *given)
    assert not done.returncode, done.stderr
    images = {container["image"] for spec in specs(yaml.safe_load_all(done.stdout)) for container in spec["containers"]}
    assert all("." in image.partition("/")[0] for image in images), images


@pytest.mark.parametrize("example", ["small", "scale-to-zero", "training"])
def test_the_examples_for_a_laptop_fit_two_cores_with_every_pool_at_work(example: str) -> None:
    rendered = objects(example)
    most = {o["spec"]["scaleTargetRef"]["name"]: o["spec"]["maxReplicaCount"] for o in rendered if o["kind"] == "ScaledObject"}
    # One training at a time: the pool may have more pods where there is room for them.
    most |= {name: 1 for name in most if name.endswith("-training")}
    total = Decimal(0)
    for o in rendered:
        if o["kind"] in ("Deployment", "StatefulSet"):
            cores = sum(number(container["resources"]["requests"]["cpu"]) for spec in specs([o]) for container in spec["containers"])
            total += cores * (most.get(o["metadata"]["name"]) or o["spec"].get("replicas") or 1)
    assert total <= KIND_CORES - TAKEN_BY_KIND, total


def specs(rendered: Any) -> list[dict[str, Any]]:
    return [o["spec"]["template"]["spec"] for o in rendered if o and o["kind"] in ("Deployment", "StatefulSet", "Job")]
