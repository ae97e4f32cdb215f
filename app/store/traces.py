"""Jobs that have ended and whose traces are to be exported. The scripts that end jobs list them; see `traces.lua`.

A process claims a member for a while. If the process dies, the claim ends and another process exports the same spans again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import orjson
import redis.asyncio

from app.core import attempts
from app.core.jobs import State
from app.core.spans import EndedJob
from app.core.traces import TraceContext
from app.store import claims, keys
from app.store.claims import Claimed
from app.store.reading import answers, readable
from app.store.records import owner_of

_FIELDS: Final = ("trace", "spec", "state", "created_at", "finished_at", "owner", "queue", "error", "tries", "ends", "spans")
_KIND: Final = "trace"
_TAKE_DROPPED: Final = """
local dropped = redis.call('HGET', KEYS[1], 'dropped')
redis.call('HDEL', KEYS[1], 'dropped')
return tonumber(dropped or 0)
"""


@dataclass(frozen=True, slots=True)
class EndedDelivery:
    """Jobs that ended together. `size` counts all jobs of the delivery, also those that are not exported."""

    id: str
    size: int
    jobs: Sequence[EndedJob]


async def claim(client: redis.asyncio.Redis, lease_s: float, most: int) -> Claimed:
    """Claim members that are due."""
    return await claims.claim(client, keys.TRACES, lease_s, most)


async def done(client: redis.asyncio.Redis, members: Sequence[str]) -> None:
    """Remove members that were exported."""
    if members:
        await client.zrem(keys.TRACES, *members)


async def take_dropped(client: redis.asyncio.Redis) -> int:
    """Return how many members were dropped since the last call of any process, because too many waited."""
    return int(await client.eval(_TAKE_DROPPED, 1, keys.TRACES_STATE))


async def read(client: redis.asyncio.Redis, member: str) -> EndedDelivery:
    """Return the jobs of a member, without those whose records have expired or cannot be read. Raises ValueError."""
    id, size, *ids = member.split(" ")
    async with client.pipeline(transaction=False) as pipe:
        for job in ids:
            pipe.hmget(keys.job(job), *_FIELDS)
        records = await answers(pipe)
    jobs = [readable(_KIND, job, [values], partial(_decode, job)) for job, values in zip(ids, records, strict=True)]
    return EndedDelivery(id, int(size), [job for job in jobs if job is not None])


def _decode(id: str, values: list[bytes | None]) -> EndedJob | None:
    fields: dict[str, bytes] = {name: value for name, value in zip(_FIELDS, values, strict=True) if value is not None}
    trace = TraceContext.decode(fields.get("trace", b"").decode())
    if trace is None or "spec" not in fields or "finished_at" not in fields:
        return None
    model, version, _, rows, _, *more = orjson.loads(fields["spec"])
    error: Mapping[str, Any] = orjson.loads(fields.get("error", b"{}"))
    return EndedJob(
        trace,
        id,
        model,
        version,
        owner_of(fields.get("owner")),
        rows,
        State(fields["state"].decode()),
        float(fields["created_at"]),
        float(fields["finished_at"]),
        kind=more[0] if more else "",
        queue=fields.get("queue", b"").decode(),
        error=error.get("code", "") or ("expired" if fields["state"] == b"expired" else ""),
        attempts=attempts.parse(fields.get("tries", b"").decode(), fields.get("ends", b"").decode()),
        spans=fields.get("spans", b"").decode(),
    )
