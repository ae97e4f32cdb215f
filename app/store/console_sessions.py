"""Sessions of the console in Redis. A record has the ID of an API key and the hash of its secret, never the key and never the cookie."""

from __future__ import annotations

from typing import Any

import orjson
import redis.asyncio

from app.core.console_sessions import Credential
from app.store import keys
from app.store.reading import decodable, readable


async def create(client: redis.asyncio.Redis, digest: str, credential: Credential, *, now: float, life_s: int, most: int) -> int:
    """Store a session. Return the number of older sessions of the key that ended because it had `most` of them."""
    index = keys.console_sessions(credential.key)
    record = orjson.dumps({"key": credential.key, "hash": credential.secret_hash.hex()})
    async with client.pipeline(transaction=True) as pipe:
        pipe.set(keys.console_session(digest), record, ex=life_s)
        pipe.zremrangebyscore(index, "-inf", now)
        pipe.zadd(index, {digest: now + life_s})
        pipe.expire(index, life_s)
        pipe.zrange(index, 0, -most - 1)
        *_, answer = await pipe.execute()
    oldest = decodable(answer)
    for displaced in oldest:
        await delete(client, displaced, credential.key)
    return len(oldest)


async def read(client: redis.asyncio.Redis, digest: str) -> Credential | None:
    """Return the API key of a session, or None."""
    text: Any = await client.get(keys.console_session(digest))
    return None if text is None else readable("console session", digest[:8], [text], _decode)


async def delete(client: redis.asyncio.Redis, digest: str, key: str) -> bool:
    """End a session of a key. Return whether it existed."""
    async with client.pipeline(transaction=True) as pipe:
        pipe.delete(keys.console_session(digest))
        pipe.zrem(keys.console_sessions(key), digest)
        deleted, _ = await pipe.execute()
    return bool(deleted)


def _decode(text: bytes) -> Credential:
    stored = orjson.loads(text)
    return Credential(str(stored["key"]), bytes.fromhex(stored["hash"]))
