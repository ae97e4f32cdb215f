"""Registered webhooks, their health, and the signing secret of webhooks that jobs bring along."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import orjson
import redis.asyncio

from app.core.webhooks import Event, Format, Webhook, new_secret
from app.store import audit, keys
from app.store.reading import answers, decodable, readable, required

_KIND: Final = "webhook"
_HEALTH: Final = ("disabled", "failures", "failing_since")


async def read(client: redis.asyncio.Redis, id: str) -> Webhook | None:
    """Return a registered webhook, or None."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.hget(keys.WEBHOOKS, id)
        pipe.hmget(keys.webhook_health(id), _HEALTH)
        parts = await answers(pipe)
    return required(_KIND, id, parts, _decode)


async def every(client: redis.asyncio.Redis) -> list[Webhook]:
    """Return all registered webhooks, the oldest first."""
    stored: Any = await client.hgetall(keys.WEBHOOKS)
    if not stored:
        return []
    async with client.pipeline(transaction=False) as pipe:
        for id in (ids := decodable(stored)):
            pipe.hmget(keys.webhook_health(id), _HEALTH)
        healths = await answers(pipe)
    webhooks = [readable(_KIND, id, [stored[id.encode()], health], _decode) for id, health in zip(ids, healths, strict=True)]
    return sorted((webhook for webhook in webhooks if webhook is not None), key=lambda webhook: webhook.created_at)


async def write(client: redis.asyncio.Redis, webhook: Webhook, entry: bytes, *, enable: bool = False) -> None:
    """Store a webhook, and an entry of the audit log.

    Its health, which `webhook_attempt.lua` changes, is not stored. `enable` resets it, so that deliveries are sent again.
    """
    kept = {name: value for name, value in asdict(webhook).items() if name not in _HEALTH}
    if webhook.format is Format.STANDARD:
        del kept["format"]  # which 0.2.0 cannot read
    stored = ("HSET", keys.WEBHOOKS, webhook.id, orjson.dumps(kept))
    reset = [("DEL", keys.webhook_health(webhook.id))] if enable else []
    await audit.change(client, entry, stored, *reset, must_change=False)


async def forget(client: redis.asyncio.Redis, id: str, entry: bytes) -> bool:
    """Delete a webhook. Its deliveries fail at their next attempt. Return False if it did not exist."""
    return bool(await audit.change(client, entry, ("HDEL", keys.WEBHOOKS, id), ("DEL", keys.webhook_health(id))))


async def count(client: redis.asyncio.Redis) -> int:
    """Return how many webhooks are registered."""
    return int(await client.hlen(keys.WEBHOOKS))


async def default_secret(client: redis.asyncio.Redis) -> str:
    """Return the secret that all processes share. The first call creates it."""
    secret: Any = await client.get(keys.WEBHOOK_SECRET)
    if secret is None:
        await client.set(keys.WEBHOOK_SECRET, new_secret(), nx=True)
        secret = await client.get(keys.WEBHOOK_SECRET)
    return str(secret.decode())


def _decode(text: bytes | None, health: list[bytes | None]) -> Webhook | None:
    """Return None if the webhook does not exist."""
    if text is None:
        return None
    stored = orjson.loads(text)
    disabled, failures, since = health
    return Webhook(
        **{
            **stored,
            "events": tuple(map(Event, stored["events"])),
            "models": tuple(stored["models"]),
            "format": Format(stored.get("format", Format.STANDARD)),
        },
        disabled=(disabled or b"").decode(),
        failures=int(failures or 0),
        failing_since=float(since) if since else None,
    )
