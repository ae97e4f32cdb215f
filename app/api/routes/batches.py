"""/v1/batches: run a model over a file of rows or of requests. Paths and bodies are those of OpenAI, so that its SDK works."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http import params, sse
from app.api.http.downloads import download
from app.api.http.responses import ends, json_response
from app.api.schemas import batches as schemas
from app.api.schemas.problems import FILE_PROBLEMS
from app.api.schemas.queries import OpenAIPage
from app.api.schemas.serializers import present_batch
from app.api.server.plain_route import PlainRoute
from app.core.batches import Batch
from app.core.errors import InvalidInput
from app.services.requests.batches import parse_batch

router = APIRouter(prefix="/v1/batches", tags=["batches"], route_class=PlainRoute, responses=FILE_PROBLEMS)
_OWNER: Final = "celeriac-owner"


@router.post("", **schemas.CREATE)
async def create(request: Request) -> Response:
    """Starts a batch after its file has been checked. An invalid file is refused.

    With `model` and `input` the file is a table. With `input_file_id` and `endpoint`, as OpenAI defines them, each line is a request.
    """
    root = container(request)
    body = parse_batch(await root.bodies.read_object(request))
    owners = request.headers.getlist(_OWNER)
    if len(owners) > 1:
        raise InvalidInput(f"The request has {len(owners)} headers {_OWNER}. Send one.", pointer="")
    batch = await root.batches.create(await root.batch_requests.parse(body, "".join(owners)))
    return json_response(present_batch(batch), 200, {"location": f"/v1/batches/{batch.id}"})


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Lists the newest batches first. `after` is the last ID of the previous page."""
    query = OpenAIPage.of(request)
    page, more = await container(request).batches.page(query.after, query.limit)
    items = [present_batch(batch) for batch in page]
    first_id, last_id = ends(items)
    return json_response(schemas.Batches(object="list", data=items, first_id=first_id, last_id=last_id, has_more=more))


@router.get("/{id}", **schemas.READ)
async def read(request: Request) -> Response:
    """Returns one batch: its state, its counts, its speed and the time that is left."""
    return json_response(present_batch(await container(request).batches.get(request.path_params["id"])))


@router.post("/{id}/cancel", **schemas.CANCEL)
async def cancel(request: Request) -> Response:
    """Stops a batch. Finished rows are joined and kept. It can be resumed."""
    return json_response(present_batch(await container(request).batches.cancel(request.path_params["id"])))


@router.post("/{id}/resume", **schemas.RESUME)
async def resume(request: Request) -> Response:
    """Continues a batch that failed, expired or was cancelled with the missing rows, in a new completion window."""
    return json_response(present_batch(await container(request).batches.resume(request.path_params["id"])))


@router.get("/{id}/parts", **schemas.PARTS)
async def parts(request: Request) -> Response:
    """Lists the finished parts in the order of their rows. They can be read before the batch ends, until they are joined."""
    finished = await container(request).batches.parts(request.path_params["id"])
    data = [schemas.Part(first=part.first, rows=part.count, completed=part.completed, failed=part.failed) for part in finished]
    return json_response(schemas.Parts(object="list", data=data))


@router.get("/{id}/parts/{first}/content", **schemas.PART)
async def part(request: Request) -> Response:
    """Returns one finished part by its first row, a file in the format of the output."""
    first = params.integer(request.path_params["first"], "first", 0, 1 << 53)
    name, content = await container(request).batches.part_file(request.path_params["id"], first)
    return await download(request, content, name)


@router.get("/{id}/events", **schemas.EVENTS)
async def events(request: Request) -> Response:
    """Sends the batch whenever it changes, until it ends. The name of an event is the state of the batch."""
    root, id = container(request), request.path_params["id"]
    await root.batches.get(id)
    return sse.stream(_events(root.batches.events(id, sse.last_event_id(request))))


async def _events(changes: AsyncIterator[Batch | None]) -> AsyncIterator[bytes]:
    async for batch in changes:
        yield sse.COMMENT if batch is None else sse.event(batch.revision, batch.status, present_batch(batch))
