"""The records of batches. One script changes them after a comparison, so concurrent processes do no harm."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import orjson
import redis.asyncio

from app.core import traces
from app.core.api_keys import DEFAULT_OWNER
from app.core.batches import Batch, BatchSpec, Chunk, Part, Status
from app.core.quotas import Quota
from app.core.rate_limits import exceeded
from app.core.traces import TraceContext
from app.core.webhooks import WebhookEvent
from app.store import audit, keys, rate_limits, scripts
from app.store.jobs import PAGE
from app.store.reading import answers, decodable, fields_of, readable, required

_KIND: Final = "batch"


@dataclass(slots=True)
class Change:
    """A change to a batch and its preconditions: see `batch.lua`."""

    statuses: tuple[Status, ...] = ()
    expect: dict[str, str] = field(default_factory=dict)
    chunks_expect: list[Chunk] = field(default_factory=list)
    window: int | None = None
    plans: int | None = None
    active: int | None = None
    owner: str | None = None
    quota: tuple[str, Quota] | None = None
    set: dict[str, Any] = field(default_factory=dict)
    increase: dict[str, int] = field(default_factory=dict)
    chunks: list[Chunk] = field(default_factory=list)
    gone: list[Chunk] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    out: list[str] = field(default_factory=list)
    back: list[str] = field(default_factory=list)
    status: Status | None = None
    ttl: int | None = None

    def pack(self) -> bytes:
        """Encode the change for the script."""
        change: dict[str, Any] = {
            "statuses": self.statuses,
            "expect": self.expect,
            "chunks_expect": {str(item.first): _chunk(item) for item in self.chunks_expect},
            "set": {name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in self.set.items()},
            "increase": self.increase,
            "chunks": {str(item.first): False for item in self.gone} | {str(item.first): _chunk(item) for item in self.chunks},
            "parts": {str(item.first): _part(item) for item in self.parts},
            "out": self.out,
            "back": self.back,
            "final": self.status is not None and self.status.final,
        }
        optional = {
            "window": self.window,
            "plans": self.plans,
            "active": self.active,
            "owner": self.owner,
            "quota": None if self.quota is None else (self.quota[0], self.quota[1].quota),
            "status": self.status,
            "ttl": self.ttl,
        }
        return orjson.dumps(change | {name: value for name, value in optional.items() if value is not None})


def model_of(stored: bytes) -> tuple[str, str]:
    """Return the name and the version of the model in the field `order` of a record."""
    spec = orjson.loads(stored)
    return spec["model"], spec["version"]


def chunk_job(batch: str, chunk: Chunk) -> str:
    """Return the id of the job of a chunk."""
    return f"{batch}-{chunk.first}-{chunk.count}-{chunk.tries}"


async def create(client: redis.asyncio.Redis, id: str, spec: BatchSpec, now: float, most: int, quota: Quota | None = None) -> bool:
    """Store a new batch. Return False if `most` batches of its pool are active.

    Raises QuotaExceeded if its owner has as many open batches as the `quota` allows.
    """
    created = {"order": spec.as_dict(), "next": 0, "created_at": now, "expires_at": now + spec.window_s, "round": 0}
    if trace := traces.begin():
        created["trace"] = trace.encode()
    if spec.webhook:
        created["told"] = 1
    owner = spec.owner or DEFAULT_OWNER
    change = Change(
        active=most,
        owner=owner,
        quota=(owner, quota) if quota else None,
        set=created,
        status=Status.VALIDATING,
        ttl=spec.window_s + spec.ttl_s,
    )
    return await apply(client, id, spec.pool, change)


_TAKE_OVER = """
if redis.call("get", KEYS[1]) ~= ARGV[1] then return 0 end
redis.call("set", KEYS[1], ARGV[2], "EX", ARGV[3])
return 1
"""


async def claim_output(client: redis.asyncio.Redis, identity: str, id: str, ttl_s: int) -> str:
    """Reserve an output file for a stored batch. Return the id of the batch that may write it: another one if that has not ended."""
    key = keys.batch_output(identity)
    while not await client.set(key, id, nx=True, ex=ttl_s):
        value: Any = await client.get(key)
        holder = (value or b"").decode()
        if holder == id:
            break
        other = await read(client, holder)
        if other is not None and not other.status.final:
            return holder
        if await client.eval(_TAKE_OVER, 1, key, holder, id, ttl_s):
            break
    return id


async def apply(client: redis.asyncio.Redis, id: str, pool: str, change: Change, entry: bytes = b"") -> bool:
    """Apply a change, and write an entry of the audit log. Return False, without any change, if the batch does not meet its preconditions.

    Raises QuotaExceeded if the change has a quota, and the owner has as many open batches.
    """
    names = (keys.batch(id), keys.batch_open(id), keys.batch_parts(id), keys.batches_out(pool), keys.batches_active(pool), keys.BATCHES)
    arguments = (id, change.pack(), *(audit.entry(entry) if entry else scripts.NO_ENTRY))
    answer = await scripts.run_async(client, scripts.Call("batch", names, arguments))
    if isinstance(answer, list) and answer[0] == b"quota":
        assert change.quota is not None, "only a quota is exceeded"
        owner, quota = change.quota
        rate_limits.note_refusal(quota)
        raise exceeded(quota, owner, answer[1])
    if isinstance(answer, list):
        audit.report(entry, *answer[1:])
    return bool(answer)


async def read(client: redis.asyncio.Redis, id: str) -> Batch | None:
    """Return a batch, or None. Raises RecordUnreadable."""
    return required(_KIND, id, [await fields_of(client, keys.batch(id))], partial(_decode, id))


async def chunks(client: redis.asyncio.Redis, id: str) -> list[Chunk]:
    """Return the open chunks of a batch, in order."""
    stored: Any = await client.hgetall(keys.batch_open(id))
    return sorted((Chunk(int(first), *orjson.loads(text)) for first, text in stored.items()), key=lambda chunk: chunk.first)


def parts_of(stored: Mapping[bytes, bytes]) -> list[Part]:
    """Decode the hash of finished parts, in order."""
    return sorted((Part(int(first), *orjson.loads(text)) for first, text in stored.items()), key=lambda part: part.first)


async def parts(client: redis.asyncio.Redis, id: str) -> list[Part]:
    """Return the finished parts of a batch, in order."""
    stored: Any = await client.hgetall(keys.batch_parts(id))
    return parts_of(stored)


async def active(client: redis.asyncio.Redis, pool: str) -> list[Batch]:
    """Return the batches of a pool that have not ended, the oldest first."""
    ids: Any = await client.zrange(keys.batches_active(pool), 0, -1)
    listed = decodable(ids)
    batches = await _many(client, listed)
    gone = [id for id, batch in zip(listed, batches, strict=True) if batch is None]
    # A record that cannot be read stays listed: a newer release may have written it.
    if gone and (gone := [id for id in gone if not await client.exists(keys.batch(id))]):
        await client.zrem(keys.batches_active(pool), *gone)
    return [batch for batch in batches if batch is not None]


async def wake(client: redis.asyncio.Redis, pools: Iterable[str]) -> None:
    """Make all batches of pools due that have not ended."""
    for pool in pools:
        ids: Any = await client.zrange(keys.batches_active(pool), 0, -1)
        if ids:
            await client.zadd(keys.RECONCILE, {f"batch:{id}": 0 for id in decodable(ids)})
            await client.publish(keys.RECONCILE_DUE, "due")


async def out(client: redis.asyncio.Redis, pool: str) -> list[str]:
    """Return the ids of the outstanding chunks of a pool, as `chunk_job` names them."""
    members: Any = await client.zrange(keys.batches_out(pool), 0, -1)
    return decodable(members)


async def drop(client: redis.asyncio.Redis, pool: str, chunks: Sequence[str]) -> None:
    """Remove chunks from the outstanding ones of a pool."""
    await client.zrem(keys.batches_out(pool), *chunks)


async def forget(client: redis.asyncio.Redis, id: str, spec: BatchSpec) -> None:
    """Delete a batch that was refused, with its webhook event."""
    async with client.pipeline(transaction=True) as pipe:
        pipe.delete(keys.batch(id), keys.batch_open(id), keys.batch_parts(id))
        pipe.zrem(keys.BATCHES, id)
        pipe.zrem(keys.batches_of(spec.owner or DEFAULT_OWNER), id)
        pipe.zrem(keys.batches_active(spec.pool), id)
        pipe.zrem(keys.open_batches(spec.owner or DEFAULT_OWNER), id)
        pipe.zrem(keys.EVENTS, str(WebhookEvent(id, Status.FAILED, 0)))
        await pipe.execute()


async def page(client: redis.asyncio.Redis, after: str | None, limit: int, owner: str | None = None) -> tuple[list[Batch], bool]:
    """Return batches of an owner, or of all owners, the newest first, and whether more follow."""
    ids: Any = await client.eval(PAGE, 1, keys.BATCHES if owner is None else keys.batches_of(owner), after or "", limit + 1)
    batches = await _many(client, decodable(ids[:limit]))
    return [batch for batch in batches if batch is not None and owner in (None, batch.spec.owner or DEFAULT_OWNER)], len(ids) > limit


async def sweep(client: redis.asyncio.Redis, older_than_s: float) -> None:
    """Drop ids of expired records from the index."""
    await client.zremrangebyscore(keys.BATCHES, "-inf", time.time() - older_than_s)


async def _many(client: redis.asyncio.Redis, ids: list[str]) -> list[Batch | None]:
    async with client.pipeline(transaction=False) as pipe:
        for id in ids:
            pipe.hgetall(keys.batch(id))
        records = await answers(pipe)
    return [readable(_KIND, id, [fields], partial(_decode, id)) for id, fields in zip(ids, records, strict=True)]


def _chunk(chunk: Chunk) -> str:
    return orjson.dumps([chunk.count, chunk.out, chunk.tries]).decode()


def _part(part: Part) -> str:
    return orjson.dumps([part.count, part.completed, part.failed, *([part.error] if part.error else [])]).decode()


def _decode(id: str, fields: Mapping[bytes, bytes]) -> Batch | None:
    if b"order" not in fields:
        return None
    text = {name.decode(): value.decode() for name, value in fields.items()}
    plain = ("outcome", "output_file", "error_file")
    numbers = (
        "created_at",
        "expires_at",
        "rows",
        "step",
        "next",
        "speed",
        "slice",
        "call_s",
        "completed",
        "failed",
        "round",
        "planned",
        "before",
        "served_at",
        "revision",
    )
    values: dict[str, Any] = {name: text[name] for name in plain if name in text}
    values |= {name: orjson.loads(text[name]) for name in numbers if name in text}
    return Batch(
        id=id,
        spec=BatchSpec.from_dict(orjson.loads(text["order"])),
        status=Status(text["status"]),
        times={status: float(text[f"{status}_at"]) for status in Status if f"{status}_at" in text},
        errors=orjson.loads(text.get("errors", "[]")),
        trace=TraceContext.decode(text.get("trace", "")),
        **values,
    )


def read_parts(client: redis.Redis, batch: str) -> list[Part]:
    """Return the parts of a batch that are done, in the order of their rows."""
    fields: Any = client.hgetall(keys.batch_parts(batch))
    return parts_of(fields)
