"""Sessions of the console in Redis. A record has the ID of an API key and the hash of its secret, or the claims of an identity token.

It never has the key, the token or the cookie.
"""

from __future__ import annotations

from typing import Any

import orjson
import redis.asyncio

from app.core.console_sessions import Credential, Identity
from app.store import keys
from app.store.reading import decodable, readable


async def create(client: redis.asyncio.Redis, digest: str, holder: Credential | Identity, *, now: float, life_s: int, most: int) -> int:
    """Store a session. Return the number of older sessions of its holder that ended because there were `most` of them."""
    id, record = _encode(holder)
    index = keys.console_sessions(id)
    async with client.pipeline(transaction=True) as pipe:
        pipe.set(keys.console_session(digest), record, ex=life_s)
        pipe.zremrangebyscore(index, "-inf", now)
        pipe.zadd(index, {digest: now + life_s})
        pipe.expire(index, life_s)
        pipe.zrange(index, 0, -most - 1)
        *_, answer = await pipe.execute()
    oldest = decodable(answer)
    for displaced in oldest:
        await delete(client, displaced, id)
    return len(oldest)


async def read(client: redis.asyncio.Redis, digest: str) -> Credential | Identity | None:
    """Return the holder of a session, or None."""
    text: Any = await client.get(keys.console_session(digest))
    return None if text is None else readable("console session", digest[:8], [text], _decode)


async def delete(client: redis.asyncio.Redis, digest: str, holder: str) -> bool:
    """End a session of a key or an identity. Return whether it existed."""
    async with client.pipeline(transaction=True) as pipe:
        pipe.delete(keys.console_session(digest))
        pipe.zrem(keys.console_sessions(holder), digest)
        deleted, _ = await pipe.execute()
    return bool(deleted)


def _encode(holder: Credential | Identity) -> tuple[str, bytes]:
    """Return the ID of the holder of a session, and the record."""
    if isinstance(holder, Identity):
        return holder.id, orjson.dumps({"identity": holder.id, "claims": holder.claims})
    return holder.key, orjson.dumps({"key": holder.key, "hash": holder.secret_hash.hex()})


def _decode(text: bytes) -> Credential | Identity:
    stored = orjson.loads(text)
    if "identity" in stored:
        return Identity(str(stored["identity"]), dict(stored["claims"]))
    return Credential(str(stored["key"]), bytes.fromhex(stored["hash"]))
