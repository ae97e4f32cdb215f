"""skaffold.yaml says nothing that skaffold does not know, and points at what is there."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from tests.chart.helm import ROOT, parsed
from tests.chart.schemas import module
from tests.tools import need

SKAFFOLD = "github.com/GoogleContainerTools/skaffold/v2@v2.16.1"
Skaffold = Callable[..., str]
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "skaffold.yaml").read_text())


def test_skaffold_s_own_schema_knows_every_field() -> None:
    version = CONFIG["apiVersion"].removeprefix("skaffold/")
    schema = json.loads((module(SKAFFOLD) / "docs-v2" / "content" / "en" / "schemas" / f"{version}.json").read_text())
    assert [
        f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in jsonschema_rs.validator_for(schema).iter_errors(CONFIG)
    ] == []


def test_every_file_that_it_names_is_there() -> None:
    [release] = CONFIG["deploy"]["helm"]["releases"]
    named = [
        release["chartPath"],
        *release["valuesFiles"],
        *(artifact["docker"]["dockerfile"] for artifact in CONFIG["build"]["artifacts"]),
    ]
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.fixture
def skaffold(tmp_path: Path) -> Skaffold:
    """Runs it without a cluster, a registry and a home of its user."""
    program = need("skaffold", "it reads skaffold.yaml (`scripts/kube-tools ~/.local/bin skaffold` builds it)")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": os.devnull, "SKAFFOLD_UPDATE_CHECK": "false"}

    def run(*arguments: str) -> str:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
        assert not done.returncode, done.stderr
        return done.stdout

    return run


@pytest.mark.skaffold
@pytest.mark.parametrize("profile", ["kind", "dev", "dev,kind"])
def test_skaffold_deploys_the_image_that_it_builds(skaffold: Skaffold, profile: str) -> None:
    manifests = skaffold("render", "--profile", profile, "--offline", "--digest-source=tag")
    rendered = parsed(manifests)
    [api] = [document for document in rendered if document["kind"] == "Deployment" and document["metadata"]["name"] == "celeriac-api"]
    [container] = api["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith("celeriac:")
    assert container["image"] != "celeriac:"
    assert any(document["kind"] == "ScaledObject" for document in rendered) == (profile == "kind")
    assert ({"name": "CELERIAC_LOG_LEVEL", "value": "debug"} in container["env"]) == (profile != "kind")


@pytest.mark.skaffold
def test_skaffold_builds_from_the_base_image_that_the_environment_names(skaffold: Skaffold) -> None:
    diagnosis = yaml.safe_load(skaffold("diagnose", "--yaml-only", "--profile", "kind"))
    [artifact] = diagnosis["build"]["artifacts"]
    assert artifact["docker"]["buildArgs"] == {"BASE_IMAGE": '{{default "python:3.13-slim" .PYTHON_IMAGE}}'}
