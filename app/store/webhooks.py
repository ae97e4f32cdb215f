"""Registered webhooks, their health, and the secret of those that jobs bring along."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import orjson
import redis.asyncio

from app.core.webhooks import Event, Webhook, new_secret
from app.store import keys
from app.store.reading import answers, decodable, readable, required

_KIND: Final = "webhook"
_HEALTH: Final = ("disabled", "failures", "failing_since")


async def read(client: redis.asyncio.Redis, id: str) -> Webhook | None:
    async with client.pipeline(transaction=False) as pipe:
        pipe.hget(keys.WEBHOOKS, id)
        pipe.hmget(keys.webhook_health(id), _HEALTH)
        found = await answers(pipe)
    return required(_KIND, id, found, _decode)


async def every(client: redis.asyncio.Redis) -> list[Webhook]:
    """In the order of their registration."""
    found: Any = await client.hgetall(keys.WEBHOOKS)
    if not found:
        return []
    async with client.pipeline(transaction=False) as pipe:
        for id in (ids := decodable(found)):
            pipe.hmget(keys.webhook_health(id), _HEALTH)
        healths = await answers(pipe)
    listed = [readable(_KIND, id, [found[id.encode()], health], _decode) for id, health in zip(ids, healths, strict=True)]
    return sorted((one for one in listed if one is not None), key=lambda one: one.created_at)


async def write(client: redis.asyncio.Redis, webhook: Webhook) -> None:
    """Its health aside: that belongs to `attempt.lua`."""
    kept = {name: value for name, value in asdict(webhook).items() if name not in _HEALTH}
    await client.hset(keys.WEBHOOKS, webhook.id, orjson.dumps(kept))


async def enable(client: redis.asyncio.Redis, id: str) -> None:
    await client.delete(keys.webhook_health(id))


async def forget(client: redis.asyncio.Redis, id: str) -> bool:
    """Drops a webhook; its notices end at their next attempt. False where there was none."""
    async with client.pipeline(transaction=True) as pipe:
        pipe.hdel(keys.WEBHOOKS, id)
        pipe.delete(keys.webhook_health(id))
        gone, _ = await pipe.execute()
    return bool(gone)


async def count(client: redis.asyncio.Redis) -> int:
    return int(await client.hlen(keys.WEBHOOKS))


async def default_secret(client: redis.asyncio.Redis) -> str:
    """Made when it is first asked for, and the same for every process."""
    found: Any = await client.get(keys.WEBHOOK_SECRET)
    if found is None:
        await client.set(keys.WEBHOOK_SECRET, new_secret(), nx=True)
        found = await client.get(keys.WEBHOOK_SECRET)
    return str(found.decode())


def _decode(text: bytes | None, health: list[bytes | None]) -> Webhook | None:
    """None where there is no such webhook."""
    if text is None:
        return None
    found = orjson.loads(text)
    disabled, failures, since = health
    return Webhook(
        **{**found, "events": tuple(map(Event, found["events"])), "models": tuple(found["models"])},
        disabled=(disabled or b"").decode(),
        failures=int(failures or 0),
        failing_since=float(since) if since else None,
    )
