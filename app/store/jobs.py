"""Job records as the API reads them: one, a page of them, and the mark that somebody watches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import orjson
import redis.asyncio

from app.core.chunks import Chunk
from app.core.errors import PayloadLost
from app.core.jobs import CHOSEN_ID, Job, State
from app.loops import Loop
from app.store import keys, scripts
from app.store.blobs import blobs, is_reference
from app.store.quarantine import Quarantine
from app.store.reading import answers, decodable, fields_of, readable, required
from app.store.records import decode

LOOKED_AT: Final = 1000
"""Records that one page of a filtered list looks at, at most."""
_KIND: Final = "job"
_AT_ONCE: Final = 500
_LOOK_AGAIN_S: Final = 30.0
"""A job that runs at its deadline may come back to the queue: it is looked at again."""

PAGE: Final = """
local first = 0
if ARGV[1] ~= '' or ARGV[3] then
  local rank = redis.call('ZREVRANK', KEYS[1], ARGV[1])
  if not rank then return {} end
  first = rank + 1
end
return redis.call('ZREVRANGE', KEYS[1], first, first + ARGV[2] - 1)
"""
"""Members of an index after one of them, the newest first; after the first if that is empty, unless a third argument says that it is a member."""


async def read(client: redis.asyncio.Redis, id: str, *, whole: bool = True) -> Job | None:
    """Not `whole`: a large result stays a reference. Raises PayloadLost where that leads to a blob that is gone."""
    job = required(_KIND, id, [await fields_of(client, keys.job(id))], partial(decode, id))
    return await _whole(job) if whole else job


async def watch(client: redis.asyncio.Redis, id: str) -> Job | None:
    """Reads a record and asks for an event on its next changes. Subscribe first, so that none is missed."""
    fields = await scripts.run_async(client, scripts.watch(id))
    return await _whole(required(_KIND, id, [dict(zip(fields[::2], fields[1::2], strict=True))], partial(decode, id)))


async def chunks(client: redis.asyncio.Redis, job: Job, after: int) -> list[Chunk]:
    """What the attempt of the job that runs, or ran last, has yielded after that revision, as far as it is kept."""
    found: Any = await client.xrange(keys.chunks(job.id), min=str(after + 1))
    listed = [_chunk(id, fields) for id, fields in found]
    return [one for one in listed if one.attempt == job.attempt]


async def left(client: redis.asyncio.Redis, queue: str) -> int:
    """Jobs that ever left the queue: a queued job's place is its position less this."""
    return int(await client.hget(keys.counts(queue), "left") or 0)


async def page(
    client: redis.asyncio.Redis, before: str | None, count: int, model: str | None = None, state: State | None = None
) -> tuple[list[Job], str | None]:
    """Up to `count` jobs of a model and a state, the newest first, older than the job `before`; and the cursor of what follows, None at the end.

    A page looks at `LOOKED_AT` jobs at most: it may be short, or empty, and still have a cursor. It takes a bounded number of
    round trips, whatever `count` is. By rank, not by time: the jobs of one delivery are created in the same microsecond.
    """
    filtered = model is not None or state is not None
    found: list[Job] = []
    at: str | bytes = before or ""
    last, looked = before, 0
    while looked < LOOKED_AT and len(found) < count:
        size = _AT_ONCE if filtered or looked else count
        members: Any = await client.eval(PAGE, 1, keys.JOBS, at, size, *(["after"] if looked else []))
        looked += size
        ids = [id for id in decodable(members) if CHOSEN_ID.fullmatch(id)]
        matching = await _matching(client, ids, model, state) if filtered or looked > size else ids
        chosen = matching[: count - len(found)]
        found += [job for job in await read_all(client, chosen) if job is not None]
        if len(chosen) < len(matching):
            return found, chosen[-1]
        last = ids[-1] if ids else last
        if len(members) < size:
            return found, None
        at = members[-1]
    return found, last


async def _matching(client: redis.asyncio.Redis, ids: Sequence[str], model: str | None, state: State | None) -> list[str]:
    """Those of that model and state, without reading their results."""
    async with client.pipeline(transaction=False) as pipe:
        for id in ids:
            pipe.hmget(keys.job(id), "spec", "state")
        found = await answers(pipe)

    def matches(values: list[bytes | None]) -> bool:
        spec, is_in = values
        return spec is not None and state in (None, (is_in or b"").decode()) and model in (None, orjson.loads(spec)[0])

    return [id for id, values in zip(ids, found, strict=True) if readable(_KIND, id, [values], matches)]


async def read_all(client: redis.asyncio.Redis, ids: Sequence[str]) -> list[Job | None]:
    """Each with its result; one whose result is lost without. None for a record that is gone or cannot be read."""
    async with client.pipeline(transaction=False) as pipe:
        for id in ids:
            pipe.hgetall(keys.job(id))
        records = await answers(pipe)
    found = [readable(_KIND, id, [fields], partial(decode, id)) for id, fields in zip(ids, records, strict=True)]
    for job in found:
        try:
            await _whole(job)
        except PayloadLost:
            assert job is not None
            # Who asks for this one is told; the others are listed.
            job.result = None
    return found


async def expire(client: redis.asyncio.Redis, quarantine: Quarantine, loop: Loop, *, keep: int, most: int) -> int:
    """Ends jobs that waited too long, of those whose end somebody wants to hear of. Returns how many it looked at: `most` where there may be more."""
    found = await scripts.run_async(client, scripts.Call("claim", (keys.EXPIRING,), (_LOOK_AGAIN_S, most)))

    async def close(id: str) -> None:
        await scripts.run_async(client, scripts.end_job(id, State.EXPIRED, keep=keep))

    await asyncio.gather(*(quarantine.handle(loop, keys.EXPIRING, member, close, attempts=3) for member in found))
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
