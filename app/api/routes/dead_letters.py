"""/v1/dead-letters: jobs that failed for good. Read them, replay them unchanged or corrected, or discard them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import Container, container
from app.api.http.bodies import SMALL_BYTES
from app.api.http.job_responses import address
from app.api.http.responses import json_response
from app.api.schemas import dead_letters as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.schemas.results import by_row
from app.api.schemas.serializers import present
from app.api.server.plain_route import PlainRoute
from app.core import callers
from app.core.api_keys import DEFAULT_OWNER
from app.core.dead_letters import CauseGroup, DeadLetter, Wanted
from app.core.errors import InvalidInput
from app.core.jobs import Job
from app.core.timestamps import rfc3339
from app.services.requests.dead_letters import BulkReplay, Replay

if TYPE_CHECKING:
    from app.api.schemas.jobs import JobError

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"], route_class=PlainRoute, responses=PROBLEMS)


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Lists the newest first, by model, error code and time of failure. `next` is the cursor of the next page, null on the last."""
    page, following = await _page(request, schemas.DeadLettersQuery)
    return json_response(schemas.DeadLetters(items=[_summary(letter) for letter in page], next=following))


@router.get("/groups", **schemas.GROUPS)
async def groups(request: Request) -> Response:
    """Counts dead letters by their cause.

    A cause is the model, the code of the error, the type of the exception, and the line of the model's code that raised it. A
    `fingerprint` selects the dead letters of a group in the requests that list, replay and discard.
    """
    by_cause, complete = await container(request).dead_letters.groups(schemas.GroupsQuery.of(request).filters)
    return json_response(schemas.DeadLetterGroups(items=[_group(group) for group in by_cause], complete=complete))


@router.post("/replay", **schemas.REPLAY_MANY)
async def replay_many(request: Request) -> Response:
    """Replays the dead letters that the filter matches. A call replays up to `limit`; `next` is the cursor of those that follow.

    The body may name another `model`, for example after a corrected version was published, and a `deadline_s`. A refused letter is kept.
    """
    root = container(request)
    changes = BulkReplay.parse(await _body(root, request))
    page, following = await _page(request, schemas.ReplayQuery)
    jobs: list[schemas.Replayed] = []
    refused: list[schemas.Refused] = []
    async for letter, result in root.dead_letters.replay_all(page, changes):
        if isinstance(result, Job):
            jobs.append({"id": callers.shown_id(result.id), "replay_of": callers.shown_id(letter.id)})
        else:
            refused.append({"id": callers.shown_id(letter.id), "error": cast("JobError", result.as_dict())})
    return json_response(schemas.Replays(replayed=len(jobs), jobs=jobs, refused=refused, next=following), 202)


@router.delete("", **schemas.DISCARD_MANY)
async def discard_many(request: Request) -> Response:
    """Discards the dead letters that the filter matches. A call discards up to `limit`; `next` is the cursor of those that follow."""
    page, following = await _page(request, schemas.DiscardQuery)
    return json_response(schemas.Discarded(discarded=await container(request).dead_letters.discard(page), next=following))


@router.get("/{id}", **schemas.READ)
async def read(request: Request) -> Response:
    """Returns one dead letter: its input, the error with its traceback, and every attempt with its worker and time."""
    letter = await container(request).dead_letters.get(request.path_params["id"])
    inputs = by_row(letter.inputs)
    return json_response(schemas.WholeDeadLetter(**_summary(letter), traceback=letter.traceback or None, inputs=inputs))


@router.post("/{id}/replay", **schemas.REPLAY)
async def replay(request: Request) -> Response:
    """Makes a new job of a dead letter.

    The body may name other `inputs`, `model`, `method` or `deadline_s`. The letter is discarded when the new job is
    durable. Sent twice, the request makes one job.
    """
    root, id = container(request), request.path_params["id"]
    changes = Replay.parse(await _body(root, request))
    job = await root.dead_letters.replay(id, changes)
    return json_response(schemas.ReplayedJob(**present(job), replay_of=id), 202, {"location": address(job.id), "retry-after": "1"})


@router.delete("/{id}", **schemas.DISCARD)
async def discard(request: Request) -> Response:
    """Discards one dead letter and returns it."""
    dead_letters = container(request).dead_letters
    letter = await dead_letters.get(request.path_params["id"])
    await dead_letters.discard([letter])
    return json_response(_summary(letter))


async def _page(request: Request, kind: type[schemas.DeadLettersQuery]) -> tuple[list[DeadLetter], str | None]:
    query = kind.of(request)
    # A call that forgot its filter must not reach all dead letters.
    if isinstance(query, schemas.DiscardQuery) and query.filters == Wanted() and not query.all:
        raise InvalidInput("The request has no filter. Use model, error, after, before, fingerprint, or all=true.", pointer="/all")
    return await container(request).dead_letters.page(query.filters, query.cursor, query.limit)


async def _body(root: Container, request: Request) -> dict[str, Any]:
    """Return the body. An empty one without a content type is an empty object."""
    if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
        return {}
    return await root.bodies.read_object(request, 4 * SMALL_BYTES)


def _summary(letter: DeadLetter) -> schemas.DeadLetter:
    summary: schemas.DeadLetter = {
        "id": callers.shown_id(letter.id),
        "model": letter.model,
        "version": letter.version,
        "method": letter.outputs[0],
        "rows": letter.rows,
        "error": cast("JobError", letter.error),
        "attempts": [{"started_at": rfc3339(attempt.started_at), "worker": attempt.worker} for attempt in letter.attempts],
        "died_at": rfc3339(letter.died_at),
        "fingerprint": letter.cause.fingerprint,
    }
    if letter.owner != DEFAULT_OWNER:
        summary["owner"] = letter.owner
    return summary


def _group(group: CauseGroup) -> schemas.DeadLetterGroup:
    return {
        "fingerprint": group.cause.fingerprint,
        "model": group.cause.model,
        "versions": sorted(group.versions),
        "error": group.cause.code,
        "exception": group.cause.exception or None,
        "frame": group.cause.frame or None,
        "count": group.count,
        "first_died_at": rfc3339(group.first_at),
        "last_died_at": rfc3339(group.last_at),
        "newest": callers.shown_id(group.newest),
    }
