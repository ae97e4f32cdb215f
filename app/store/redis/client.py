"""Connections to Redis, synchronous for workers and asynchronous for the API. Every one has a time limit."""

from __future__ import annotations

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError
from redis.retry import Retry
from redis.sentinel import Sentinel

from app.store.redis.url import Address, current_address


def connect(retries: int = 1, address: Address | None = None, *, decode: bool = False) -> redis.Redis:
    """A client of its own; make it after a fork, never before. `retries` of a command, up to a second apart. `decode`: it answers text."""
    found = address or current_address()
    options = found.options() | {"decode_responses": decode, "retry": Retry(ExponentialWithJitterBackoff(base=0.05, cap=1), retries)}
    if found.master:
        sentinel = Sentinel(found.hosts, sentinel_kwargs=found.sentinel, **options)  # type: ignore[no-untyped-call]
        return sentinel.master_for(found.master)  # type: ignore[no-any-return, no-untyped-call]
    ((host, port),) = found.hosts
    return redis.Redis(host, port, **options)


def connect_async(address: Address | None = None) -> redis.asyncio.Redis:
    """A client of its own, with a pool of connections. After a failover a command may fail once: the next one asks the sentinels.

    A connection that turns out to be broken is made anew once; a server that does not answer is not asked twice, so that
    callers are told within seconds. Longer than a worker waits: no lease depends on it, and a short pause is no error.
    """
    found = address or current_address()
    options = found.options() | {
        "socket_timeout": 5,
        "retry": AsyncRetry(ExponentialWithJitterBackoff(base=0.05, cap=1), 1, (ConnectionError,)),
    }
    if found.master:
        sentinel = AsyncSentinel(found.hosts, sentinel_kwargs=found.sentinel, **options)  # type: ignore[no-untyped-call]
        return sentinel.master_for(found.master)  # type: ignore[no-any-return]
    ((host, port),) = found.hosts
    # Of many callers at once the last wait for a connection; a pool that does not block would refuse them.
    given = redis.asyncio.Redis(host=host, port=port, **options).connection_pool
    kwargs = {name: value for name, value in given.connection_kwargs.items() if name != "max_connections"}
    pool = redis.asyncio.BlockingConnectionPool(connection_class=given.connection_class, max_connections=64, timeout=5, **kwargs)
    return redis.asyncio.Redis.from_pool(pool)
