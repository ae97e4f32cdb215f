"""The records of batches. They change by one script, which compares first: two that look at a batch at once do no harm."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import orjson
import redis.asyncio

from app.core.batches import Batch, Order, Part, Piece, Status
from app.core.webhooks import Happening
from app.store import keys, scripts
from app.store.jobs import PAGE
from app.store.reading import answers, decodable, fields_of, readable, required

_KIND: Final = "batch"


@dataclass(slots=True)
class Change:
    """What must hold, and what then changes: see `batch.lua`."""

    statuses: tuple[Status, ...] = ()
    expect: dict[str, str] = field(default_factory=dict)
    pieces_expect: list[Piece] = field(default_factory=list)
    window: int | None = None
    plans: int | None = None
    active: int | None = None
    set: dict[str, Any] = field(default_factory=dict)
    increase: dict[str, int] = field(default_factory=dict)
    pieces: list[Piece] = field(default_factory=list)
    gone: list[Piece] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    out: list[str] = field(default_factory=list)
    back: list[str] = field(default_factory=list)
    status: Status | None = None
    ttl: int | None = None

    def pack(self) -> bytes:
        found: dict[str, Any] = {
            "statuses": self.statuses,
            "expect": self.expect,
            "pieces_expect": {str(one.first): _piece(one) for one in self.pieces_expect},
            "set": {name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in self.set.items()},
            "increase": self.increase,
            "pieces": {str(one.first): False for one in self.gone} | {str(one.first): _piece(one) for one in self.pieces},
            "parts": {str(one.first): _part(one) for one in self.parts},
            "out": self.out,
            "back": self.back,
            "final": self.status is not None and self.status.final,
        }
        optional = {"window": self.window, "plans": self.plans, "active": self.active, "status": self.status, "ttl": self.ttl}
        return orjson.dumps(found | {name: value for name, value in optional.items() if value is not None})


def chunk(batch: str, piece: Piece) -> str:
    """The name of a piece that is out, and the id of its job."""
    return f"{batch}-{piece.first}-{piece.count}-{piece.tries}"


async def create(client: redis.asyncio.Redis, id: str, order: Order, now: float, most: int) -> bool:
    """False where so many batches are active that there is no room for another."""
    created = {"order": order.as_dict(), "next": 0, "created_at": now, "expires_at": now + order.window_s, "round": 0}
    if order.webhook:
        created["told"] = 1
    change = Change(active=most, set=created, status=Status.VALIDATING, ttl=order.window_s + order.ttl_s)
    return await apply(client, id, order.pool, change)


_TAKE_OVER = """
if redis.call("get", KEYS[1]) ~= ARGV[1] then return 0 end
redis.call("set", KEYS[1], ARGV[2], "EX", ARGV[3])
return 1
"""


async def claim_output(client: redis.asyncio.Redis, identity: str, id: str, ttl_s: int) -> str:
    """Makes this batch, whose record exists, the only one that writes a file. Returns the id of the batch that does: another one if it has not ended."""
    key = keys.batch_output(identity)
    while not await client.set(key, id, nx=True, ex=ttl_s):
        found: Any = await client.get(key)
        holder = (found or b"").decode()
        if holder == id:
            break
        other = await read(client, holder)
        if other is not None and not other.status.final:
            return holder
        if await client.eval(_TAKE_OVER, 1, key, holder, id, ttl_s):
            break
    return id


async def apply(client: redis.asyncio.Redis, id: str, pool: str, change: Change) -> bool:
    """False where the batch is not as expected: nothing has changed."""
    names = (keys.batch(id), keys.batch_open(id), keys.batch_parts(id), keys.batches_out(pool), keys.batches_active(pool), keys.BATCHES)
    return bool(await scripts.run_async(client, scripts.Call("batch", names, (keys.PREFIX, id, change.pack()))))


async def read(client: redis.asyncio.Redis, id: str) -> Batch | None:
    return required(_KIND, id, [await fields_of(client, keys.batch(id))], partial(_decode, id))


async def pieces(client: redis.asyncio.Redis, id: str) -> list[Piece]:
    """Those that are open, in order."""
    found: Any = await client.hgetall(keys.batch_open(id))
    return sorted((Piece(int(first), *orjson.loads(text)) for first, text in found.items()), key=lambda one: one.first)


def parts_of(found: Mapping[bytes, bytes]) -> list[Part]:
    """From the hash of parts, in order."""
    return sorted((Part(int(first), *orjson.loads(text)) for first, text in found.items()), key=lambda one: one.first)


async def parts(client: redis.asyncio.Redis, id: str) -> list[Part]:
    found: Any = await client.hgetall(keys.batch_parts(id))
    return parts_of(found)


async def active(client: redis.asyncio.Redis, pool: str) -> list[Batch]:
    """Those of a pool that have not ended, the oldest first."""
    ids: Any = await client.zrange(keys.batches_active(pool), 0, -1)
    known = decodable(ids)
    found = await _many(client, known)
    gone = [id for id, batch in zip(known, found, strict=True) if batch is None]
    # A record that cannot be read stays listed: a newer release may have written it.
    if gone and (gone := [id for id in gone if not await client.exists(keys.batch(id))]):
        await client.zrem(keys.batches_active(pool), *gone)
    return [batch for batch in found if batch is not None]


async def out(client: redis.asyncio.Redis, pool: str) -> list[str]:
    """The chunks that are out, by the name that `chunk` gives them."""
    found: Any = await client.zrange(keys.batches_out(pool), 0, -1)
    return decodable(found)


async def drop(client: redis.asyncio.Redis, pool: str, chunks: Sequence[str]) -> None:
    """Chunks that are out no longer, whatever became of their batch."""
    await client.zrem(keys.batches_out(pool), *chunks)


async def forget(client: redis.asyncio.Redis, id: str, pool: str) -> None:
    """Of a batch that was refused: nobody is told of it."""
    async with client.pipeline(transaction=True) as pipe:
        pipe.delete(keys.batch(id), keys.batch_open(id), keys.batch_parts(id))
        pipe.zrem(keys.BATCHES, id)
        pipe.zrem(keys.batches_active(pool), id)
        pipe.zrem(keys.EVENTS, str(Happening(id, Status.FAILED, 0)))
        await pipe.execute()


async def page(client: redis.asyncio.Redis, after: str | None, limit: int) -> tuple[list[Batch], bool]:
    """Batches, the newest first, and whether more follow."""
    ids: Any = await client.eval(PAGE, 1, keys.BATCHES, after or "", limit + 1)
    found = await _many(client, decodable(ids[:limit]))
    return [batch for batch in found if batch is not None], len(ids) > limit


async def sweep(client: redis.asyncio.Redis, older_than_s: float) -> None:
    """Drops batches from the index whose records have expired."""
    await client.zremrangebyscore(keys.BATCHES, "-inf", time.time() - older_than_s)


async def _many(client: redis.asyncio.Redis, ids: list[str]) -> list[Batch | None]:
    async with client.pipeline(transaction=False) as pipe:
        for id in ids:
            pipe.hgetall(keys.batch(id))
        found = await answers(pipe)
    return [readable(_KIND, id, [fields], partial(_decode, id)) for id, fields in zip(ids, found, strict=True)]


def _piece(one: Piece) -> str:
    return orjson.dumps([one.count, one.out, one.tries]).decode()


def _part(one: Part) -> str:
    return orjson.dumps([one.count, one.completed, one.failed, *([one.error] if one.error else [])]).decode()


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
    known: dict[str, Any] = {name: text[name] for name in plain if name in text}
    known |= {name: orjson.loads(text[name]) for name in numbers if name in text}
    return Batch(
        id=id,
        order=Order.from_dict(orjson.loads(text["order"])),
        status=Status(text["status"]),
        times={one: float(text[f"{one}_at"]) for one in Status if f"{one}_at" in text},
        errors=orjson.loads(text.get("errors", "[]")),
        **known,
    )
