"""Messages of /mcp, in JSON-RPC 2.0 as the Model Context Protocol uses it."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import ConfigDict, Field

from app.services.requests.body import Integer, RequestBody
from app.services.requests.jobs import Rows

VERSIONS: Final = ("2025-11-25", "2025-06-18", "2025-03-26")
"""Revisions of the protocol, the newest first."""


class Message(RequestBody):
    """A request, or a notification if it has no `id`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}]})

    jsonrpc: Literal["2.0"] = Field(examples=["2.0"])
    id: Integer | str | None = Field(None, description="Comes back with the response.")
    method: str = Field(description="`initialize`, `ping`, `tools/list`, `tools/call`, or a notification.", examples=["tools/list"])
    params: dict[str, Any] = Field({}, description="Those that the method takes.")


class ToolArguments(RequestBody):
    """What the tool of a model takes."""

    rows: Rows = Field(description="Rows to predict.", examples=[[[5.1, 3.5]]])
    method: str | None = Field(None, description="The output to compute (default: the model's first).")
