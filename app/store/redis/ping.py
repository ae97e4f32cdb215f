"""Whether Redis answers, and connecting before it is needed."""

from __future__ import annotations

from contextlib import closing, suppress

import redis.asyncio
from redis.exceptions import RedisError

from app.store.redis.client import connect
from app.store.redis.url import Address


def ping(address: Address | None = None) -> None:
    """Connect to Redis, ping it and disconnect.

    Args:
        address: The server (default: the one in the settings).

    Raises:
        RedisError: It does not answer, or refuses the connection.
    """
    with closing(connect(retries=0, address=address)) as client:
        client.ping()


async def ping_over(client: redis.asyncio.Redis) -> None:
    """Ping Redis over a connection of a client. Raises RedisError or OSError."""
    await client.ping()


def open_connection(client: redis.Redis) -> None:
    """Connect a client now, so that its first command need not wait. A failure is left to that command."""
    with suppress(RedisError, OSError):
        client.ping()
