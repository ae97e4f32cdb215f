"""The life of a job as server-sent events: its states, its progress, and what its model yields meanwhile.

The id of an event is the revision of the job's record that it tells, so a stream goes on anywhere after `Last-Event-ID`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

import orjson
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import StreamingResponse

from app.api.http import params as query
from app.api.schemas.serializers import whole
from app.core.chunks import Chunk
from app.core.jobs import Job, State
from app.core.tensors import as_json
from app.services.jobs import Gateway
from app.store import jobs

MEDIA_TYPE: Final = "text/event-stream"
_AGAIN_S: Final = 15.0
"""Where nothing happens for so long, a stream says where a queued job stands, or that it is still there."""
_EVENT: Final = {State.QUEUED: "queued", State.RUNNING: "start"}


def wanted(request: Request) -> bool:
    """Does the caller ask for a stream instead of an answer? One who names JSON first takes either, and gets that."""
    accepted = request.headers.get("accept", "")
    return MEDIA_TYPE in accepted.lower().partition("application/json")[0]


def last_seen(request: Request) -> int:
    """The id of the last event that the caller has seen. Raises InvalidInput."""
    return query.whole(request.headers.get("last-event-id") or "0", "last-event-id", 0, 1 << 53)


def answer(here: Gateway, id: str, last: int = 0) -> StreamingResponse:
    """The changes of a job after its revision `last`, until it ends."""
    headers = {"cache-control": "no-store", "location": f"/v1/jobs/{id}"}
    return StreamingResponse(_stream(here, id, last), media_type=MEDIA_TYPE, headers=headers)


async def _stream(here: Gateway, id: str, last: int) -> AsyncIterator[bytes]:
    # Where Redis goes away the stream ends, and the caller comes again with Last-Event-ID: an error cannot be told any more.
    with suppress(RedisError, OSError):
        async for event in _changes(here, id, last):
            yield event


async def _changes(here: Gateway, id: str, last: int) -> AsyncIterator[bytes]:
    async with here.replies.watch(id) as changed:
        job = await jobs.watch(here.redis, id)
        while job is not None:
            changed.clear()
            for chunk in await jobs.chunks(here.redis, job, last) if job.streamed else ():
                if last < job.streamed and job.state is State.RUNNING:
                    yield _told(job.streamed, "start", await whole(here.offload, job))
                last = chunk.id
                yield _told(last, "output", _output(chunk))
            if job.revision > last:
                last = job.revision
                yield await _state(here, job)
            if job.state.final:
                return
            if here.draining:
                # The client connects again, to a process that stays.
                yield b": this process is stopping\n\n"
                return
            async with here.holding(_AGAIN_S):
                await changed.wait()
            if not changed.is_set():
                yield await _state(here, job) if job.state is State.QUEUED else b": waiting\n\n"
            job = await jobs.read(here.redis, id)


async def _state(here: Gateway, job: Job) -> bytes:
    place = await here.place(job) if job.state is State.QUEUED else None
    running = job.state is State.RUNNING and job.progress is not None
    event = "progress" if running else _EVENT.get(job.state, "completed")
    return _told(job.revision, event, await whole(here.offload, job, place, here.catalogue.classes(job)))


def _output(chunk: Chunk) -> dict[str, Any]:
    return {"chunk": as_json(chunk.text), "index": chunk.index, "row": chunk.row, "attempt": chunk.attempt}


def _told(id: int, event: str, data: dict[str, Any]) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (id, event.encode(), orjson.dumps(data))
