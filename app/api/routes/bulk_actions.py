"""/v1/bulk-actions: cancel all jobs, or replay or discard all dead letters, that a filter matches."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http.responses import json_response
from app.api.schemas import bulk_actions as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.core.api_keys import DEFAULT_OWNER
from app.core.bulk_actions import BulkAction, BulkKind
from app.core.timestamps import rfc3339
from app.services.requests.bulk_actions import BulkCancellation, BulkDiscard, BulkReplayRequest

if TYPE_CHECKING:
    from app.api.schemas.jobs import JobError

router = APIRouter(prefix="/v1/bulk-actions", tags=["bulk actions"], route_class=PlainRoute, responses=PROBLEMS)


@router.post("/cancel", **schemas.CANCEL)
async def cancel(request: Request) -> Response:
    """Cancels all jobs that match and have not ended. Jobs that are submitted later are not cancelled.

    The server does it in steps, also if the caller is gone. With `dry_run`, nothing is cancelled, and the response says how many match.
    """
    body = BulkCancellation.parse(await container(request).bodies.read_object(request))
    return await _start(request, BulkKind.CANCEL, body)


@router.post("/replay", **schemas.REPLAY)
async def replay(request: Request) -> Response:
    """Replays all dead letters that match, each as a new job. A refused letter is kept. While the queue is full, the action waits.

    The server does it in steps, also if the caller is gone. With `dry_run`, nothing is replayed, and the response says how many match.
    """
    body = BulkReplayRequest.parse(await container(request).bodies.read_object(request))
    return await _start(request, BulkKind.REPLAY, body)


@router.post("/discard", **schemas.DISCARD)
async def discard(request: Request) -> Response:
    """Discards all dead letters that match, with their input. Those of jobs that fail later are kept.

    The server does it in steps, also if the caller is gone. With `dry_run`, nothing is discarded, and the response says how many match.
    """
    body = BulkDiscard.parse(await container(request).bodies.read_object(request))
    return await _start(request, BulkKind.DISCARD, body)


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Lists the newest bulk actions first. `next` is the cursor of the next page, null on the last."""
    query = schemas.BulkActionsQuery.of(request)
    page, following = await container(request).bulk_actions.page(query.cursor, query.limit)
    return json_response(schemas.BulkActions(items=[_present(action) for action in page], next=following))


@router.get("/{id}", **schemas.READ)
async def read(request: Request) -> Response:
    """Returns one bulk action, and how far it is."""
    return json_response(_present(await container(request).bulk_actions.get(request.path_params["id"])))


async def _start(request: Request, kind: BulkKind, body: BulkCancellation | BulkDiscard) -> Response:
    service = container(request).bulk_actions
    if body.dry_run:
        matching, complete = await service.count(kind, body.filter)
        return json_response(schemas.Matching(matching=matching, complete=complete))
    to = str(body.to or "") if isinstance(body, BulkReplayRequest) else ""
    action = await service.start(kind, body.filter, to)
    return json_response(_present(action), 202, {"location": f"/v1/bulk-actions/{action.id}"})


def _present(action: BulkAction) -> schemas.BulkAction:
    filter = asdict(action.filter) | {"since": rfc3339(action.filter.since), "until": rfc3339(action.filter.until)}
    body: schemas.BulkAction = {
        "id": action.id,
        "action": action.kind,
        "filter": cast("schemas.BulkFilter", {name: value for name, value in filter.items() if value}),
        "state": action.state,
        "matching": action.matching,
        "complete": action.complete,
        "done": action.done,
        "skipped": action.skipped,
        "created_at": rfc3339(action.created_at),
        "finished_at": rfc3339(action.finished_at),
    }
    if action.owner != DEFAULT_OWNER:
        body["owner"] = action.owner
    if action.to:
        body["to"] = action.to
    if action.error:
        body["error"] = cast("JobError", action.error)
    return body
