"""/v1/batches: a file of rows or of requests, answered into a file. The same paths and shapes as OpenAI's, so that its SDK works."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import orjson
from fastapi import APIRouter, Request
from redis.exceptions import RedisError
from starlette.responses import FileResponse, Response, StreamingResponse

from app.api import query
from app.api.bodies import SMALL_BYTES, known, read_object
from app.api.files import page
from app.api.gateway import Gateway, gateway
from app.api.jobs import answer
from app.api.orders import OWNER, order_of
from app.api.presentation import present_batch
from app.api.routes import PlainRoute
from app.api.schemas import batches as schemas
from app.api.schemas.problems import FILE_PROBLEMS
from app.core.batches import RESUMABLE, Batch, Order, Status
from app.core.errors import BatchConflict, BatchNotFound, CeleriacError, FileNotFound, InvalidFile, InvalidInput, QueueFull, from_dict
from app.core.jobs import new_id
from app.store import batches, sources
from app.store.batches import Change
from app.store.files import BATCHES, files
from app.store.sources import Source

router = APIRouter(prefix="/v1/batches", tags=["batches"], route_class=PlainRoute, responses=FILE_PROBLEMS)
_COMMENT_S: Final = 15.0
_TOLD: Final = 5
"""Mistakes of a file that the sentence of a refusal names."""


@router.post("", **schemas.CREATE)
async def create(request: Request) -> Response:
    """Starts a batch, once its file was looked through: a bad one is refused.

    With `model` and `input` the file is a table; with `input_file_id` and `endpoint`, as OpenAI has it, each line is a request.
    """
    here = gateway(request)
    body = await read_object(request, SMALL_BYTES)
    owners = request.headers.getlist(OWNER)
    if len(owners) > 1:
        raise InvalidInput(f"The request has {len(owners)} headers {OWNER}. Send one.", pointer="")
    order = await order_of(here, body, "".join(owners))
    id = f"batch_{new_id(time.time())}"
    await begin(here, order, id)
    batch = await _looked_through(here, id)
    if batch.status is Status.FAILED:
        await batches.forget(here.redis, id, order.pool)
        await asyncio.to_thread(shutil.rmtree, files().folder / BATCHES / id, ignore_errors=True)
        raise _refusal(batch)
    return answer(present_batch(batch), 200, {"location": f"/v1/batches/{id}"})


async def begin(here: Gateway, order: Order, id: str) -> None:
    """Starts a batch under this id, once. Raises QueueFull."""
    most = here.settings.max_batches
    if not await batches.create(here.redis, id, order, time.time(), most) and await batches.read(here.redis, id) is None:
        raise QueueFull(f"{most} batches are under way in the pool {order.pool!r}, which is its limit", retry_after_s=30)
    try:
        await _claim_output(here, id, order)
    except BatchConflict:
        await batches.forget(here.redis, id, order.pool)
        raise
    await here.batches.advance(id)


async def _claim_output(here: Gateway, id: str, order: Order) -> None:
    """Raises BatchConflict if another batch, which has not ended, writes the same file."""
    if not order.output:
        return
    identity = await asyncio.to_thread(sources.identity, Source(**order.output))
    holder = await batches.claim_output(here.redis, identity, id, order.window_s + order.ttl_s)
    if holder != id:
        raise BatchConflict(f"Batch {holder} writes the same output. Wait until it ends, or name another output.", pointer="/output")


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Batches, the newest first; `after` is the last id of the page before."""
    asked = request.query_params
    known(asked, "after", "limit")
    found, more = await batches.page(gateway(request).redis, asked.get("after"), query.whole(asked.get("limit", "20"), "limit", 1, 100))
    return answer(page([present_batch(one) for one in found], more))


@router.get("/{id}", **schemas.READ)
async def read(request: Request) -> Response:
    """One batch: its state, its counts, how fast it goes and how long it may take."""
    return answer(present_batch(await _read(gateway(request), request.path_params["id"])))


@router.post("/{id}/cancel", **schemas.CANCEL)
async def cancel(request: Request) -> Response:
    """Stops a batch; what was finished is joined and kept. It can be resumed."""
    here, id = gateway(request), request.path_params["id"]
    batch = await _read(here, id)
    change = Change((Status.VALIDATING, Status.IN_PROGRESS), set={"outcome": Status.CANCELLED}, status=Status.CANCELLING)
    if not await batches.apply(here.redis, id, batch.order.pool, change):
        batch = await _read(here, id)
        if batch.status is not Status.CANCELLING:
            raise BatchConflict(f"the batch is {batch.status}: only one that goes on can be cancelled")
    await here.followups.now(f"batch:{id}")
    return answer(present_batch(await _read(here, id)))


