"""/mcp without a worker: the handshake, the tools of a key, and messages that are refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.core.models import NAME
from tests.api.keys import bearer, bootstrap, secured

pytestmark = pytest.mark.slow


async def send(
    api: httpx.AsyncClient, method: str, id: int | None = 1, headers: dict[str, str] | None = None, **params: Any
) -> httpx.Response:
    body = {"jsonrpc": "2.0", "method": method, "params": params} | ({} if id is None else {"id": id})
    return await api.post("/mcp", json=body, headers=headers)


@pytest.mark.parametrize(("requested", "agreed"), [("2025-06-18", "2025-06-18"), ("2099-01-01", "2025-11-25"), (7, "2025-11-25")])
async def test_the_handshake_agrees_on_a_version(api: httpx.AsyncClient, requested: Any, agreed: str) -> None:
    response = await send(api, "initialize", id=7, protocolVersion=requested, capabilities={}, clientInfo={"name": "test", "version": "1"})
    body = response.json()
    assert (body["id"], body["result"]["protocolVersion"], body["result"]["serverInfo"]["name"]) == (7, agreed, "celeriac")
    assert (await send(api, "notifications/initialized", id=None)).status_code == 202
    assert (await send(api, "ping", headers={"mcp-protocol-version": agreed})).json() == {"jsonrpc": "2.0", "id": 1, "result": {}}


async def test_the_tools_are_the_models_that_the_key_may_use(configured: pytest.MonkeyPatch) -> None:
    _, text = await bootstrap(role="user", models=["wine", "digits"])
    async with secured(configured) as api:
        tools = (await send(api, "tools/list", headers=bearer(text))).json()["result"]["tools"]
        assert [tool["name"] for tool in tools] == ["digits", "wine"]
        refused = (await send(api, "tools/call", headers=bearer(text), name="diabetes", arguments={"rows": [[0] * 10]})).json()
        assert refused["error"]["code"] == -32602


async def test_a_tool_describes_its_rows(api: httpx.AsyncClient, wine: dict[str, Any]) -> None:
    tools = {tool["name"]: tool for tool in (await send(api, "tools/list")).json()["result"]["tools"]}
    assert all(NAME.fullmatch(name) and tool["description"] for name, tool in tools.items())
    rows = tools["wine"]["inputSchema"]["properties"]["rows"]
    assert rows["items"]["properties"].keys() == wine.keys()
    assert rows["items"]["properties"]["alcohol"] == {"type": ["number", "null"]}
    assert rows["examples"][0][0].keys() == wine.keys()


async def test_tools_come_in_pages(api: httpx.AsyncClient, configured: pytest.MonkeyPatch) -> None:
    configured.setattr("app.api.routes.mcp._PAGE", 2)
    first = (await send(api, "tools/list")).json()["result"]
    assert [tool["name"] for tool in first["tools"]] == ["breast-cancer", "diabetes"]
    second = (await send(api, "tools/list", cursor=first["nextCursor"])).json()["result"]
    assert [tool["name"] for tool in second["tools"]] == ["digits", "wine"]
    assert "nextCursor" not in second


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("resources/list", {}, -32601),
        ("server/discover", {}, -32601),
        ("tools/call", {}, -32602),
        ("tools/call", {"name": "wine", "arguments": [1]}, -32602),
        ("tools/call", {"name": "nobody"}, -32602),
    ],
)
async def test_a_message_that_cannot_be_served_is_an_error(api: httpx.AsyncClient, method: str, params: dict[str, Any], code: int) -> None:
    response = await send(api, method, **params)
    assert (response.status_code, response.json()["error"]["code"]) == (200, code)


async def test_arguments_that_the_model_refuses_are_shown_to_the_language_model(api: httpx.AsyncClient, wine: dict[str, Any]) -> None:
    for arguments, text in (
        ({}, "Field rows is missing."),
        ({"rows": [{"alcohol": "much"}]}, "(/rows/0"),
        ({"rows": [wine], "method": "score"}, "has no output 'score'"),
    ):
        result = (await send(api, "tools/call", name="wine", arguments=arguments)).json()["result"]
        assert result["isError"] is True
        assert text in result["content"][0]["text"]


async def test_another_version_of_the_protocol_is_refused_with_those_that_exist(api: httpx.AsyncClient) -> None:
    response = await send(api, "tools/list", headers={"mcp-protocol-version": "2026-07-28"})
    assert (response.status_code, response.json()["error"]["data"]["requested"]) == (400, "2026-07-28")
    assert "2025-11-25" in response.json()["error"]["data"]["supported"]


async def test_streams_and_batches_of_messages_are_refused(api: httpx.AsyncClient) -> None:
    assert (await api.get("/mcp", headers={"accept": "text/event-stream"})).status_code == 405
    for content, code in ((b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', -32600), (b'{"id": 1}', -32600), (b"{", -32700)):
        response = await api.post("/mcp", content=content, headers={"content-type": "application/json"})
        assert (response.status_code, response.json()["error"]["code"]) == (400, code)
