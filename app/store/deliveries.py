"""Recorded deliveries, until they end."""

from __future__ import annotations

from typing import Any

import redis.asyncio

from app.store import keys


async def body(client: redis.asyncio.Redis, id: str) -> bytes | None:
    """Return the packed body of a delivery, or None if the delivery has ended."""
    packed: Any = await client.hget(keys.delivery(id), "body")
    return bytes(packed) if packed is not None else None
