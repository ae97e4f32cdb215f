"""/mcp, by the client of the protocol's own SDK.

The client is a program of its own: a library that it imports replaces a method of uvicorn's server, which other tests start in their process.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.running import Running

CLIENT = """
import asyncio
import json
import sys

from mcp import Client


async def main() -> None:
    async with Client(sys.argv[1], mode=sys.argv[2]) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        row = tools["wine"].input_schema["properties"]["rows"]["examples"][0][0]
        answered = await client.call_tool("wine", {"rows": [row], "method": "predict"})
        refused = await client.call_tool("wine", {"rows": [{"grape": "riesling"}]})
        results = [(result.is_error, result.content[0].text, result.structured_content) for result in (answered, refused)]
        print(json.dumps([sorted(tools), *results]))


asyncio.run(main())
"""


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_language_model_lists_the_models_and_predicts(running: Running, mode: str) -> None:
    line = [sys.executable, "-c", CLIENT, f"{running.url}/mcp", mode]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    tools, (failed, text, content), (refused, _, _) = json.loads(done.stdout)
    assert {"wine", "digits"} <= set(tools)
    assert (failed, refused) == (False, True)
    assert json.loads(text) == content
    assert len(content["predictions"]) == 1
