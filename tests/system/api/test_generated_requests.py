"""Requests that Schemathesis generates from the OpenAPI document: do they find a fault, and what can they destroy?"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator
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

from app.core.api_keys import generate
from app.settings import Settings
from tests.running import Running

pytestmark = pytest.mark.extended
for media_type in ("application/x-tar", "application/gzip"):
    schemathesis.serializer.alias(media_type, "application/octet-stream")

EXAMPLES = 25
OPERATE_MODELS = {
    "/v2/repository/models/{name}/unload": "it would take the models of other tests out of service",
    "/v2/repository/models/{name}/load": "it waits for models that no worker holds",
}
"""What is left out where everybody may do everything."""
NOT_ACCEPTED = {
    "POST /v1/trainings": "a trainer, its parameters and a data set must exist",
    "POST /v1/schedules": "one of `cron` and `every_s` is required, a time must come, and what is run must be valid",
    "POST /v1/jobs/table": "a table must be of its format, and have the columns that the model takes",
    "POST /v1/keys": "a key has either a role or scopes",
    "POST /v1/webhooks": "the host of a URL must have a public address",
    "POST /v1/dead-letters/replay": "one of the filters is required",
    "DELETE /v1/dead-letters": "one of the filters is required",
    "POST /v1/models/{name}:predict": "rows must be what the model takes",
    "POST /v1/models/{name}/versions/{version}:predict": "rows must be what the model takes",
    "POST /v1/embeddings": "a model that takes texts must exist",
    "POST /v1/models/{name}/versions": "an archive must hold a model",
    "GET /v1/usage": "days must exist, be in order, and be kept still",
    "POST /invocations": "this server has not set a default model",
    "POST /models/{name}/invocations": "rows must be what the model takes",
    "POST /v2/models/{name}/infer": "tensors must be what the model takes",
    "POST /v2/models/{name}/versions/{version}/infer": "tensors must be what the model takes",
}
"""Documented requests that the server may refuse, because no schema says the rule."""
NOT_REJECTED = {"POST /v1/files": "an empty list in a form is a form without the field, which is valid"}
ACCEPTED = ["2xx", "403", "404", "409", "410", "429"]
"""Answers to a request as documented: what it names need not exist, or no longer."""
REJECTED = ["400", "403", "404", "405", "409", "410", "413", "415", "422", "429"]
"""Answers to any other request."""


@pytest.fixture(scope="session")
def document(running: Running) -> Any:
    checks = {"positive_data_acceptance": {"expected-statuses": ACCEPTED}, "negative_data_rejection": {"expected-statuses": REJECTED}}
    config = schemathesis.Config.from_dict({"checks": checks})
    found = httpx.get(f"{running.url}/openapi.json").json()
    form = found["paths"]["/v1/files"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    # The maximum depends on a setting, so that only the description mentions it.
    form["properties"]["expires_after[seconds]"]["maximum"] = Settings().file_ttl_s
    return schemathesis.openapi.from_dict(found, config=config)


def checks(operation: str) -> list[Any]:
    """Those that hold for the answers to an operation."""
    always = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    accepted = [] if operation in NOT_ACCEPTED else [positive_data_acceptance]
    rejected = [] if operation in NOT_REJECTED else [negative_data_rejection]
    return always + accepted + rejected


@pytest.fixture(scope="module")
def user(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A caller with the role `user` of an API that asks for keys."""
    text, id, hash = generate()
    file = tmp_path_factory.mktemp("user") / "keys.yaml"
    file.write_text(json.dumps({"keys": [{"id": id, "role": "user", "hash": f"sha256:{hash.hex()}"}]}))
    with (
        running.process("api", auth="keys", keys_file=file) as (_, url),
        httpx.Client(base_url=url, headers={"authorization": f"Bearer {text}"}) as client,
    ):
        yield client


def send(document: Any, url: str, mode: GenerationMode, key: str = "", left_out: Collection[str] = ()) -> None:
    """Send requests to every operation, half of them for models that exist."""
    headers = {"authorization": key} if key else None
    for found in document.get_all_operations():
        operation = found.ok()
        if operation.path in left_out:
            continue

        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode), model=st.sampled_from(("", "diabetes", "wine", "moody", "")))
        def ask(case: Any, model: str) -> None:
            if model and "name" in case.path_parameters:
                case.path_parameters["name"] = model
            case.call_and_validate(base_url=url, checks=checks(case.operation.label), headers=headers, timeout=30)

        # An operation without parameters has nothing that could be wrong.
        with contextlib.suppress(Unsatisfiable) if mode.is_negative else contextlib.nullcontext():
            ask()


def models(url: str) -> list[tuple[Any, ...]]:
    items = httpx.get(f"{url}/v1/models").json()["items"]
    return [(item["name"], [version["version"] for version in item["versions"]], item["aliases"]) for item in items]


@pytest.mark.parametrize("mode", [GenerationMode.NEGATIVE, GenerationMode.POSITIVE])
def test_a_user_finds_no_fault_and_destroys_nothing(document: Any, running: Running, user: httpx.Client, mode: GenerationMode) -> None:
    before = models(running.url)
    send(document, str(user.base_url), mode, user.headers["authorization"])
    assert (models(running.url), httpx.get(f"{running.url}/v2/models/wine/ready").status_code) == (before, 200)


@pytest.mark.parametrize("mode", [GenerationMode.NEGATIVE, GenerationMode.POSITIVE])
def test_callers_who_may_do_everything_find_no_fault(document: Any, running: Running, mode: GenerationMode) -> None:
    send(document, running.url, mode, left_out=OPERATE_MODELS)
