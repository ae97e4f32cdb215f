"""/v1/audit: the audit log."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http.responses import json_response
from app.api.schemas import audit as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.services.audit import Verification

router = APIRouter(prefix="/v1/audit", tags=["audit"], route_class=PlainRoute, responses=PROBLEMS)


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Lists the newest entries first, by action, actor and time. `next` is the cursor of the next page, null on the last."""
    query = schemas.AuditQuery.of(request)
    since, until = (time.timestamp() if time else None for time in (query.since, query.until))
    page, following = await container(request).audit.page(
        query.cursor, query.limit, action=query.action, actor=query.actor, since=since, until=until
    )
    return json_response(schemas.Entries(items=cast("list[schemas.Entry]", page), next=following))


@router.get("/verification", **schemas.VERIFY)
async def verify(request: Request) -> Response:
    """Checks that no entry was changed, removed or added. Entries that have passed their retention period are not missed."""
    chains = await container(request).audit.verify()
    return json_response(
        schemas.Verification(valid=not any(chain.faults for chain in chains), chains=[_present(chain) for chain in chains])
    )


def _present(checked: Verification) -> schemas.Chain:
    return {
        "chain": checked.chain,
        "entries": checked.entries,
        "last_id": checked.head.id or None,
        "last_sha256": checked.head.digest or None,
        "faults": list(checked.faults),
    }
