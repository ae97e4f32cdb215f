"""The document and its page."""

from __future__ import annotations

import re
from typing import Any

import httpx

from tests.running import Running
from tests.system.api.conftest import Contract


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, said) for path, methods in document["paths"].items() for method, said in methods.items()]


def test_every_operation_is_said_in_a_sentence(contract: Contract) -> None:
    for path, method, said in operations(contract.document):
        assert re.match(r"[A-Z/].*\.$", said["summary"], re.DOTALL), f"{method} {path}: {said['summary']}"
        assert "4XX" in said["responses"] or not path.startswith("/v"), f"{method} {path} documents no error"


def test_every_parameter_is_described(contract: Contract) -> None:
    for path, method, said in operations(contract.document):
        for one in said.get("parameters", []):
            assert one.get("description"), f"{method} {path}: {one['name']}"


def test_every_example_of_a_job_is_answered(client: httpx.Client, contract: Contract) -> None:
    for example in contract.document["components"]["schemas"]["Submission"]["examples"]:
        assert client.post("/v1/jobs?wait=20", json=example).json()["state"] == "succeeded"


def test_the_example_of_an_inference_is_answered(client: httpx.Client, contract: Contract) -> None:
    example = contract.document["components"]["schemas"]["InferenceRequest"]["example"]
    assert client.post("/v2/models/diabetes/infer", json=example).json()["id"] == "42"


def test_the_page_needs_nothing_from_elsewhere(running: Running) -> None:
    page = httpx.get(f"{running.url}/docs").text
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert links
    for link in links:
        assert httpx.get(f"{running.url}{link}").status_code == 200, link
