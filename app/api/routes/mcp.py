"""/mcp: each model as a tool of the Model Context Protocol, over its Streamable HTTP transport.

The server keeps no session and answers each message with JSON, as the revisions 2025-03-26 to 2025-11-25 permit. Newer clients fall back
to their handshake. See https://modelcontextprotocol.io/specification/2025-11-25/basic/transports and …/server/tools.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app import __version__
from app.api.container import Container, container
from app.api.http.headers import header
from app.api.http.responses import json_response
from app.api.schemas import mcp as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.schemas.results import tool_result_json
from app.api.server.plain_route import PlainRoute
from app.core import callers
from app.core.errors import CeleriacError, InvalidInput, InvalidJSON, KeyRestricted, ModelNotFound
from app.core.inputs import from_rows
from app.core.models import Manifest, ModelRef
from app.core.prediction_requests import PredictionRequest
from app.core.tools import input_schema
from app.services.model_entry import Entry, Readiness
from app.services.requests.mcp import VERSIONS, Message, ToolArguments

router = APIRouter(prefix="/mcp", tags=["inference"], route_class=PlainRoute, responses=PROBLEMS)
_PARSE_ERROR: Final = -32700
_INVALID_REQUEST: Final = -32600
_UNKNOWN_METHOD: Final = -32601
_INVALID_PARAMS: Final = -32602
_UNSUPPORTED_VERSION: Final = -32022
_PAGE: Final = 100
"""Tools of one response."""
_NOTES: Final = "Each tool is a machine-learning model. It takes rows and returns a prediction for each of them."


@router.post("", **schemas.MESSAGE)
async def exchange(request: Request) -> Response:
    """Answers a message of the Model Context Protocol: each model that the caller may use is a tool."""
    root = container(request)
    try:
        message = Message.parse(await root.bodies.read_object(request))
    except InvalidInput as error:
        code = _PARSE_ERROR if isinstance(error, InvalidJSON) else _INVALID_REQUEST
        return _error(None, code, error.detail, status=400)
    version = header(request, b"mcp-protocol-version")
    if version not in (None, *VERSIONS):
        problem = {"supported": VERSIONS, "requested": version}
        return _error(message.id, _UNSUPPORTED_VERSION, "The version of the protocol is not supported.", problem, status=400)
    if message.id is None:
        return Response(status_code=202)
    match message.method:
        case "initialize":
            return _result(message.id, _initialized(message.params))
        case "ping":
            return _result(message.id, {})
        case "tools/list":
            return _result(message.id, _tools(root, message.params.get("cursor")))
        case "tools/call":
            return await _call(root, message.id, message.params)
    return _error(message.id, _UNKNOWN_METHOD, f"This server does not have the method {message.method[:50]!r}.")


def _initialized(params: dict[str, Any]) -> dict[str, Any]:
    requested = params.get("protocolVersion")
    return {
        "protocolVersion": requested if requested in VERSIONS else VERSIONS[0],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "celeriac", "version": __version__},
        "instructions": _NOTES,
    }


def _tools(root: Container, cursor: Any) -> dict[str, Any]:
    """Return the tools after the cursor, which is the name of a model."""
    after = cursor if isinstance(cursor, str) else ""
    manifests = [manifest for name in sorted(root.catalog.entries) if name > after and (manifest := _usable(root.catalog.entries[name]))]
    listed: dict[str, Any] = {"tools": [_tool(manifest) for manifest in manifests[:_PAGE]]}
    if len(manifests) > _PAGE:
        listed["nextCursor"] = manifests[_PAGE - 1].name
    return listed


def _usable(entry: Entry) -> Manifest | None:
    """Return the manifest of the default version, or None if it cannot be served or the caller may not use it."""
    version = entry.versions.get(entry.default)
    if version is None or version.manifest is None or version.state is Readiness.UNAVAILABLE:
        return None
    try:
        callers.check_model(entry.name)
        callers.check_pool(version.manifest.pool)
    except KeyRestricted:
        return None
    return version.manifest


def _tool(manifest: Manifest) -> dict[str, Any]:
    return {
        "name": manifest.name,
        "description": manifest.description or f"Predicts with the model {manifest.name}.",
        "inputSchema": input_schema(manifest),
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
    }


async def _call(root: Container, id: int | str, params: dict[str, Any]) -> Response:
    """Predict. What is wrong with the arguments or the prediction is a result, so that the language model sees it."""
    name, arguments = params.get("name"), params.get("arguments")
    if not isinstance(name, str) or not isinstance(arguments, dict | None):
        return _error(id, _INVALID_PARAMS, "Give the name of a tool, and arguments as an object.")
    try:
        ref = ModelRef.parse(name)
        manifest = await root.catalog.serving(ref)
        body = ToolArguments.parse(arguments or {})
        requested = PredictionRequest.of(manifest, from_rows(manifest, body.rows, "/rows"), {"method": body.method}, "")
        manifest = root.catalog.routed(ref, manifest, requested.inputs)
        return await root.prediction_responses.predicted(manifest, requested, tool_result_json, id)
    except (ModelNotFound, KeyRestricted) as error:
        return _error(id, _INVALID_PARAMS, error.detail)
    except CeleriacError as error:
        where = f" ({error.pointer})" if error.pointer else ""
        return _result(id, {"content": [{"type": "text", "text": f"{error.detail}{where}"}], "isError": True})


def _result(id: int | str, result: dict[str, Any]) -> Response:
    return json_response(schemas.Reply(jsonrpc="2.0", id=id, result=result))


def _error(id: int | str | None, code: int, message: str, data: dict[str, Any] | None = None, status: int = 200) -> Response:
    error = schemas.RpcError(code=code, message=message)
    if data is not None:
        error["data"] = data
    return json_response(schemas.Reply(jsonrpc="2.0", id=id, error=error), status)
