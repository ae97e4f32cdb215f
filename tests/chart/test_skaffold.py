"""skaffold.yaml says nothing that skaffold does not know, and points at what is there."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import yaml

from tests.chart.helm import ROOT
from tests.chart.schemas import module

SKAFFOLD = "github.com/GoogleContainerTools/skaffold/v2@v2.16.1"
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "skaffold.yaml").read_text())


def test_skaffold_s_own_schema_knows_every_field() -> None:
    version = CONFIG["apiVersion"].removeprefix("skaffold/")
    schema = json.loads((module(SKAFFOLD) / "docs-v2" / "content" / "en" / "schemas" / f"{version}.json").read_text())
    assert [
        f"{'/'.join(map(str, one.instance_path))}: {one.message}" for one in jsonschema_rs.validator_for(schema).iter_errors(CONFIG)
    ] == []


def test_every_file_that_it_names_is_there() -> None:
    [release] = CONFIG["deploy"]["helm"]["releases"]
    named = [release["chartPath"], *release["valuesFiles"], *(one["docker"]["dockerfile"] for one in CONFIG["build"]["artifacts"])]
    assert [name for name in named if not (ROOT / name).exists()] == []
