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
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_schema_conformance,
    status_code_conformance,
)

from app.settings import Settings
from tests.running import Running
from tests.system.api.conftest import Contract

FEW, MANY = 3, 25
PASSED_OVER = {
    "/v2/repository/models/{name}/unload": "it would take the models of other tests out of service",
    "/v2/repository/models/{name}/load": "it waits for models that no worker holds",
}

NOT_ACCEPTED = {
    "POST /v1/trainings": "a trainer, its parameters and a data set must exist",
    "POST /v1/schedules": "one of `cron` and `every_s` is required, a time must come, and what is run must be valid",
    "POST /v1/jobs/table": "a table must be of its format, and have the columns that the model takes",
    "POST /v1/keys": "a key has either a role or scopes",
    "POST /v1/webhooks": "the host of a URL must have a public address",
    "POST /v1/dead-letters/replay": "one of the filters is required",
    "DELETE /v1/dead-letters": "one of the filters is required",
    "POST /v2/models/{name}/infer": "tensors must be what the model takes",
    "POST /v2/models/{name}/versions/{version}/infer": "tensors must be what the model takes",
}
"""Documented requests that the server may refuse, because no schema says the rule."""
NOT_REJECTED = {"POST /v1/files": "an empty list in a form is a form without the field, which is valid"}
ACCEPTED = ["2xx", "403", "404", "409", "410", "429"]
"""Answers to a request as documented: what it names need not exist, or no longer."""
REJECTED = ["400", "404", "405", "409", "410", "413", "415", "422", "429"]
"""Answers to any other request."""


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
    checks = {"positive_data_acceptance": {"expected-statuses": ACCEPTED}, "negative_data_rejection": {"expected-statuses": REJECTED}}
    config = schemathesis.Config.from_dict({"checks": checks})
    document = httpx.get(f"{running.url}/openapi.json").json()
    form = document["paths"]["/v1/files"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    # The maximum depends on a setting, so that only the description mentions it.
    form["properties"]["expires_after[seconds]"]["maximum"] = Settings().file_ttl_s
    return schemathesis.openapi.from_dict(document, config=config)


def checks(operation: str) -> list[Any]:
    """Those that hold for the answers of an operation."""
    always = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    accepted = [] if operation in NOT_ACCEPTED else [positive_data_acceptance]
    rejected = [] if operation in NOT_REJECTED else [negative_data_rejection]
    return always + accepted + rejected


@pytest.mark.parametrize(
    ("mode", "examples"),
    [
        (GenerationMode.NEGATIVE, FEW),
        pytest.param(GenerationMode.NEGATIVE, MANY, marks=pytest.mark.extended),
        pytest.param(GenerationMode.POSITIVE, MANY, marks=pytest.mark.extended),
    ],
)
def test_requests_of_all_kinds_find_no_hole(strangers: Any, running: Running, mode: GenerationMode, examples: int) -> None:
    """Half of them for models that there are; `mode`: as documented, or not."""
    for found in strangers.get_all_operations():
        operation = found.ok()
        if operation.path in PASSED_OVER:
            continue

        @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode), model=st.sampled_from(("", "diabetes", "wine", "moody", "")))
        def ask(case: Any, model: str) -> None:
            if model and "name" in case.path_parameters:
                case.path_parameters["name"] = model
            case.call_and_validate(base_url=running.url, checks=checks(case.operation.label), timeout=30)

        # An operation without parameters has nothing that could be wrong.
        with contextlib.suppress(Unsatisfiable) if mode.is_negative else contextlib.nullcontext():
            ask()
