"""Keys and limits hold for the endpoints of other protocols, and are refused in their forms."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.api.keys import bearer, bootstrap, secured

pytestmark = pytest.mark.slow

ROW: Final = [0.0] * 10
CALL: Final = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "diabetes", "arguments": {"rows": [ROW, ROW]}}}
REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "/models/diabetes/invocations": {"instances": [ROW, ROW]},
    "/v1/models/diabetes:predict": {"instances": [ROW, ROW]},
    "/mcp": CALL,
}


async def test_a_key_that_may_not_name_the_model_is_refused(configured: pytest.MonkeyPatch) -> None:
    _, text = await bootstrap(role="user", models=["wine"])
    requests = {**REQUESTS, "/v1/embeddings": {"model": "diabetes", "input": "text"}}
    async with secured(configured) as api:
        refused = {path: await api.post(path, json=body, headers=bearer(text)) for path, body in requests.items()}
    bodies = {path: response.json() for path, response in refused.items()}
    assert bodies["/models/diabetes/invocations"]["error_code"] == "PERMISSION_DENIED"
    assert "diabetes" in bodies["/v1/models/diabetes:predict"]["error"]
    assert "diabetes" in bodies["/v1/embeddings"]["error"]["message"]
    assert bodies["/mcp"]["error"]["code"] == -32602
    assert {path: response.status_code for path, response in refused.items()} == dict.fromkeys(requests, 403) | {"/mcp": 200}


@pytest.mark.parametrize(("path", "field"), [("/models/diabetes/invocations", "params"), ("/v1/models/diabetes:predict", "parameters")])
async def test_the_service_tier_priority_needs_its_scope(configured: pytest.MonkeyPatch, path: str, field: str) -> None:
    _, text = await bootstrap(role="user")
    async with secured(configured) as api:
        response = await api.post(path, json={**REQUESTS[path], field: {"priority": 1}}, headers=bearer(text))
    assert (response.status_code, response.json()["code"]) == (403, "scope_missing")


async def test_the_limits_of_an_owner_count_the_rows(configured: pytest.MonkeyPatch) -> None:
    _, text = await bootstrap(role="user")
    async with secured(configured, limit_rows_per_hour="2") as api:
        job = {"model": "diabetes", "inputs": [ROW, ROW]}
        (await api.post("/v1/jobs", json=job, headers=bearer(text))).raise_for_status()
        for path, body in REQUESTS.items():
            response = await api.post(path, json=body, headers=bearer(text))
            if path == "/mcp":
                assert "rows per hour" in response.json()["result"]["content"][0]["text"]
                continue
            assert (response.status_code, response.json()["code"]) == (429, "rate_limited"), path
            assert int(response.headers["retry-after"]) > 0
