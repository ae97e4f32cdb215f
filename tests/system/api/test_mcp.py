"""/mcp, by the client of the protocol's own SDK."""

from __future__ import annotations

import json

import pytest
from mcp import Client
from mcp_types import TextContent

from tests.running import Running


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_language_model_lists_the_models_and_predicts(running: Running, mode: str) -> None:
    async with Client(f"{running.url}/mcp", mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        wine = tools["wine"]
        row = wine.input_schema["properties"]["rows"]["examples"][0][0]
        result = await client.call_tool("wine", {"rows": [row], "method": "predict"})
        [content] = result.content
        assert isinstance(content, TextContent)
        assert json.loads(content.text) == result.structured_content
        assert (result.is_error, len(result.structured_content["predictions"])) == (False, 1)
        refused = await client.call_tool("wine", {"rows": [{"grape": "riesling"}]})
        assert refused.is_error
