"""Values are an interface: a sentence a key, a closed schema, a table that is current."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import yaml

from tests.chart.helm import CHART, ROOT

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
OPEN = {"global"}


def test_schema_and_table_are_made_from_the_values_as_they_are() -> None:
    done = subprocess.run([sys.executable, "scripts/chart", "--check"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert not done.returncode, done.stderr


def test_every_value_has_its_sentence() -> None:
    free = OPEN | {"requests", "limits", "runAsUser", "runAsGroup", "fsGroup"}
    leaves = [
        (path, schema)
        for path, schema in described("", SCHEMA)
        if "properties" not in schema and not path.startswith("settings.") and ".env." not in path
    ]
    assert not [path for path, schema in leaves if path.rpartition(".")[2] not in free and not schema.get("description", "").endswith(".")]


def test_every_object_of_the_schema_is_closed_but_free_maps() -> None:
    for path, schema in [*described("", SCHEMA), *SCHEMA["definitions"].items()]:
        if "object" in schema.get("type", ()) and path.rpartition(".")[2] not in OPEN:
            assert schema["additionalProperties"] is False, path


def test_a_list_is_nowhere_asked_for_so_that_value_files_can_be_laid_over_each_other() -> None:
    assert not [path for path, schema in described("", SCHEMA) if schema.get("type") == "array"]


def test_a_pool_can_say_all_that_the_defaults_can() -> None:
    assert set(SCHEMA["definitions"]["pool"]["properties"]) == set(VALUES["poolDefaults"])


def described(path: str, schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Path and schema of every value; objects of Kubernetes count as one."""
    if "$ref" in schema and schema["$ref"].startswith("#/definitions/V1"):
        return [(path, {key: value for key, value in schema.items() if key != "$ref"})]
    if "$ref" in schema:
        schema = {**SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]], **schema}
    values = [(path, schema)]
    for key, below in schema.get("properties", {}).items():
        values += described(f"{path}.{key}".lstrip("."), below)
    return values
