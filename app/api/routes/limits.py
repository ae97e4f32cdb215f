"""/v1/limits: the limits of the caller, and how much of them is used."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http.responses import json_response
from app.api.schemas import limits as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.core.rate_limits import OWNER, Usage

router = APIRouter(prefix="/v1/limits", tags=["limits"], route_class=PlainRoute, responses=PROBLEMS)


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Lists the limits of the caller's owner and key, and how much of each is used. The request itself does not count."""
    usages = await container(request).limits.usages(schemas.LimitsQuery.of(request).owner)
    return json_response(schemas.Limits(items=[_present(usage) for usage in usages]))


def _present(usage: Usage) -> schemas.Limit:
    limit = usage.limit
    of_owner = limit.of == OWNER
    return {
        "policy": limit.policy,
        "owner": usage.subject if of_owner else None,
        "key": None if of_owner else usage.subject,
        "limit": limit.quota,
        "used": limit.quota - usage.remaining,
        "window_s": limit.window_s or None,
        "reset_s": usage.reset_s if limit.window_s else None,
    }
