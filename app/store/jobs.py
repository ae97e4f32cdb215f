"""Reading job records: one, a page of them, or one that is watched for changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import redis.asyncio

from app.core import callers
from app.core.audit import Action, Target, draft
from app.core.errors import PayloadLost
from app.core.job_filters import JobFilter
from app.core.jobs import Job, State
from app.core.owners import RECORD_ID
from app.core.tokens import Token
from app.loops import Loop
from app.store import audit, claims, keys, scripts
from app.store.blobs import blobs, is_reference
from app.store.quarantine import Quarantine
from app.store.reading import answers, decodable, fields_of, readable, required
from app.store.records import FIELDS, decode, job_head

LOOKED_AT: Final = 1000
"""Maximum number of records that one page of a filtered list examines."""
LISTED_RESULT_BYTES: Final = 4096
"""Maximum size of a result in a list, as Redis stores it. The size of a page is bounded by this."""
_KIND: Final = "job"
_EVERY: Final = JobFilter()
_AT_ONCE: Final = 500
_LOOK_AGAIN_S: Final = 30.0
"""A job that runs at its deadline may return to the queue, so it is checked again."""

PAGE: Final = """
local first = redis.call('ZCOUNT', KEYS[1], '(' .. (ARGV[4] or 'inf'), 'inf')
if ARGV[1] ~= '' or ARGV[3] == 'after' then
  local rank = redis.call('ZREVRANK', KEYS[1], ARGV[1])
  if not rank then return {} end
  first = math.max(first, rank + 1)
end
local last = math.min(first + ARGV[2], redis.call('ZCOUNT', KEYS[1], ARGV[5] or '-inf', 'inf')) - 1
if last < first then return {} end
return redis.call('ZREVRANGE', KEYS[1], first, last)
"""
"""Returns members of an index after a given one, the newest first.

Arguments: the member, how many to return; optionally `after` (otherwise an empty member means the start), the newest score, the oldest score.
"""


async def read(client: redis.asyncio.Redis, id: str, *, whole: bool = True) -> Job | None:
    """Return a job, or None if the record does not exist.

    Args:
        client: A connection to Redis.
        id: The job.
        whole: Load a result that is stored as a blob. Otherwise it stays a reference.

    Raises:
        PayloadLost: The blob of the result is gone.
    """
    job = required(_KIND, id, [await fields_of(client, keys.job(id))], partial(decode, id))
    return await _whole(job) if whole else job


async def watch(client: redis.asyncio.Redis, id: str, owner: str | None = None) -> Job | None:
    """Return a job, and have its next changes published. Subscribe first, so that none is missed.

    With an `owner`, the job of another one does not exist.
    """
    fields = await scripts.run_async(client, scripts.watch(id, owner=owner))
    return await _whole(required(_KIND, id, [dict(zip(fields[::2], fields[1::2], strict=True))], partial(decode, id)))


async def tokens(client: redis.asyncio.Redis, job: Job, after: int) -> list[Token]:
    """Return the stored stream events of the job's latest attempt that follow the revision `after`."""
    entries: Any = await client.xrange(keys.tokens(job.id), min=str(after + 1))
    events = [_token(id, fields) for id, fields in entries]
    return [event for event in events if event.attempt == job.attempt]


async def left(client: redis.asyncio.Redis, queue: str) -> int:
    """Return how many jobs have ever left the queue. A queued job's place in it is its position minus this number."""
    return int(await client.hget(keys.counts(queue), "left") or 0)


async def page(client: redis.asyncio.Redis, before: str | None, count: int, wanted: JobFilter = _EVERY) -> tuple[list[Job], str | None]:
    """Return up to `count` jobs that match, the newest first, and the cursor of the next page (None at the end).

    Results of more than `LISTED_RESULT_BYTES` are omitted. Only jobs older than the job `before` are returned. A page examines at most `LOOKED_AT` jobs: it may be short or empty and still have
    a cursor. The number of round trips is bounded. Pages go by rank, not by time: the jobs of one delivery are created in the same
    microsecond.
    """
    jobs: list[Job] = []
    start: str | bytes = before or ""
    last, looked = before, 0
    while looked < LOOKED_AT and len(jobs) < count:
        size = _AT_ONCE if wanted.narrow or looked else count
        members = await _members(client, wanted, start, size, following=looked > 0)
        looked += size
        ids = [id for id in decodable(members) if RECORD_ID.fullmatch(id)]
        matching = await _matching(client, ids, wanted) if wanted.narrow or looked > size else ids
        chosen = matching[: count - len(jobs)]
        jobs += [job for job in await _summaries(client, chosen) if job is not None and wanted.owner in (None, job.owner)]
        if len(chosen) < len(matching):
            return jobs, chosen[-1]
        last = ids[-1] if ids else last
        if len(members) < size:
            return jobs, None
        start = members[-1]
    return jobs, last


async def matching(client: redis.asyncio.Redis, before: str | None, wanted: JobFilter) -> tuple[list[str], str | None]:
    """Return the IDs of jobs that match, and the cursor of the next part of the list (None at the end).

    A part has `LOOKED_AT` jobs, the newest first, that are older than the job `before`.
    """
    members = await _members(client, wanted, before or "", LOOKED_AT)
    ids = [id for id in decodable(members) if RECORD_ID.fullmatch(id)]
    return await _matching(client, ids, wanted), ids[-1] if len(members) == LOOKED_AT and ids else None


