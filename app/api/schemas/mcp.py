"""/mcp."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, NotRequired

from fastapi import Header
from pydantic import ConfigDict, Field, with_config
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypedDict

from app.api.schemas.openapi import documented
from app.services.requests.mcp import VERSIONS, Message

ProtocolVersion = Annotated[
    Literal[VERSIONS] | SkipJsonSchema[None],  # type: ignore[valid-type]
    Header(alias="MCP-Protocol-Version", description="Version of the protocol that `initialize` agreed on.", examples=["2025-11-25"]),
]


class RpcError(TypedDict):
    """Why a message was refused. A prediction that fails is a result with `isError`."""

    code: Annotated[int, Field(description="A code of JSON-RPC.", examples=[-32601])]
    message: str
    data: NotRequired[dict[str, Any]]


@with_config(ConfigDict(json_schema_extra={"example": {"jsonrpc": "2.0", "id": 1, "result": {"tools": []}}}))
class Reply(TypedDict):
    """A response of JSON-RPC."""

    jsonrpc: Literal["2.0"]
    id: int | str | None
    result: NotRequired[dict[str, Any]]
    error: NotRequired[RpcError]


def _message(body: Message, protocol_version: ProtocolVersion = None) -> None: ...


MESSAGE: Final = documented(
    _message,
    Reply,
    response_description="The result, or an error of JSON-RPC.",
    responses={
        202: {"description": "A notification was received. The body is empty."},
        400: {
            "model": Reply,
            "description": "The message is invalid, or the version of the protocol is not supported.",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        },
    },
)
