"""Connections to Redis: synchronous for workers, asynchronous for the API. All have timeouts."""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError
from redis.retry import Retry
from redis.sentinel import Sentinel

from app.store.redis.url import Address, current_address


def connect(retries: int = 1, address: Address | None = None, *, decode: bool = False) -> redis.Redis:
    """Return a new client. Create it after a fork, never before.

    Args:
        retries: How often a failed command is repeated, up to a second apart.
        address: The server (default: the one in the settings).
        decode: Return text instead of bytes.
    """
    server = address or current_address()
    options = server.options() | {"decode_responses": decode, "retry": Retry(ExponentialWithJitterBackoff(base=0.05, cap=1), retries)}
    if server.master:
        sentinel = Sentinel(server.hosts, sentinel_kwargs=server.sentinel, **options)  # type: ignore[no-untyped-call]
        return sentinel.master_for(server.master)  # type: ignore[no-any-return, no-untyped-call]
    ((host, port),) = server.hosts
    return redis.Redis(host, port, **options)


def connect_async(address: Address | None = None) -> redis.asyncio.Redis:
    """Return a new client with a connection pool. After a failover one command may fail; the next one asks Sentinel again.

    A broken connection is replaced once. A command that times out is not repeated, so that callers get an answer within seconds. The timeout
    is longer than a worker's: no lease depends on it, and a short pause is not an error.
    """
    server = address or current_address()
    options = server.options() | {
        "socket_timeout": 5,
        "retry": AsyncRetry(ExponentialWithJitterBackoff(base=0.05, cap=1), 1, (ConnectionError,)),
    }
    if server.master:
        sentinel = AsyncSentinel(server.hosts, sentinel_kwargs=server.sentinel, **options)  # type: ignore[no-untyped-call]
        managed = SentinelManagedSSLConnection if options.get("ssl") else SentinelManagedConnection
        return sentinel.master_for(server.master, connection_class=_noticing_closed(managed))  # type: ignore[no-any-return]
    ((host, port),) = server.hosts
    # If all connections are in use, callers wait for one. A pool that does not block would refuse them.
    given = redis.asyncio.Redis(host=host, port=port, **options).connection_pool
    kwargs = {name: value for name, value in given.connection_kwargs.items() if name != "max_connections"}
    pool = redis.asyncio.BlockingConnectionPool(
        connection_class=_noticing_closed(given.connection_class), max_connections=64, timeout=5, **kwargs
    )
    return redis.asyncio.Redis.from_pool(pool)


class _NoticesClosed:
    """Raises ConnectionError, which is retried, if Redis closed the connection while a command was about to be written.

    redis-py raises AttributeError then, because its writer is gone, or passes on RuntimeError, which uvloop raises.
    """

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        try:
            await super().send_packed_command(*args, **kwargs)  # type: ignore[misc]
        except (AttributeError, RuntimeError) as error:
            raise ConnectionError(f"The connection was closed: {error}") from error


def _noticing_closed(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    return type(kind.__name__, (_NoticesClosed, kind), {})
