"""What the audit log learns of a request: where it comes from, and what it would have changed if it was refused."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope as Connection

from app.api.server.operations import AUDITED
from app.api.server.plain_route import PlainRoute
from app.core import audit
from app.core.api_keys import Caller
from app.core.audit import Action, Context, Target
from app.core.errors import CeleriacError
from app.core.traces import REQUEST_ID
from app.services.refusals import Refusals

_LONGEST_AGENT: Final = 200


async def serve(request: Request, route: PlainRoute) -> Response:
    """Call the endpoint of a route whose operation is audited."""
    with audit.requested(context(request.scope)):
        response: Response = await route.endpoint(request)
    return response


def context(scope: Connection) -> Context:
    """Return where a request comes from. The address is that of the peer, or what a trusted proxy says."""
    client, agent, request_id = scope.get("client"), None, None
    for name, value in scope["headers"]:
        if name == b"user-agent":
            agent = value.decode("latin-1")[:_LONGEST_AGENT]
        elif name == b"x-request-id" and REQUEST_ID.fullmatch(text := value.decode("latin-1")):
            request_id = text
    return Context(client[0] if client else None, agent, request_id)


def unauthenticated(refusals: Refusals, scope: Connection, error: CeleriacError) -> None:
    """Note a request without a valid key or token. Nothing of what it sent as one is noted."""
    refusals.note(Action.AUTHENTICATION_FAILED, error.code, context(scope))


def denied(refusals: Refusals, scope: Connection, route: PlainRoute, caller: Caller, error: CeleriacError) -> None:
    """Note a request whose key may not do it, if the operation is audited."""
    action = AUDITED.get(route.unique_id)
    if action is not None:
        noun, parameters = action.partition(".")[0], scope["path_params"]
        id = parameters.get("id") or parameters.get("name")
        if id and (version := parameters.get("version")):
            id = f"{id}@{version}"
        by = audit.Actor(audit.ActorType(caller.type), caller.id, caller.name, caller.key_owner or caller.owner)
        refusals.note(action, error.code, context(scope), by, [Target(noun, id[:200])] if id else [])
