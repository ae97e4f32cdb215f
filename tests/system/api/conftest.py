from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest

from tests.running import Running


class Contract:
    """The OpenAPI document of the running API, and whether an answer keeps to it."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.paths = {re.compile(re.sub(r"\{\w+\}", "[^/]+", path)): path for path in document["paths"]}

    def check(self, response: httpx.Response) -> None:
        """Raises AssertionError where the status, the type or the body is not as documented."""
        request = response.request
        path = next((path for pattern, path in self.paths.items() if pattern.fullmatch(request.url.path)), None)
        if request.method in ("HEAD", "OPTIONS"):
            assert response.content == b""
            return
        operation = self.document["paths"].get(path, {}).get(request.method.lower())
        if operation is None:
            assert response.status_code in (404, 405), f"{request.method} {request.url.path} is not documented"
            return
        status, answers = str(response.status_code), operation["responses"]
        said = answers.get(status) or answers.get(f"{status[0]}XX")
        assert said is not None, f"{request.method} {path} answers {status}, which is not documented"
        kind = response.headers["content-type"].partition(";")[0]
        assert kind in said["content"], f"{request.method} {path} answers {kind}, documented are {list(said['content'])}"
        for name, header in said.get("headers", {}).items():
            assert not header.get("required") or name in response.headers, f"{request.method} {path} lacks the header {name}"
        if kind.endswith("json"):
            self._check(response.json(), said["content"][kind]["schema"])

    def _check(self, body: Any, schema: dict[str, Any]) -> None:
        jsonschema_rs.validate({**schema, "components": self.document["components"]}, body)
        name = schema.get("$ref", "").rpartition("/")[2]
        known = self.document["components"]["schemas"].get(name, {})
        if isinstance(body, dict) and known.get("properties") and not known.get("additionalProperties"):
            assert body.keys() <= known["properties"].keys(), f"{name} does not document {body.keys() - known['properties'].keys()}"


@pytest.fixture(scope="session")
def contract(running: Running) -> Contract:
    return Contract(httpx.get(f"{running.url}/openapi.json").json())


@pytest.fixture(scope="session")
def client(running: Running, contract: Contract) -> Iterator[httpx.Client]:
    """Every answer that it gets is held against the OpenAPI document."""

    def check(response: httpx.Response) -> None:
        if "text/event-stream" not in response.headers.get("content-type", ""):
            response.read()
            contract.check(response)

    with httpx.Client(base_url=running.url, timeout=30, event_hooks={"response": [check]}) as found:
        yield found