@router.post("/{id}/resume", **schemas.RESUME)
async def resume(request: Request) -> Response:
    """Goes on with a batch that failed, expired or was cancelled, from what is missing, with a new completion window."""
    here, id = gateway(request), request.path_params["id"]
    batch = await _read(here, id)
    order = batch.order
    await _claim_output(here, id, order)
    again = {"expires_at": time.time() + order.window_s, "errors": [], "outcome": "", "round": batch.round + 1, "before": batch.done}
    change = Change(
        tuple(RESUMABLE),
        expect={"revision": str(batch.revision)},
        set=again,
        status=Status.IN_PROGRESS if batch.rows else Status.VALIDATING,
        ttl=order.window_s + order.ttl_s,
    )
    if not await batches.apply(here.redis, id, order.pool, change):
        batch = await _read(here, id)
        raise BatchConflict(f"the batch is {batch.status}: only one that failed, expired or was cancelled can be resumed")
    await here.followups.now(f"batch:{id}")
    return answer(present_batch(await _read(here, id)))


@router.get("/{id}/parts", **schemas.PARTS)
async def parts(request: Request) -> Response:
    """The parts that are finished, in the order of their rows; they can be read before the batch ends, until they are joined."""
    here = gateway(request)
    batch = await _read(here, request.path_params["id"])
    found = await batches.parts(here.redis, batch.id) if batch.status is not Status.COMPLETED else []
    listed = [{"first": one.first, "rows": one.count, "completed": one.completed, "failed": one.failed} for one in found]
    return answer({"object": "list", "data": listed})


@router.get("/{id}/parts/{first}/content", **schemas.PART)
async def part(request: Request) -> Response:
    """One finished part, a file in the format of the output, by its first row."""
    here = gateway(request)
    batch = await _read(here, request.path_params["id"])
    first = query.whole(request.path_params["first"], "first", 0, 1 << 53)
    found = next((one for one in await batches.parts(here.redis, batch.id) if one.first == first and one.completed), None)
    path = files().folder / BATCHES / batch.id / "parts" / (f"{found.first:012d}-{found.count}" if found else "none")
    if not await asyncio.to_thread(path.is_file):
        raise FileNotFound(f"the batch {batch.id} has no part that begins with row {first}: it is not finished, or is joined already")
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)


@router.get("/{id}/events", **schemas.EVENTS)
async def events(request: Request) -> Response:
    """Server-sent events: the batch object, whenever it changes, under the name of its state, until it ends."""
    here, id = gateway(request), request.path_params["id"]
    await _read(here, id)
    last = query.whole(request.headers.get("last-event-id") or "0", "last-event-id", 0, 1 << 53)
    return StreamingResponse(_stream(here, id, last), media_type="text/event-stream", headers={"cache-control": "no-store"})


async def _stream(here: Gateway, id: str, last: int) -> AsyncIterator[bytes]:
    # Where Redis goes away, or the batch, the stream ends, and the caller comes again with Last-Event-ID.
    with suppress(RedisError, OSError, BatchNotFound):
        async with here.replies.watch(id) as changed:
            while True:
                changed.clear()
                batch = await _read(here, id)
                if batch.revision > last:
                    last = batch.revision
                    yield b"id: %d\nevent: %s\ndata: %s\n\n" % (last, batch.status.encode(), orjson.dumps(present_batch(batch)))
                if batch.status.final or here.draining:
                    return
                async with here.holding(_COMMENT_S):
                    await changed.wait()
                if not changed.is_set():
                    yield b": nothing new\n\n"


async def _looked_through(here: Gateway, id: str) -> Batch:
    async with here.replies.watch(id) as changed:
        async with here.holding(here.settings.batch_validate_s):
            while (await _read(here, id)).status is Status.VALIDATING:
                await changed.wait()
                changed.clear()
        return await _read(here, id)


async def _read(here: Gateway, id: str) -> Batch:
    batch = await batches.read(here.redis, id)
    if batch is None:
        raise BatchNotFound(f"there is no batch {id!r}, or it was kept for long enough")
    return batch


def _refusal(batch: Batch) -> CeleriacError:
    first = batch.errors[0]
    if not batch.order.endpoint or first["line"] is None:
        told = from_dict({"code": first["code"], "detail": first["message"], "pointer": first["param"]})
        return told if type(told) is not CeleriacError else InvalidFile(f"{first['code']}: {first['message']}", pointer="/input_file_id")
    listed = [f"line {one['line']}: {one['code']}: {one['message']}" for one in batch.errors[:_TOLD]]
    more = len(batch.errors) - len(listed)
    return InvalidFile("; ".join(listed) + (f"; and {more} more" if more > 0 else ""), pointer="/input_file_id")
