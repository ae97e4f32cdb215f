"""The document, its page, and whether strangers' requests find a hole in either."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from tests.running import Running
from tests.system.api.conftest import Contract

EXAMPLES = 25
PASSED_OVER = {
    "/v2/repository/models/{name}/unload": "it would take the models of other tests out of service",
    "/v2/repository/models/{name}/load": "it waits for models that no worker holds",
}


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


@pytest.fixture(scope="session")
def strangers(running: Running) -> Any:
    return schemathesis.openapi.from_url(f"{running.url}/openapi.json", wait_for_schema=10)


@pytest.mark.parametrize(
    "mode", [GenerationMode.NEGATIVE, pytest.param(GenerationMode.POSITIVE, marks=pytest.mark.extended)], ids=lambda mode: str(mode.value)
)
def test_requests_of_all_kinds_find_no_hole(strangers: Any, running: Running, mode: GenerationMode) -> None:
    """Half of them for models that there are; `mode`: as documented, or not."""
    checks = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
    for found in strangers.get_all_operations():
        operation = found.ok()
        if operation.path in PASSED_OVER:
            continue

        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode), model=st.sampled_from(("", "diabetes", "wine", "moody", "")))
        def ask(case: Any, model: str) -> None:
            if model and "name" in case.path_parameters:
                case.path_parameters["name"] = model
            case.call_and_validate(base_url=running.url, checks=checks, timeout=30)

        # An operation without parameters has nothing that could be wrong.
        with contextlib.suppress(Unsatisfiable) if mode.is_negative else contextlib.nullcontext():
            ask()
