"""Job records as the API reads them: one, a page of them, and the mark that somebody watches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import redis.asyncio

from app.core.chunks import Chunk
from app.core.errors import PayloadLost
from app.core.jobs import Job, State
from app.store import keys, scripts
from app.store.blobs import blobs, is_reference
from app.store.records import decode

_LOOK_AGAIN_S: Final = 30.0
"""A job that runs at its deadline may come back to the queue: it is looked at again."""

PAGE: Final = """
local first = 0
if ARGV[1] ~= '' then
  local rank = redis.call('ZREVRANK', KEYS[1], ARGV[1])
  if not rank then return {} end
  first = rank + 1
end
return redis.call('ZREVRANGE', KEYS[1], first, first + ARGV[2] - 1)
"""
"""Members of an index after one of them, the newest first."""


async def read(client: redis.asyncio.Redis, id: str, *, whole: bool = True) -> Job | None:
    """Not `whole`: a large result stays a reference. Raises PayloadLost where that leads to a blob that is gone."""
    fields: Any = await client.hgetall(keys.job(id))
    job = decode(id, fields)
    return await _whole(job) if whole else job


async def watch(client: redis.asyncio.Redis, id: str) -> Job | None:
    """Reads a record and asks for an event on its next changes. Subscribe first, so that none is missed."""
    fields = await scripts.run_async(client, scripts.watch(id))
    return await _whole(decode(id, dict(zip(fields[::2], fields[1::2], strict=True))))


async def chunks(client: redis.asyncio.Redis, job: Job, after: int) -> list[Chunk]:
    """What the attempt of the job that runs, or ran last, has yielded after that revision, as far as it is kept."""
    found: Any = await client.xrange(keys.chunks(job.id), min=str(after + 1))
    listed = [_chunk(id, fields) for id, fields in found]
    return [one for one in listed if one.attempt == job.attempt]


async def left(client: redis.asyncio.Redis, queue: str) -> int:
    """Jobs that ever left the queue: a queued job's place is its position less this."""
    return int(await client.hget(keys.counts(queue), "left") or 0)


async def page(client: redis.asyncio.Redis, before: str | None, count: int) -> tuple[list[Job], str | None]:
    """Up to `count` records, the newest first, older than the job `before`; and the last one looked at, None where there is no more.

    By rank, not by time: the jobs of one delivery are created in the same microsecond.
    """
    found: Any = await client.eval(PAGE, 1, keys.JOBS, before or "", count)
    jobs = [job for job in await read_all(client, [id.decode() for id in found]) if job]
    return jobs, found[-1].decode() if len(found) == count else None


async def read_all(client: redis.asyncio.Redis, ids: Sequence[str]) -> list[Job | None]:
    """Each with its result; one whose result is lost without."""
    async with client.pipeline(transaction=False) as pipe:
        for id in ids:
            pipe.hgetall(keys.job(id))
        records = await pipe.execute()
    found = [decode(id, fields) for id, fields in zip(ids, records, strict=True)]
    for job in found:
        try:
            await _whole(job)
        except PayloadLost:
            assert job is not None
            # Who asks for this one is told; the others are listed.
            job.result = None
    return found


async def expire(client: redis.asyncio.Redis, *, keep: int, most: int) -> int:
    """Ends jobs that waited too long, of those whose end somebody wants to hear of. Returns how many it looked at: `most` where there may be more."""
    found = await scripts.run_async(client, scripts.Call("claim", (keys.EXPIRING,), (_LOOK_AGAIN_S, most)))
    await asyncio.gather(*(scripts.run_async(client, scripts.close(id.decode(), State.EXPIRED, keep=keep)) for id in found))
    return len(found)


async def sweep(client: redis.asyncio.Redis, older_than_s: float) -> int:
    """Drops ids from the index whose records have expired."""
    return int(await client.zremrangebyscore(keys.JOBS, "-inf", time.time() - older_than_s))


def _chunk(id: bytes, fields: dict[bytes, bytes]) -> Chunk:
    text: str | bytes = fields[b"text"]
    with suppress(UnicodeDecodeError):
        text = fields[b"text"].decode()
    return Chunk(int(fields[b"index"]), int(fields[b"row"]), text, int(fields[b"attempt"]), int(id.partition(b"-")[0]))


async def _whole(job: Job | None) -> Job | None:
    """With its result, if that is a blob."""
    if job is not None and job.result is not None and is_reference(job.result):
        job.result = await asyncio.to_thread(blobs().fetch, job.result)
    return job