async def _members(
    client: redis.asyncio.Redis, wanted: JobFilter, start: str | bytes, size: int, *, following: bool = False
) -> list[bytes]:
    """Return entries of the index that holds all jobs that match, in their span of time."""
    index = keys.JOBS if wanted.owner is None else keys.jobs_of(wanted.owner)
    newest = "inf" if wanted.until is None else repr(wanted.until)
    oldest = "-inf" if wanted.since is None else repr(wanted.since)
    members: list[bytes] = await client.eval(PAGE, 1, index, start, size, "after" if following else "", newest, oldest)
    return members


async def _matching(client: redis.asyncio.Redis, ids: Sequence[str], wanted: JobFilter) -> list[str]:
    """Return the jobs that match, without reading their results."""
    if wanted.id_prefix is not None:
        ids = [id for id in ids if callers.shown_id(id).startswith(wanted.id_prefix)]
    fields = ("spec", "state", "queue", *(["error"] if wanted.error is not None else []))
    async with client.pipeline(transaction=False) as pipe:
        for id in ids:
            pipe.hmget(keys.job(id), fields)
        answered = await answers(pipe)

    def matches(values: list[bytes | None]) -> bool:
        head = job_head(*values)
        return head is not None and wanted.matches(head)

    return [id for id, values in zip(ids, answered, strict=True) if readable(_KIND, id, [values], matches)]


async def read_all(client: redis.asyncio.Redis, ids: Sequence[str]) -> list[Job | None]:
    """Return jobs with their results, without a result that is lost. None represents a record that was deleted or cannot be read."""
    async with client.pipeline(transaction=False) as pipe:
        for id in ids:
            pipe.hgetall(keys.job(id))
        records = await answers(pipe)
    jobs = [readable(_KIND, id, [fields], partial(decode, id)) for id, fields in zip(ids, records, strict=True)]
    for job in jobs:
        try:
            await _whole(job)
        except PayloadLost:
            assert job is not None
            # Reading this job alone raises; a list still shows it.
            job.result = None
    return jobs


async def _summaries(client: redis.asyncio.Redis, ids: Sequence[str]) -> list[Job | None]:
    """Return jobs, without results that are too large for a list. None represents a record that was deleted or cannot be read."""
    async with client.pipeline(transaction=False) as pipe:
        for id in ids:
            pipe.hstrlen(keys.job(id), "result")
        sizes = await answers(pipe)
        large = [isinstance(size, int) and size > LISTED_RESULT_BYTES for size in sizes]
        for id, omitted in zip(ids, large, strict=True):
            if omitted:
                pipe.hmget(keys.job(id), FIELDS)
            else:
                pipe.hgetall(keys.job(id))
        records = await answers(pipe)
    jobs = []
    for id, omitted, fields in zip(ids, large, records, strict=True):
        values = (
            {name: value for name, value in zip(FIELDS, fields, strict=True) if value is not None} if isinstance(fields, list) else fields
        )
        job = readable(_KIND, id, [values], partial(decode, id))
        if job is not None and (omitted or (job.result is not None and is_reference(job.result))):
            job.result, job.result_omitted = None, True
        jobs.append(job)
    return jobs


async def expire(client: redis.asyncio.Redis, quarantine: Quarantine, loop: Loop, *, keep: int, most: int) -> int:
    """Expire jobs that waited too long and whose end is watched. Return how many were examined; `most` means that more may be due."""
    due, _ = await claims.claim(client, keys.EXPIRING, _LOOK_AGAIN_S, most)

    async def close(id: str) -> None:
        await scripts.run_async(client, scripts.end_job(id, State.EXPIRED, keep=keep))

    await asyncio.gather(*(quarantine.handle(loop, keys.EXPIRING, member, close, attempts=3) for member in due))
    return len(due)


async def cancel(client: redis.asyncio.Redis, id: str, *, keep: int, owner: str | None) -> bytes | None:
    """Cancel a job that has not ended. Return its state before, or None if it does not exist, or has another owner than `owner`.

    The audit log gets an entry if the job belongs to another owner than the caller's key.
    """
    entry, caller = b"", callers.key_owner()
    if caller and owner is None:
        entry = draft(Action.JOB_CANCELLED, Target("job", id), after={"state": State.CANCELLED})
    call = scripts.end_job(
        id, State.CANCELLED, keep=keep, owner=owner, caller=caller, entry=audit.entry(entry) if entry else scripts.NO_ENTRY
    )
    answer: Any = await scripts.run_async(client, call)
    if isinstance(answer, list):
        before, *written = answer
        audit.report(entry, *written)
        return bytes(before)
    return None if answer is None else bytes(answer)


async def sweep(client: redis.asyncio.Redis, older_than_s: float) -> int:
    """Drop ids of expired records from the index of all jobs. Return how many were dropped."""
    return int(await client.zremrangebyscore(keys.JOBS, "-inf", time.time() - older_than_s))


def _token(id: bytes, fields: dict[bytes, bytes]) -> Token:
    text: str | bytes = fields[b"text"]
    with suppress(UnicodeDecodeError):
        text = fields[b"text"].decode()
    return Token(int(fields[b"index"]), int(fields[b"row"]), text, int(fields[b"attempt"]), int(id.partition(b"-")[0]))


async def _whole(job: Job | None) -> Job | None:
    """Load the result if it is stored as a blob."""
    if job is not None and job.result is not None and is_reference(job.result):
        job.result = await asyncio.to_thread(blobs().fetch, job.result)
    return job
