"""JSON schemas for kubeconform, made from the Go modules of Kubernetes, KEDA and the Gateway API: no web site is asked."""

from __future__ import annotations

import json
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from tests.chart.helm import parsed
from tests.tools import need

KUBERNETES = "k8s.io/kubernetes@v1.34.4"
CRDS = {
    "github.com/kedacore/keda/v2@v2.21.0": "config/crd/bases",
    "sigs.k8s.io/gateway-api@v1.4.0": "config/crd/standard",
}
UNKNOWN = ("ServiceMonitor", "PodMonitor", "PrometheusRule")
"""Kinds of the Prometheus operator, whose definitions are in no Go module that can be had everywhere."""
Schema = dict[str, Any]


@cache
def module(name: str) -> Path:
    go = need("go", "it fetches the modules that hold the schemas")
    done = subprocess.run([go, "mod", "download", "-json", name], capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert "Dir" in report, f"{name}: {report.get('Error')}"
    return Path(report["Dir"])


@cache
def kubernetes() -> Schema:
    swagger = module(KUBERNETES) / "api" / "openapi-spec" / "swagger.json"
    return dict(json.loads(swagger.read_text())["definitions"])


@cache
def custom() -> dict[tuple[str, str], Schema]:
    """(apiVersion, kind) -> schema."""
    schemas = {}
    for name, folder in CRDS.items():
        for path in (module(name) / folder).glob("*.yaml"):
            for crd in parsed(path.read_text()):
                for version in crd["spec"]["versions"] if crd["kind"] == "CustomResourceDefinition" else []:
                    schemas[f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"]] = version["schema"][
                        "openAPIV3Schema"
                    ]
    return schemas


def native(api_version: str, kind: str) -> Schema:
    group, _, version = api_version.rpartition("/")
    wanted = {"group": group, "version": version, "kind": kind}
    return next(d for d in kubernetes().values() if wanted in d.get("x-kubernetes-group-version-kind", []))


def strict(schema: Schema) -> Schema:
    """References resolved, unknown fields refused, numbers allowed where Kubernetes reads them as text."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name.endswith(("IntOrString", "resource.Quantity")):
            return {"type": ["string", "number"]}
        return strict(kubernetes()[name])
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["string", "number"]}
    made = {key: value for key, value in schema.items() if key in ("type", "enum", "required", "pattern", "minimum", "maximum")}
    if "properties" in schema:
        made["properties"] = {key: strict(value) for key, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            made["additionalProperties"] = False
    if isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = strict(schema["additionalProperties"])
    if "items" in schema:
        made["items"] = strict(schema["items"])
    return made


def folder(kinds: set[tuple[str, str]]) -> Path:
    """A folder with a schema for each kind, under the names that kubeconform looks for."""
    made = Path(tempfile.mkdtemp(prefix="schemas-"))
    for api_version, kind in kinds:
        if kind in UNKNOWN:
            continue
        one = custom().get((api_version, kind)) or native(api_version, kind)
        schema = strict(one)
        schema["properties"]["metadata"] = {"type": "object"} if (api_version, kind) in custom() else schema["properties"]["metadata"]
        group, _, version = api_version.rpartition("/")
        suffix = f"{group.split('.')[0]}-{version}" if group else version
        (made / f"{kind.lower()}-{suffix}.json").write_text(json.dumps(schema))
    return made
