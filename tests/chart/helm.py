"""What helm makes of the chart."""

from __future__ import annotations

import json
import subprocess
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.tools import need

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "celeriac"
Object = dict[str, Any]

EXAMPLES = {
    "small": ["small"],
    "scale-to-zero": ["small", "scale-to-zero"],
    "gpu": ["small", "gpu"],
    "training": ["small", "training"],
    "production": ["production"],
}
"""Each example and the value files that make it, in their order."""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    helm = need("helm", "the chart's tests render it")
    return subprocess.run([helm, *arguments], capture_output=True, text=True, check=False, cwd=ROOT)


@cache
def text(example: str = "small", values: str = "{}", *more: str) -> str:
    """The manifests of an example with further values (JSON), as helm prints them."""
    files = [f"--values=k8s/values/{name}.yaml" for name in EXAMPLES[example]]
    if example == "production":  # which names no registry
        more = ("--set=image.repository=registry.example/celeriac", *more)
    overrides = [f"--set-json={key}={json.dumps(value)}" for key, value in json.loads(values).items()]
    done = run("template", "demo", str(CHART), "--namespace=ml", *files, *overrides, *more)
    if done.returncode:
        raise ValueError(done.stderr)
    return done.stdout


def objects(example: str = "small", **values: Any) -> list[Object]:
    """The same, parsed. A value's key is its path with `__` for the dots."""
    flat = {key.replace("__", "."): value for key, value in values.items()}
    return parsed(text(example, json.dumps(flat)))


def parsed(manifests: str) -> list[Object]:
    """The objects in YAML, read by libyaml: PyYAML's own parser would take most of the time of these tests."""
    return [document for document in yaml.load_all(manifests, Loader=yaml.CSafeLoader) if document]


def one(kind: str, name: str, example: str = "small", **values: Any) -> Object:
    """The object `demo-celeriac-NAME` of that kind."""
    found = [o for o in objects(example, **values) if o["kind"] == kind and o["metadata"]["name"] == f"demo-celeriac-{name}"]
    assert len(found) == 1, f"{kind} demo-celeriac-{name}: {len(found)} found"
    return found[0]


def pods(example: str = "small", **values: Any) -> dict[str, Object]:
    """Name of its owner -> the specification of a pod, for every pod."""
    specs = {}
    for o in objects(example, **values):
        owner = o["spec"]["jobTemplate"] if o["kind"] == "CronJob" else o
        spec = o["spec"] if o["kind"] == "Pod" else owner.get("spec", {}).get("template", {}).get("spec")
        if spec:
            specs[o["metadata"]["name"]] = spec
    return specs


def number(quantity: str | float) -> Decimal:
    """A quantity of Kubernetes, as in 500m or 2Gi."""
    scale = {"m": Decimal("0.001")} | {
        unit: Decimal(size) for unit, size in {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 10**3, "M": 10**6, "G": 10**9}.items()
    }
    text = str(quantity)
    unit = next((unit for unit in scale if text.endswith(unit)), "")
    return Decimal(text.removesuffix(unit)) * scale.get(unit, 1)


def refusal(**values: Any) -> str:
    """What helm says of values that the chart refuses."""
    try:
        objects(**values)
    except ValueError as error:
        return str(error)
    raise AssertionError("helm accepted these values")
